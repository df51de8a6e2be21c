"""Trainings by two data-parallel processes on CPU against one process with the joint batch."""

from __future__ import annotations

import re
import socket

import pytest
import yaml


@pytest.fixture
def start_workers(start_training):
    """`start_workers(config, data, save_dir, *overrides)`: two workers as in a cluster of CPUs."""

    def start(config, data, save_dir, *overrides):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runs = []
        for rank in range(2):
            options = (
                "distributed_training.distributed_world_size=2",
                f"distributed_training.distributed_rank={rank}",
                f"distributed_training.distributed_init_method=tcp://127.0.0.1:{port}",
                "distributed_training.distributed_no_spawn=true",
                "distributed_training.distributed_backend=gloo",
                "distributed_training.ddp_backend=legacy_ddp",
                "distributed_training.device_id=0",
            )
            folder = save_dir / f"rank{rank}"
            runs.append(start_training(config, data, folder, *options, *overrides))
        for run in runs:
            run.wait()
        return runs

    return start


def largest_difference(one, other) -> float:
    a, b = (run.checkpoint()["model"] for run in (one, other))
    assert a.keys() == b.keys()
    return max(float((a[key] - b[key]).abs().max()) for key in a)


def test_two_workers_pretrain_as_one_with_the_joint_batch(
    start_workers, start_training, corpus, tiny_pretraining, repo_dir, tmp_path
):
    # the global term alone, as the local one draws its spans at random; one update an epoch, with all pairs
    config = yaml.safe_load((repo_dir / "examples/quickstart/config/pretrain.yaml").read_text())
    config["criterion"] = {"_name": "cmsc"}
    config["model"]["apply_mask"] = False
    # Adam would scale up the rounding of gradients that are zero
    config["optimizer"] = {"_name": "sgd", "lr": [0.1], "momentum": 0.0, "weight_decay": 0.0}
    (tmp_path / "global.yaml").write_text(yaml.safe_dump(config))
    n_pairs = (len((corpus.pretrain / "train.tsv").read_text().splitlines()) - 1) // 2
    options = [option for option in tiny_pretraining if "batch_size" not in option]
    options += ["optimization.max_update=2", "optimization.lr=[0.1]"]
    file = tmp_path / "global.yaml"
    one = start_training(file, corpus.pretrain, tmp_path / "1", f"dataset.batch_size={n_pairs}", *options)
    two, _ = start_workers(
        file, corpus.pretrain, tmp_path / "2", f"dataset.batch_size={(n_pairs + 1) // 2}", *options
    )
    assert f"nsignals={2 * n_pairs}," in one.wait()
    assert f"nsignals={2 * n_pairs}," in two.log.read_text()
    assert 0 < largest_difference(one, two) <= 1e-5


def test_two_workers_pretrain_with_every_term_and_batches_that_do_not_come_out_even(
    start_workers, corpus, tiny_pretraining, tmp_path
):
    n_pairs = (len((corpus.pretrain / "train.tsv").read_text().splitlines()) - 1) // 2
    n_batches = -(-n_pairs // 3)
    assert n_batches % 2, "one worker is to have a batch less"
    options = [option for option in tiny_pretraining if "batch_size" not in option]
    options += ["dataset.batch_size=3", "dataset.disable_validation=false"]
    options.append(f"optimization.max_update={(n_batches + 1) // 2}")
    first, second = start_workers("pretrain", corpus.pretrain, tmp_path, *options)
    losses = re.findall(r" loss=([\d.]+)", first.log.read_text())
    assert len(losses) == (n_batches + 1) // 2
    assert all(0 < float(loss) < 100 for loss in losses)
    signals = re.findall(r"nsignals=(\d+)", first.log.read_text())
    assert sum(map(int, signals)) == 2 * n_pairs  # the repeated batch is not counted
    assert (first.save_dir / "checkpoint_last.pt").is_file()
    assert not (second.save_dir / "checkpoint_last.pt").exists()


def test_two_workers_identify_as_one_whatever_their_numbers_of_batches(
    start_workers, start_training, corpus, pretrained, tmp_path
):
    n = {name: len((corpus.identification / f"{name}.tsv").read_text().splitlines()) - 1
         for name in ("train", "valid_gallery", "valid_probe")}  # fmt: skip
    n_batches = -(-n["train"] // 8), -(-(n["valid_gallery"] + n["valid_probe"]) // 9)
    assert n_batches[0] % 2, "one worker is to have a training batch less"
    assert n_batches[1] % 2, "one worker is to have a validation batch less"
    options = (
        f"model.model_path={pretrained}",
        "model.activation_dropout=0.0",
        "dataset.batch_size=8",
        "dataset.batch_size_valid=9",
        "optimization.max_epoch=1",
    )
    # one worker that takes two batches an update
    data = corpus.identification
    one = start_training("identification", data, tmp_path / "1", "optimization.update_freq=[2]", *options)
    two, _ = start_workers("identification", data, tmp_path / "2", *options)
    one.wait()
    assert largest_difference(one, two) <= 1e-5
    results = [re.findall(r"valid on 'valid' subset \| accuracy (\S+) \| loss (\S+)", run.log.read_text())
               for run in (one, two)]  # fmt: skip
    assert results[0] == results[1]
    assert len(results[0]) == 1
