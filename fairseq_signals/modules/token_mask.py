"""Which tokens an encoder keeps: indices, as many in every row, so that the others can be left out.

All give the kept ones, sorted, (B, k); `tokens.others` gives the rest. Randomness is PyTorch's, of
the CPU, so that every device draws the same.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from fairseq_signals.modules.encoder import EncoderOutput
from fairseq_signals.modules.present_leads import PresentLeads

UNITS = ("token", "token_of_lead", "time", "lead", "union", "blocks")


class KeptTokens(NamedTuple):
    """What is known of B segments of which the encoder is given k tokens of N = M F.

    Attributes:
        out: what the encoder gave.
        keep: (B, k) which tokens.
        padding: (B, N) bool, True on padding and absent leads; None: there are none.
        present: (B, leads) bool.
        leads: where tokens are of leads.
        n_frames, m: F and M, which is 1 where tokens are of all leads.
    """

    out: EncoderOutput
    keep: Tensor
    padding: Optional[Tensor]
    present: Tensor
    leads: Optional[PresentLeads]
    n_frames: int
    m: int


@dataclass(frozen=True)
class TokenMasking:
    """How tokens on a grid of leads and frames are masked; all-lead tokens are one row of it.

    Attributes:
        unit: "token": any; "token_of_lead": of each lead by itself; "time": all leads of a frame; "lead": all
            frames of a lead; "union": both of the latter; "blocks": long runs of frames, of all leads.
        ratio: share that is masked, of "lead" the share of leads.
        lead_ratio: of "union", share of leads that are masked; `ratio` is that of frames.
        min_block: of "blocks", the shortest run, frames.
        limbs_together: where leads are masked, in half of the rows those of the limbs go first, all of them
            unless too few others would be left: each is a linear combination of any two of them.
    """

    unit: str
    ratio: float
    lead_ratio: float = 0.5
    min_block: int = 1
    limbs_together: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether it masks nothing."""
        return not self.ratio and not (self.unit == "union" and self.lead_ratio)

    def draw(
        self,
        b: int,
        n_leads: int,
        n_frames: int,
        valid: Optional[Tensor] = None,
        limb: Optional[Tensor] = None,
    ) -> Tensor:
        """Indices of the tokens that are kept, (B, k), lead after lead.

        Args:
            valid: (B, leads x frames) bool, False on padding and absent leads; None: all are.
            limb: (B, leads) bool, which leads are of the limbs; with `limbs_together` only.
        """
        grid = None if valid is None else valid.view(b, n_leads, n_frames)
        leads = None if grid is None else grid.any(dim=2)
        frames = None if grid is None else grid.any(dim=1)
        last = (torch.rand(b, 1) < 0.5) & limb.cpu() if self.limbs_together and limb is not None else None
        if self.unit == "token":
            return keep_random(b, n_leads * n_frames, self.ratio, valid)
        if self.unit == "token_of_lead":
            return keep_random_of_each(b, n_leads, n_frames, self.ratio, valid)
        if self.unit == "lead":
            return crossed(
                keep_random(b, n_leads, self.ratio, leads, last=last), torch.arange(n_frames), n_frames
            )
        if self.unit == "blocks":
            kept = max(math.ceil(n_frames * (1 - self.ratio) - 1e-9), 1)
            columns = keep_outside_blocks(b, n_frames, kept, self.min_block)
        else:
            columns = keep_random(b, n_frames, self.ratio, frames)
        rows = torch.arange(n_leads).expand(b, -1)
        if self.unit == "union":
            rows = keep_random(b, n_leads, self.lead_ratio, leads, last=last)
        return crossed(rows, columns, n_frames)


def crossed(rows: Tensor, columns: Tensor, n_columns: int) -> Tensor:
    """Indices of the tokens in chosen rows (B, m) and columns (B, k) or (k,) of a grid: (B, m k)."""
    columns = columns.to(rows.device)
    return (rows[..., None] * n_columns + columns[..., None, :]).flatten(-2)


def keep_random(
    b: int,
    n: int,
    ratio: float,
    valid: Optional[Tensor] = None,
    generator: Optional[torch.Generator] = None,
    last: Optional[Tensor] = None,
) -> Tensor:
    """k = floor(n (1 - ratio)) of n tokens, at least 1, uniformly without replacement.

    Args:
        ratio: share that is masked.
        valid: (B, N) bool, True on tokens that can be kept; k then is by the row with fewest of them.
        last: (B, N) bool, True on tokens that are kept only where there are too few others.
    """
    most = n if valid is None else int(valid.sum(dim=1).min())
    score = torch.rand(b, n, generator=generator)
    if last is not None:
        score = score + last
    if valid is not None:
        score = score.masked_fill(~valid.cpu(), 2.0)
    kept = score.argsort(dim=1)[:, : max(_kept(most, ratio), 1)].sort(dim=1).values
    return kept if valid is None else kept.to(valid.device)


