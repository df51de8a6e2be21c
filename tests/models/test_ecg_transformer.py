"""The encoder as a fairseq model: the gradient of its front end."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals.models.ecg_transformer import ECGTransformerConfig, ECGTransformerModel


def gradients(tiny: dict, source: torch.Tensor, factor: float) -> dict:
    torch.manual_seed(0)
    model = ECGTransformerModel.build_model(ECGTransformerConfig(**tiny, feature_grad_mult=factor))
    torch.manual_seed(1)
    out = model(source)
    (out.x * torch.randn_like(out.x)).sum().backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_feature_grad_mult_scales_the_front_ends_gradient_and_no_other(tiny, ecg_batch, factor):
    full, scaled = (gradients(tiny, ecg_batch(), f) for f in (1.0, factor))
    for name, gradient in full.items():
        expected = gradient * (factor if name.startswith("feature_extractor.") else 1.0)
        assert torch.allclose(scaled[name], expected, rtol=1e-4, atol=1e-6), name


def test_feature_grad_mult_zero_freezes_the_front_end(tiny, ecg_batch):
    frozen = gradients(tiny, ecg_batch(), 0.0)
    for name, gradient in frozen.items():
        assert (gradient is None) is name.startswith("feature_extractor."), name


@torch.no_grad()
def test_feature_grad_mult_changes_no_value(tiny, ecg_batch):
    outputs = []
    for factor in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        outputs.append(
            ECGTransformerModel(ECGTransformerConfig(**tiny, feature_grad_mult=factor))(ecg_batch()).x
        )
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[1], outputs[2])


def test_checkpointed_layers_have_the_same_values_and_gradients_in_less_memory(tiny, ecg_batch):
    seen = {}
    for checkpointed in (False, True):
        torch.manual_seed(0)
        options = {**tiny, "dropout": 0.3, "checkpoint_activations": checkpointed}
        model = ECGTransformerModel(ECGTransformerConfig(**options)).train()
        sizes: list = []
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: (sizes.append(t.numel()), t)[1], lambda t: t
        ):
            out = model(ecg_batch())
        out.x.pow(2).sum().backward()
        gradient = {name: p.grad for name, p in model.named_parameters()}
        seen[checkpointed] = out.x, gradient, sum(sizes)
    assert torch.equal(seen[True][0], seen[False][0])
    assert list(seen[True][1]) == list(seen[False][1])
    for name, gradient in seen[False][1].items():
        assert torch.allclose(seen[True][1][name], gradient, rtol=1e-4, atol=1e-6), name
    assert seen[True][2] < seen[False][2]
