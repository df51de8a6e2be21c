"""Heads: their form, and batch normalisation with its closed forms and PyTorch's own as the reference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.mlp_head import MLPHead, WorkerBatchNorm


def test_in_training_each_column_has_mean_zero_and_biased_variance_one():
    x = torch.randn(8, 5) * torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0]) + 7
    y = WorkerBatchNorm(5).train()(x)
    assert torch.allclose(y.mean(dim=0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(y.var(dim=0, unbiased=False), torch.ones(5), atol=2e-5)  # 1e-5 is its epsilon


def test_it_is_pytorchs_in_one_process_with_gradients_and_running_statistics():
    ours, theirs = WorkerBatchNorm(5), nn.BatchNorm1d(5)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for _ in range(3):
        x = torch.randn(6, 5)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [module.train()(each) for module, each in zip((ours, theirs), inputs)]
        assert torch.allclose(*outputs, atol=1e-5)
        for output in outputs:
            output.pow(3).sum().backward()
        assert torch.allclose(inputs[0].grad, inputs[1].grad, atol=1e-3)
        assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-6)


def test_a_constant_column_becomes_zero():
    x = torch.randn(6, 3)
    x[:, 1] = 2.5
    assert torch.equal(WorkerBatchNorm(3).train()(x)[:, 1], torch.zeros(6))


def test_a_batch_of_one_row_is_refused_and_says_what_to_do():
    with pytest.raises(ConfigError, match=r"two rows or more, but a batch has 1: raise dataset\.batch_size"):
        WorkerBatchNorm(3).train()(torch.randn(1, 3))
    assert torch.isfinite(WorkerBatchNorm(3).eval()(torch.randn(1, 3))).all()


def test_half_precision_is_computed_in_float32():
    norm = WorkerBatchNorm(3).train().to(torch.bfloat16)
    x = torch.randn(64, 3).to(torch.bfloat16)
    y = norm(x)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), WorkerBatchNorm(3).train()(x.float()), atol=0.02)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, ["Linear", "Linear"]),
        ({"activation": nn.GELU}, ["Linear", "GELU", "Linear"]),
        ({"norm": True}, ["Linear", "WorkerBatchNorm", "Linear"]),
        ({"norm": True, "last_norm": True}, 2 * ["Linear", "WorkerBatchNorm"]),
    ],
)  # fmt: skip
def test_a_head_has_its_layers_in_order(options, kinds):
    head = MLPHead([4, 6, 2], **options)
    assert [type(layer).__name__ for layer in head if type(layer) is not nn.ReLU] == kinds
    assert head(torch.randn(5, 4)).shape == (5, 2)
    for layer, following in zip(head, [*list(head)[1:], None]):
        if isinstance(layer, nn.Linear):
            assert (layer.bias is None) == isinstance(following, WorkerBatchNorm)
    assert all((layer.weight is None) == (layer is head[-1])
               for layer in head if isinstance(layer, WorkerBatchNorm))  # fmt: skip


def test_one_width_makes_the_identity():
    x = torch.randn(5, 4)
    assert MLPHead([4])(x) is x
