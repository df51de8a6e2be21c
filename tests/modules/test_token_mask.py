"""Which tokens are kept: as many in every row, each as often as another, long runs, whole leads."""

from __future__ import annotations

import math

import pytest
import torch

from fairseq_signals.modules.token_mask import (
    TokenMasking,
    keep_outside_blocks,
    keep_random,
    keep_random_of_each,
    multi_block,
)
from fairseq_signals.modules.tokens import common_run, is_kept, others, placed, restore, take


def test_kept_and_masked_are_all_tokens_in_order():
    keep = keep_random(50, 20, 0.75)
    assert keep.shape == (50, 5)
    rest = others(keep, 20)
    assert (keep.diff(dim=1) > 0).all()
    assert (rest.diff(dim=1) > 0).all()
    assert torch.equal(torch.cat([keep, rest], dim=1).sort(dim=1).values, torch.arange(20).expand(50, -1))


@pytest.mark.parametrize(
    ("n", "ratio", "kept"), [(30, 0.75, 7), (20, 0.75, 5), (100, 0.05, 95), (10, 0.9, 1)]
)
def test_the_number_that_is_kept_is_rounded_down(n, ratio, kept):
    assert keep_random(2, n, ratio).shape[1] == kept


def test_each_token_is_kept_as_often_as_another():
    share = is_kept(keep_random(10_000, 12, 0.75), 12).float().mean(dim=0)
    assert (share - 0.25).abs().max() < 3.5 * (0.25 * 0.75 / 10_000) ** 0.5


def test_padding_is_not_kept_and_the_shortest_row_decides_how_many():
    valid = torch.arange(20) < torch.tensor([20, 12, 8])[:, None]
    keep = keep_random(3, 20, 0.5, valid)
    assert keep.shape == (3, 4)
    assert take(valid, keep).all()