def keep_random_of_each(
    b: int,
    groups: int,
    n: int,
    ratio: float,
    valid: Optional[Tensor] = None,
    generator: Optional[torch.Generator] = None,
) -> Tensor:
    """As `keep_random` within each of `groups` runs of n tokens, such as those of a lead: (B, groups k).

    Where a run has no valid token, as of an absent lead, any are kept.
    """
    if valid is not None:
        valid = valid.view(b * groups, n).cpu()
        valid = valid | ~valid.any(dim=1, keepdim=True)
    kept = keep_random(b * groups, n, ratio, valid, generator).view(b, groups, -1)
    return (kept + n * torch.arange(groups)[None, :, None]).flatten(1)


def _kept(n: int, ratio: float) -> int:
    return int(n * (1 - ratio) + 1e-9)  # .75 of 30 leaves 7, but .9 of 10 leaves 1, not 0


def keep_outside_blocks(
    b: int, n: int, kept: int, min_block: int, generator: Optional[torch.Generator] = None
) -> Tensor:
    """All but long runs of tokens: each row splits its range at random until n - kept tokens are masked.

    A masked run is `min_block` tokens long or longer, where so many are masked at all (K. Weimann, T. O. F.
    Conrad, arXiv:2410.13867, as its published code has it).
    """
    # Python's numbers, of PyTorch's seed: a hundred draws of single numbers take PyTorch milliseconds
    numbers = random.Random(int(torch.randint(1 << 62, (), generator=generator)))
    rows = [_outside_blocks(n, kept, min_block, numbers) for _ in range(b)]
    return torch.tensor(rows, dtype=torch.long).view(b, kept)


def _outside_blocks(n: int, kept: int, min_block: int, numbers: random.Random) -> List[int]:
    intervals: List[Tuple[int, int]] = [(0, n)]  # of what is kept
    missing = n - kept
    while missing > 0:
        lengths = [stop - start for start, stop in intervals]
        (chosen,) = numbers.choices(range(len(intervals)), lengths)
        start, stop = intervals.pop(chosen)
        block = missing if missing < min_block else numbers.randint(min_block, missing)
        if stop - start <= block:
            missing -= stop - start
            continue
        ends = [first for first, free in ((start, start > 0), (stop - block, stop < n)) if free]
        if missing >= min_block or not ends:
            first = numbers.randint(start, stop - block)
        else:  # too short a block to stand alone: it goes on from a masked one
            first = numbers.choice(ends)
        intervals += [part for part in ((start, first), (first + block, stop)) if part[0] < part[1]]
        missing -= block
    return sorted(i for start, stop in intervals for i in range(start, stop))


def multi_block(
    n: int, blocks: int, share: Tuple[float, float], generator: Optional[torch.Generator] = None
) -> Tensor:
    """What several blocks of one length cover, which may overlap: (n,) bool.

    The length is n times a share that is uniform between two (S. Kim, arXiv:2410.08559).
    """
    length = max(math.floor(n * uniform(*share, generator)), 1)
    covered = torch.zeros(n, dtype=torch.bool)
    for _ in range(blocks):
        first = _integer(0, n - length, generator)
        covered[first : first + length] = True
    return covered


def random_run(
    n: int, share: Tuple[float, float], generator: Optional[torch.Generator] = None
) -> Tuple[int, int]:
    """Start and stop of a run of n tokens' share that is uniform between two, anywhere among them."""
    length = max(math.floor(n * uniform(*share, generator)), 1)
    first = _integer(0, n - length, generator)
    return first, first + length


def uniform(low: float, high: float, generator: Optional[torch.Generator] = None) -> float:
    """A random number between two."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def _integer(low: int, high: int, generator: Optional[torch.Generator]) -> int:
    """Uniform from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def mask_share(valid: Tensor, ratio: float) -> Tensor:
    """A share of each row's valid tokens, rounded down, but one at least: (B, N) bool -> (B, N) bool."""
    score = torch.rand(valid.shape).to(valid.device).masked_fill(~valid, 2.0)
    number = (valid.sum(dim=1, keepdim=True) * ratio).floor().clamp(min=1)
    return (score.argsort(dim=1).argsort(dim=1) < number) & valid
