"""State spaces: the kernel, its convolution, and what a frame depends on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.modules.s4 import S4, STEPS, S4Layer, causal_convolution, discrete, legs, powers

KERNEL = [0.547052, 0.223439, 0.063994, -0.004599, -0.025622, -0.023929, -0.013252, -0.000737]
OUTPUT = [0.460329, 0.685451, 0.334222, -0.328159, -0.710392, -0.459629, 0.202563, 0.677900]
BOTH_WAYS = [0.691964, 0.589207, -0.003040, -0.602920, -0.681765, -0.169396, 0.473179, 0.677900]
U = torch.sin(torch.arange(8, dtype=torch.float64) + 1)[None, None]


def kernel(n: int, length: int, step: float = 0.1) -> torch.Tensor:
    a, b = legs(n)
    return powers(*discrete(a, b[None], torch.tensor([step], dtype=torch.float64)), length).sum(dim=1)


def test_known_kernel_and_outputs():
    k = kernel(4, 8)
    assert torch.allclose(k[0], torch.tensor(KERNEL, dtype=torch.float64), atol=1e-6)
    y = causal_convolution(U, k)
    assert torch.allclose(y[0, 0], torch.tensor(OUTPUT, dtype=torch.float64), atol=1e-6)
    later = causal_convolution(U.flip(-1), k / 2).flip(-1)
    both = y + F.pad(later[..., 1:], (0, 1))
    assert torch.allclose(both[0, 0], torch.tensor(BOTH_WAYS, dtype=torch.float64), atol=1e-6)


def test_one_number_of_state():
    a, b = legs(1)
    a, b = discrete(a, b[None], torch.tensor([0.1], dtype=torch.float64))
    assert a.item() == pytest.approx(0.904762, abs=1e-6)
    assert b.item() == pytest.approx(0.095238, abs=1e-6)
    expected = [0.095238 * 0.904762**i for i in range(50)]
    assert kernel(1, 50)[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_the_convolution_is_the_recurrence():
    torch.manual_seed(0)
    a, b = legs(8)
    step = torch.tensor([0.003, 0.02, 0.1], dtype=torch.float64)
    a, b = discrete(a, b.expand(3, -1), step)
    c, u = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 60, dtype=torch.float64)
    state, outputs = torch.zeros(3, 8, dtype=torch.float64), []
    for t in range(60):
        state = (a @ state[..., None])[..., 0] + b * u[:, t, None]
        outputs.append((c * state).sum(dim=1))
    k = torch.einsum("hn,hnl->hl", c, powers(a, b, 60))
    assert torch.allclose(causal_convolution(u[None], k)[0], torch.stack(outputs, dim=1), atol=1e-10)


def test_states_fade():
    a, b = legs(8)
    steps = torch.logspace(-3, -1, 9, dtype=torch.float64)
    a, _ = discrete(a, b.expand(9, -1), steps)
    assert torch.linalg.eigvals(a).abs().max() < 1
    assert (steps.min().item(), steps.max().item()) == pytest.approx(STEPS)


def test_a_causal_frame_does_not_depend_on_later_ones():
    torch.manual_seed(0)
    for causal in (True, False):
        layer, x = S4Layer(6, 4, causal, 0.0).eval(), torch.randn(1, 40, 6)
        changed = x.clone()
        changed[:, 20:] += 1
        differs = (layer(x) - layer(changed)).abs().amax(dim=(0, 2)) > 1e-5
        assert differs[20:].all()
        assert differs[:20].any() != causal


def test_padding_counts_as_zeros():
    torch.manual_seed(0)
    layer, x = S4Layer(6, 4, False, 0.0).eval(), torch.randn(1, 40, 6)
    keep = (torch.arange(40) < 30)[None, None, None]
    assert torch.allclose(layer(x, keep)[:, :30], layer(x[:, :30]), atol=1e-5)


def test_all_weights_have_a_gradient():
    s4 = S4(6, 4, causal=False)
    s4(torch.randn(2, 30, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in s4.parameters())


def test_kernels_have_their_precision_whatever_that_of_the_model():
    torch.manual_seed(0)
    s4 = S4(4, 8, causal=False)
    expected = s4.kernels(64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(s4.kernels(64), expected)
    x = torch.randn(2, 64, 4)
    rounded, whole = S4(4, 8, causal=False).bfloat16(), S4(4, 8, causal=False)
    whole.load_state_dict({key: value.float() for key, value in rounded.state_dict().items()})
    y = rounded(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), whole(x.bfloat16().float()), rtol=0.05, atol=0.1)


def test_fixed_kernels_are_those_of_their_length():
    torch.manual_seed(0)
    s4, x = S4(4, 8, causal=True), torch.randn(2, 30, 4)
    expected = s4(x)
    s4.fix(30)
    assert torch.equal(s4(x), expected)
    assert "fixed" not in s4.state_dict()
