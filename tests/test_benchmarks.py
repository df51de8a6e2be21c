"""What a step of a method takes is counted as it should be, for each published configuration."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
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
        for name in ("methods", "measure", "preprocess", "process_tree"):
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


@pytest.mark.parametrize("name", ["w2v_cmsc", "all_leads", "ecg_cpc", "hubert"])
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
