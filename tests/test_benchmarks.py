"""What the benchmarks say of a step is counted as it should be; that of a GPU runs tiny, on a CPU."""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import math
import mmap
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import yaml

# what fairseq calls for a step
pytestmark = pytest.mark.filterwarnings("ignore:.torch.cuda.amp.autocast:FutureWarning")
PAPER_GFLOP = 83.6  #: of a segment of a W2V+CMSC step at the paper's size


@pytest.fixture(scope="module")
def methods(repo_dir):
    """`benchmarks/methods.py`, without its folder on the path of other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repo_dir / "benchmarks"))
        before = set(sys.modules)
        yield importlib.import_module("methods")
        for name in ("gpu", "gpu_sections", "embed", "methods", "measure", "preprocess", "process_tree"):
            if name not in before:
                sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory) -> Path:
    """A folder as `make_data` writes it."""
    from fairseq_signals.commands.clusters import main

    folder = tmp_path_factory.mktemp("methods")
    (folder / "manifests").symlink_to(corpus.pretrain)
    assert main([str(corpus.pretrain / "train.tsv"), "--out", str(folder / "clusters.npz")]) == 0
    return folder


def counted(methods, work) -> float:
    return methods.MethodStep.flops(SimpleNamespace(passes=work))


def test_a_linear_layer_counts_a_product_forward_and_two_backward(methods):
    x, weight = torch.randn(7, 5, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    assert counted(methods, lambda: F.linear(x, weight).sum().backward()) == 3 * 2 * 7 * 5 * 3


def test_attention_counts_its_products_and_not_how_they_are_computed(methods):
    q, k, v = (torch.randn(2, 4, 9, 8, requires_grad=True) for _ in range(3))
    work = lambda: F.scaled_dot_product_attention(q, k, v).sum().backward()  # noqa: E731
    assert counted(methods, work) == 3 * 2 * (2 * 2 * 4 * 9 * 9 * 8)


def test_a_fourier_transform_of_real_numbers_counts_by_its_length_there_and_back(methods):
    x = torch.randn(3, 50)
    there, back = (lambda: torch.fft.rfft(x, n=64)), (lambda: torch.fft.irfft(torch.fft.rfft(x, n=64), n=64))
    one = 3 * 2.5 * 64 * math.log2(64)
    assert [counted(methods, work) for work in (there, back)] == [one, 2 * one]


def test_all_methods_are_the_published_files_but_those_of_the_same_model_and_criterion(methods, repo_dir):
    names = methods.every_method()
    assert names[0] == methods.BASE
    assert len(set(names)) == len(names)
    kept = [yaml.safe_load(methods.config_of(name).read_text()) for name in names]
    for folder in methods.FOLDERS:
        for path in (repo_dir / "examples" / folder / "config" / "pretraining").glob("*.yaml"):
            cfg = yaml.safe_load(path.read_text())
            same = [(cfg["model"], cfg["criterion"]) == (one["model"], one["criterion"]) for one in kept]
            assert path.stem.endswith("_demo") or sum(same) == 1, path


def test_a_name_without_a_file_is_an_error_that_says_where_it_was_looked_for(methods):
    with pytest.raises(argparse.ArgumentTypeError, match=r"no examples/\*/config/pretraining/nothing.yaml"):
        methods.known("nothing")


def test_the_equal_size_is_the_base_s_and_the_predictor_grows_as_the_encoder_does(methods, data):
    base = methods.configured(methods.BASE, data).model
    own, equal = (methods.configured(f"jepa_weimann{end}", data).model for end in ("", methods.EQUAL))
    assert [equal[key] for key in methods.SHAPE] == [base[key] for key in methods.SHAPE]
    assert equal.predictor_dim / equal.encoder_embed_dim == own.predictor_dim / own.encoder_embed_dim
    assert equal.predictor_layers / equal.encoder_layers == own.predictor_layers / own.encoder_layers
    assert equal.ema_momentum == own.ema_momentum


@pytest.mark.parametrize(
    "name", ["w2v_cmsc", "all_leads", "ecg_cpc", "hubert", "adversarial_mask", "heartlang"]
)
def test_a_step_counts_and_updates_what_the_file_trains(name, methods, data):
    step = methods.MethodStep(f"{name}_demo", data)
    n = step.take(4)
    before = [parameter.clone() for parameter in step.trained]
    assert step.flops() / n > 1e7
    step.rest()
    moved = [not torch.equal(a, b) for a, b in zip(before, step.trained)]
    assert sum(moved) >= len(moved) - 1  # `mask_emb` where nothing is masked
    weights = sum(tensor.numel() for tensor in (*step.model.parameters(), *step.model.buffers())) * 4
    moments = sum(p.numel() for p in step.trained) * 8
    assert step.state_mib() == pytest.approx((weights + moments) / 2**20, rel=0.02)


@pytest.mark.parametrize(("name", "most"), [("jepa_weimann", 0.1), ("mtecg", 0.05)])
def test_tokens_that_are_left_out_show_in_a_published_step(name, most, methods, data):
    step = methods.MethodStep(name, data)
    n = step.take(2)
    assert step.flops() / n < most * PAPER_GFLOP * 1e9


def test_a_row_of_the_table_has_the_ratio_of_times_in_products(methods):
    base = {"parameters": 2e6, "gflop": 80.0, "cpu_s": 1.0, "cost": 20.0, "state_mib": 100.0}
    base |= {"step_mib": 50.0, "update_cpu_s": 0.25}
    own = {**base, "gflop": 20.0, "cpu_s": 0.2, "cost": 5.0, "step_mib": 5.0}  # the machine was faster
    row = methods.table_row("mine", {**own, **methods.ratios(own, base)})
    assert row == "| `mine` | 2.0 | 20.0 | 0.250 | 0.200 | 0.250 | 100 | 5 | 0.100 | 0.25 |"


@pytest.fixture
def gpu(methods, repo_dir, monkeypatch):
    """`benchmarks/gpu.py`."""
    monkeypatch.syspath_prepend(str(repo_dir / "benchmarks"))
    return importlib.import_module("gpu")


@pytest.fixture
def at(gpu, data):
    """The tiny size on the CPU."""
    return gpu.Setting("tiny", str(data), "cpu", 4, 1)


def test_the_benchmark_of_a_gpu_runs_on_a_cpu(repo_dir):
    options = ["--size", "tiny", "--limit-s", "900", "--sections", "flops", "loader", "two"]
    command = [sys.executable, str(repo_dir / "benchmarks" / "gpu.py"), *options]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    *table, last = run.stdout.splitlines()
    found = json.loads(last)
    assert run.returncode == 0, last
    assert found["machine"]["gpu"] is None
    assert found["peaks"] is None
    two = found["two"]
    assert two["segments"] == 2 * 2 * found["pairs"]  # of two processes, segments of pairs
    assert two["tokens_per_s"] == pytest.approx(156 * two["segments"] / two["step_s"], rel=1e-3)
    gflop_per_s = found["flops"]["gflop_per_segment"] * two["segments"] / two["step_s"]
    assert two["tflop_per_s"] == pytest.approx(gflop_per_s / 1000, rel=1e-3)
    assert two["mfu"] is None
    assert found["loader_pageable"]["in_slots"] == 1
    assert found["loader_slots"] == found["loader_copied"] == {"left_out": "there is no GPU"}
    assert "loader_slots: left out: there is no GPU" in table
    assert "no MFU: the peak of this CPU is not known" in table
    assert any(line.startswith("| two | ") for line in table)


def test_what_there_is_no_time_for_is_said_to_be_left_out(gpu, at, capsys):
    sections = gpu.Sections(at, 300.0, time.monotonic() + 1, ["agrees", "compiled"])
    sections.run_all(n_gpus=1)
    up = {"left_out": "the 300 s of --limit-s are up"}
    assert sections.found == {"agrees": up, "compiled_bf16": up, "compiled_fp32": up}
    gpu.show(sections.found)
    assert "agrees: left out: the 300 s of --limit-s are up\n" in capsys.readouterr().out


def test_a_process_that_takes_longer_than_its_limit_is_ended(gpu):
    with pytest.raises(TimeoutError, match=r"took over 0\.2 s"):
        gpu.measure.in_process(functools.partial(time.sleep, 60), limit_s=0.2)


def test_a_step_of_fairseq_s_trainer_is_timed_in_each_precision(gpu, at):
    for precision in ("fp32", "bf16"):
        found = gpu.step(at, precision)
        assert found["segments"] == 8
        assert 0 < found["step_s"] < 60


def test_float32_agrees_with_float64_and_bfloat16_does_roughly(gpu, at):
    found = gpu.agreement(at)
    assert all(found[key] <= most for key, most in gpu.TOLERANCE.items())
    assert 1e-9 < found["gradient"] < 1e-5
    assert found["bf16_loss"] > found["loss"]


def test_embedding_takes_longer_than_its_encoder(gpu, at):
    found = gpu.embedding(at)
    assert found["records_per_s"] > 0
    assert 0 < found["encoder_share"] < 2  # the clock of a busy machine


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
def test_slots_are_pinned_one_and_all_and_every_batch_comes_in_one(gpu, at, monkeypatch):
    calls = []
    cudart = SimpleNamespace(cudaHostRegister=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(torch.cuda, "cudart", lambda: cudart)
    monkeypatch.setattr(torch.cuda, "check_error", lambda status: None)
    assert gpu.loader(at, "slots")["in_slots"] == 1
    ((address, size, flags),) = calls
    slots = 2 * at.workers + 8
    assert size == mmap.PAGESIZE + slots * 8 * 12 * 2500 * 4  # the header, and float32 of 8 segments in each
    assert address % mmap.PAGESIZE == 0
    assert flags == 1


@pytest.mark.parametrize(
    ("card", "bf16", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12, 66.9e12),
        ("NVIDIA H100 PCIe", 756e12, 51e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("Tesla V100-SXM2-32GB", None, 15.7e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12, 82.6e12),
    ],
)
def test_mfu_is_flops_over_time_over_the_peak_of_the_card(card, bf16, fp32, gpu):
    assert gpu.peaks_of(card) == pytest.approx({"bf16": bf16, "fp32": fp32})
    figures = {"step_s": 0.5, "segments": 128, "tokens_per_segment": 156, "precision": "fp32", "processes": 2}
    found = {"flops": {"gflop_per_segment": 83.6}, "two": figures, "loader_slots": {"segments_per_s": 640.0}}
    gpu.derive(found, gpu.peaks_of(card))
    assert figures["mfu"] == pytest.approx(128 * 83.6e9 / 0.5 / (2 * fp32))
    assert found["loader_slots"]["of_fastest_step"] == 640 / (256 / 2)  # of one card's


@pytest.mark.parametrize("card", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA A10G", "Radeon", ""])
def test_a_card_of_unknown_peak_has_no_mfu(card, gpu):
    assert gpu.peaks_of(card) is None
