"""Fixtures of trainings: fairseq's commands in processes of their own."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_pretraining() -> tuple:
    """Overrides that make the quickstart's pre-training tiny, for `start_training`."""
    return (
        "model.encoder_layers=1",
        "model.encoder_embed_dim=16",
        "model.encoder_ffn_embed_dim=32",
        "model.encoder_attention_heads=2",
        "model.conv_feature_layers='[(8,2,2)]*4'",
        "model.conv_pos=8",
        "model.conv_pos_groups=2",
        "model.latent_vars=8",
        "model.final_dim=8",
        "model.num_negatives=5",
        "dataset.batch_size=4",
        "lr_scheduler.warmup_updates=0",
    )


class Training:
    """A training that runs in a process of its own."""

    def __init__(self, process, log: Path, save_dir: Path):
        self.process, self.log, self.save_dir = process, log, save_dir

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def wait(self, exit_code: int = 0) -> str:
        """Wait for its end; returns its output."""
        self.process.join(timeout=600)
        output = self.log.read_text(errors="replace")
        assert self.process.exitcode == exit_code, output[-3000:]
        return output

    def checkpoint(self, name: str = "checkpoint_last.pt") -> dict:
        """A checkpoint that it wrote, read as nothing but tensors and plain containers."""
        import torch

        return torch.load(self.save_dir / name, map_location="cpu", weights_only=True)


@pytest.fixture(scope="session")
def forked(repo_dir: Path):
    """`forked(script, **globals)` runs a script in a process forked from one that has fairseq loaded.

    Loading fairseq takes seconds; a fork does not. Returns the process.
    """
    import multiprocessing
    import runpy
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["fairseq_cli.hydra_train", "torch._dynamo", "fairseq_signals.tasks", "sklearn.metrics"]
    )

    # now, since it imports what lies in the folder that the tests are run in, and a test may leave that
    forkserver.ensure_running()
    processes = []

    def start(script: Path, **values: object):
        process = context.Process(target=runpy.run_path, args=(str(script), values))
        process.start()
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(scope="session")
def two_workers(forked, repo_dir: Path, tmp_path_factory):
    """`two_workers(scenarios)`: what each of two workers computed, see `data_parallel_worker.py`."""
    import torch

    def run(scenarios: dict) -> list:
        folder = tmp_path_factory.mktemp("data_parallel")
        torch.save(scenarios, folder / "scenarios.pt")
        given = {"MEETING": str(folder / "meeting"), "SCENARIOS": str(folder / "scenarios.pt")}
        script = repo_dir / "tests" / "data_parallel_worker.py"
        results = [folder / f"{rank}.pt" for rank in range(2)]
        processes = [
            forked(script, RANK=rank, RESULTS=str(path), **given) for rank, path in enumerate(results)
        ]
        for process in processes:
            process.join(timeout=300)
            assert process.exitcode == 0
        return [torch.load(path, weights_only=True) for path in results]

    return run


@pytest.fixture(scope="session")
def start_fairseq(forked, repo_dir: Path):
    """`start_fairseq(command, folder, *arguments)` starts `fairseq_cli.COMMAND` there, as a `Training`.

    With `full_error="0"` hydra looks through every module to show less of an error of fairseq's own.
    """

    def start(command: str, folder: Path, *arguments: str, full_error: str = "1") -> Training:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "log.txt"
        log.touch()
        given = {"COMMAND": f"fairseq_cli.{command}", "ARGV": arguments, "CWD": str(folder), "LOG": str(log)}
        given["FULL_ERROR"] = full_error
        return Training(forked(repo_dir / "tests" / "fairseq_command.py", **given), log, folder)

    return start


@pytest.fixture(scope="session")
def start_training(start_fairseq, repo_dir: Path):
    """`start_training(config, data, save_dir, *overrides)` starts `fairseq-hydra-train`, as a `Training`.

    `config` is a YAML file, or the name of one of the quickstart.
    """

    def start(config: object, data: Path, save_dir: Path, *overrides: str, **options: str) -> Training:
        file = repo_dir / "examples" / "quickstart" / "config" / f"{config}.yaml"
        if isinstance(config, Path):
            file = config
        arguments = (
            *("--config-dir", str(file.parent), "--config-name", file.stem),
            f"common.user_dir={repo_dir / 'fairseq_signals'}",
            f"task.data={data}",
            f"checkpoint.save_dir={save_dir}",
            f"hydra.run.dir={save_dir / 'hydra'}",
            "dataset.num_workers=0",
            "common.log_interval=1",
            *overrides,
        )
        return start_fairseq("hydra_train", save_dir, *arguments, **options)

    return start


@pytest.fixture(scope="session")
def pretrained(start_training, corpus, tiny_pretraining, tmp_path_factory) -> Path:
    """A checkpoint of two updates of tiny pre-training."""
    folder = tmp_path_factory.mktemp("pretrained")
    run = start_training("pretrain", corpus.pretrain, folder, "optimization.max_update=2", *tiny_pretraining)
    run.wait()
    return folder / "checkpoint_last.pt"