def test_the_same_generator_draws_the_same():
    draws = [keep_random(3, 20, 0.5, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*draws)


def test_as_many_tokens_of_each_lead():
    keep = keep_random_of_each(40, 12, 20, 0.75)
    assert keep.shape == (40, 60)
    assert (is_kept(keep, 240).view(40, 12, 20).sum(dim=2) == 5).all()
    assert (keep.diff(dim=1) > 0).all()


def test_masked_blocks_are_long():
    keep = keep_outside_blocks(300, 200, 40, 10)
    assert keep.shape == (300, 40)
    runs = []
    for row in ~is_kept(keep, 200):
        text = "".join("01"[int(masked)] for masked in row)
        runs.append([len(run) for run in text.split("0") if run])
    assert min(map(min, runs)) >= 10
    assert abs(sum(map(len, runs)) / 300 - 2.7) < 0.3  # measured of the published code: 2.7 of 59 tokens


def test_several_blocks_may_overlap():
    n, draws = 50, 4000
    covered = torch.stack([multi_block(n, 4, (0.175, 0.225)) for _ in range(draws)])
    assert abs(float(covered.float().mean()) - 0.55) < 0.02
    assert covered[:, -1].any()  # the last place is drawn too


@pytest.mark.parametrize(
    ("masking", "kept"),
    [
        (TokenMasking("time", 0.75), 6 * 12),
        (TokenMasking("lead", 0.75), 3 * 25),
        (TokenMasking("union", 0.5, 0.5), 6 * 12),
        (TokenMasking("token", 0.75), 75),
    ],
)
def test_counts_on_the_grid_of_leads_and_frames(masking, kept):
    keep = masking.draw(4, 12, 25)
    assert keep.shape == (4, kept)
    grid = is_kept(keep, 300).view(4, 12, 25)
    if masking.unit == "time":
        assert (grid == grid[:, :1]).all()
    if masking.unit == "lead":
        assert (grid == grid[:, :, :1]).all()


def test_absent_leads_are_not_kept():
    valid = torch.ones(2, 12, 25, dtype=torch.bool)
    valid[1, 4:] = False
    keep = TokenMasking("lead", 0.5).draw(2, 12, 25, valid.flatten(1))
    assert keep.shape == (2, 2 * 25)
    assert take(valid.flatten(1), keep).all()


LIMB = torch.arange(12) < 6


@pytest.mark.parametrize(
    ("masking", "least"),
    [
        (TokenMasking("lead", 0.75, limbs_together=True), 0),
        (TokenMasking("union", 0.5, 0.5, limbs_together=True), 0),
        (TokenMasking("lead", 0.25, limbs_together=True), 3),
    ],
)
def test_in_half_of_the_rows_limb_leads_are_masked_first(masking, least):
    torch.manual_seed(0)
    n = 4000
    keep = masking.draw(n, 12, 4, limb=LIMB.expand(n, -1))
    kept = is_kept(keep, 48).view(n, 12, 4).any(dim=2)
    assert (kept.sum(dim=1) == kept[0].sum()).all()  # as many as otherwise
    first = (kept & LIMB).sum(dim=1) == least
    among_all = (
        math.comb(6, int(kept[0].sum()) - least) * math.comb(6, least) / math.comb(12, int(kept[0].sum()))
    )
    share = 0.5 + 0.5 * among_all
    assert float(first.float().mean()) == pytest.approx(share, abs=3 * (share * (1 - share) / n) ** 0.5)
    assert (kept.float().mean(dim=0)[:6] < kept.float().mean(dim=0)[6:].min()).all()


def test_limb_leads_are_kept_where_a_record_has_no_others():
    valid = LIMB.repeat_interleave(4).expand(50, -1)
    keep = TokenMasking("lead", 0.5, limbs_together=True).draw(50, 12, 4, valid, LIMB.expand(50, -1))
    assert take(valid, keep).all()


def test_tokens_come_back_to_their_places():
    x = torch.randn(2, 3, 4)
    keep = torch.tensor([[0, 2, 4], [1, 2, 3]])
    whole = restore(x, keep, 5, torch.full((4,), 9.0))
    assert torch.equal(take(whole, keep), x)
    assert (take(whole, others(keep, 5)) == 9).all()


def test_too_few_tokens_for_a_block_are_masked_in_one_run():
    keep = keep_outside_blocks(200, 8, 2, min_block=10)
    masked = ~is_kept(keep, 8)
    assert (masked.sum(dim=1) == 6).all()
    assert (masked.long().diff(dim=1).abs().sum(dim=1) <= 2).all()
    assert {int(row.long().argmax()) for row in masked} == {0, 1, 2}


def test_blocks_follow_the_generator():
    def draw(seed: int) -> torch.Tensor:
        return keep_outside_blocks(5, 100, 20, 10, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_padding_is_not_kept_of_any_lead():
    valid = torch.ones(2, 3, 8, dtype=torch.bool)
    valid[1, :, 4:] = False
    valid[1, 2] = False  # an absent lead
    keep = TokenMasking("token_of_lead", 0.5).draw(2, 3, 8, valid.flatten(1))
    assert keep.shape == (2, 3 * 2)
    kept = is_kept(keep, 24).view(2, 3, 8)
    assert (kept.sum(dim=2) == 2).all()
    assert not (kept & ~valid)[1, :2].any()


def test_a_run_of_the_shortest_rows_length_lies_anywhere_in_each_row_before_its_padding():
    count = torch.tensor([10, 6, 4])
    padding = (torch.arange(10) >= count[:, None]).repeat(1, 2)  # of two leads
    firsts = []
    for _ in range(200):
        n, first = common_run(padding, 10)
        found = placed(torch.arange(2 * n).expand(3, -1), n, first, 10)
        assert n == 4
        assert not take(padding, found).any()
        assert torch.equal(found[:, :4], first + torch.arange(4))
        assert torch.equal(found[:, 4:], found[:, :4] + 10)
        firsts.append(first[:, 0])
    drawn = torch.stack(firsts)
    assert drawn.amin(dim=0).tolist() == [0, 0, 0]
    assert drawn.amax(dim=0).tolist() == (count - 4).tolist()


def test_without_padding_in_time_a_run_is_the_whole_row_and_nothing_is_drawn():
    absent = torch.tensor([[False, False], [False, True]]).repeat_interleave(5, dim=1)
    torch.manual_seed(0)
    before, index = torch.get_rng_state(), torch.tensor([[0, 4, 7], [1, 2, 9]])
    for padding in (None, absent):
        n, first = common_run(padding, 5)
        assert n == 5
        assert torch.equal(placed(index, n, first, 5), index)
    assert torch.equal(torch.get_rng_state(), before)
