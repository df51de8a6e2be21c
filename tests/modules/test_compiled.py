"""Compiled modules compute the same; what cannot be compiled runs as it is, and says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairseq_signals.modules import compiled
from fairseq_signals.modules.compiled import compile_in_place


@pytest.fixture
def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh())


def break_compiler(monkeypatch: pytest.MonkeyPatch, error: Exception, at_call: bool) -> None:
    def compile_module(function):
        def forward(*args: object) -> None:
            raise error

        if not at_call:
            raise error
        return forward

    monkeypatch.setattr(compiled.torch, "compile", compile_module)


@pytest.mark.parametrize("at_call", [False, True])
def test_a_module_that_cannot_be_compiled_runs_eagerly_with_one_warning(layers, monkeypatch, caplog, at_call):
    x = torch.randn(2, 4)
    expected = layers(x)
    error = torch._dynamo.exc.TorchDynamoException("no C++ compiler\nand more")
    break_compiler(monkeypatch, error, at_call)
    compile_in_place(layers)
    for _ in range(2):
        assert torch.equal(layers(x), expected)
    assert [record.getMessage() for record in caplog.records] == [
        "model.compile: Sequential runs without it (no C++ compiler)"
    ]


def test_an_error_of_the_input_is_no_failure_to_compile(layers, monkeypatch):
    monkeypatch.setattr(compiled.torch, "compile", lambda function: function)
    compile_in_place(layers)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layers(torch.randn(2, 3))


def test_compiling_keeps_the_names_of_parameters(layers):
    names = list(layers.state_dict())
    compile_in_place(layers)
    assert list(layers.state_dict()) == names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_module_has_the_same_values_and_gradients(layers):
    x = torch.randn(2, 4)
    layers(x).pow(2).sum().backward()
    expected, gradient = layers(x), layers[0].weight.grad.clone()
    layers.zero_grad()
    compile_in_place(layers)
    layers(x).pow(2).sum().backward()
    assert torch.allclose(layers(x), expected, atol=1e-6)
    assert torch.allclose(layers[0].weight.grad, gradient, atol=1e-6)
