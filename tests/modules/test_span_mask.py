"""Spans of masked frames: where they may lie, how many there are, and what they depend on."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.modules.span_mask import SELECTIONS, span_mask


def runs(row: torch.Tensor) -> list[tuple[int, int]]:
    """(start, length) of every run of True."""
    edges = torch.cat([torch.tensor([False]), row, torch.tensor([False])]).int().diff()
    starts, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    return [(int(a), int(b - a)) for a, b in zip(starts, ends)]


def generator_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    b=st.integers(1, 5),
    f=st.integers(1, 60),
    prob=st.floats(0.0, 1.0),
    length=st.integers(1, 12),
    selection=st.sampled_from(SELECTIONS),
    no_overlap=st.booleans(),
    equal_rows=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_padding_is_never_masked_whatever_the_options(
    b, f, prob, length, selection, no_overlap, equal_rows, seed
):
    generator = generator_of(seed)
    valid = torch.randint(0, f + 1, (b,), generator=generator)
    padding_mask = torch.arange(f) >= valid[:, None]
    mask = span_mask(
        (b, f), prob, length, padding_mask, selection, other=2.0, no_overlap=no_overlap,
        equal_rows=equal_rows, generator=generator,
    )  # fmt: skip
    assert mask.shape == (b, f)
    assert mask.dtype == torch.bool
    assert not (mask & padding_mask).any()
    if equal_rows:
        assert len(set(mask.sum(dim=1).tolist())) == 1
    elif selection == "static" and not no_overlap:
        assert bool((mask.sum(dim=1) >= valid.clamp(max=length)).all())  # at least one span, if it fits


def test_static_spans_have_the_given_length_and_lie_inside_the_row():
    mask = span_mask((200, 80), 0.3, 10, generator=generator_of())
    lengths = [length for row in mask for _, length in runs(row)]
    assert min(lengths) == 10
    assert bool(mask[:, 0].any())
    assert bool(mask[:, -1].any())


def test_every_row_has_at_least_min_masks_spans():
    for least in (0, 1, 4):
        mask = span_mask((300, 400), 0.0, 5, min_masks=least, no_overlap=True, generator=generator_of())
        assert {len(runs(row)) for row in mask} == {least}


def test_expected_share_is_that_of_spans_that_may_overlap():
    # a frame stays unmasked if none of the 10 starts that cover it is drawn: about (1 - 0.065)^10 = 0.51
    alone = torch.stack([span_mask((1, 156), 0.65, 10, generator=generator_of(i))[0] for i in range(400)])
    together = span_mask((400, 156), 0.65, 10, generator=generator_of())
    assert alone.float().mean().item() == pytest.approx(0.49, abs=0.01)
    assert together.float().mean().item() == pytest.approx(0.49, abs=0.01)


def test_rows_that_are_cut_to_the_least_masked_one_lose_share_as_the_batch_grows():
    generator = generator_of()
    means = {}
    for b in (1, 16, 128):
        masks = [span_mask((b, 156), 0.65, 10, equal_rows=True, generator=generator) for _ in range(100)]
        means[b] = torch.stack(masks).float().mean().item()
    assert means[1] == pytest.approx(0.49, abs=0.02)
    assert means[16] == pytest.approx(0.40, abs=0.02)
    assert means[128] == pytest.approx(0.356, abs=0.02)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("min_space", [1, 3])
def test_spans_kept_apart_have_at_least_min_space_frames_between_them(selection, min_space):
    options = {"selection": selection, "other": 3.0, "no_overlap": True, "min_space": min_space}
    mask = span_mask((200, 90), 0.5, 6, **options, generator=generator_of())
    gaps = []
    for row in mask:
        spans = runs(row)
        gaps += [b - (a + length) for (a, length), (b, _) in itertools.pairwise(spans)]
        assert selection != "static" or {length for _, length in spans} == {6}
    assert min(gaps) == min_space


def test_lengths_follow_the_selection():
    def lengths(selection: str, other: float) -> torch.Tensor:
        mask = span_mask((2000, 300), 0.1, 10, None, selection, other, min_masks=1, no_overlap=True,
                         min_space=2, generator=generator_of())  # fmt: skip
        return torch.tensor([length for row in mask for _, length in runs(row)], dtype=torch.float)

    uniform = lengths("uniform", 4)
    assert (uniform.min(), uniform.max()) == (4, 20)
    assert uniform.mean().item() == pytest.approx(12, abs=0.3)
    normal = lengths("normal", 2)
    assert normal.mean().item() == pytest.approx(10, abs=0.2)
    assert normal.std().item() == pytest.approx(2, abs=0.2)
    poisson = lengths("poisson", 0)
    assert poisson.mean().item() == pytest.approx(10, abs=0.3)
    assert poisson.var().item() == pytest.approx(10, abs=1)


def test_rows_shorter_than_a_span_are_masked_as_far_as_they_go():
    padding_mask = torch.arange(20) >= torch.tensor([20, 6, 1, 0])[:, None]
    mask = span_mask((4, 20), 0.65, 10, padding_mask, generator=generator_of())
    assert mask.sum(dim=1).tolist()[1:] == [6, 1, 0]


def test_same_generator_state_gives_the_same_mask_and_another_state_another():
    one, same, other = (span_mask((4, 156), 0.65, 10, generator=generator_of(i)) for i in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_unknown_selection_is_refused():
    with pytest.raises(ValueError, match="static, uniform, normal, poisson, but is 'gamma' instead"):
        span_mask((1, 20), 0.5, 5, selection="gamma")


@pytest.mark.parametrize("shape", [(0, 10), (3, 0)])
def test_empty_batch_has_an_empty_mask(shape):
    assert span_mask(shape, 0.65, 10).shape == shape
