"""Beats as tokens: QRS complexes are found, and each lead's part around each is a word (after HeartLang,
arXiv:2502.10707)."""

from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.positions import sinusoids
from fairseq_signals.modules.present_leads import PresentLeads, all_present

THRESHOLD = 0.3  #: of the energy that complexes have
LEAST_CREST = 1.5  #: energy of complexes over the mean energy, where there are some
PARTS = {"slope": 32, "mains": 48, "width": 12, "apart": 4, "time": 48}  #: of a word's .96 s


class Beats(NamedTuple):
    """Up to F beats of B segments, in order.

    Attributes:
        centre: (B, F) the sample of each; beyond the segment where there are fewer.
        start, stop: (B, F) the samples that belong to it, up to half-way to its neighbours.
        valid: (B, F) bool, True where there is a beat.
    """

    centre: Tensor
    start: Tensor
    stop: Tensor
    valid: Tensor


def smoothed(x: Tensor, n: int) -> Tensor:
    """Moving mean over about n samples, an odd number, with zeros beyond the ends: (..., T) -> the same."""
    n = n // 2
    return F.avg_pool1d(x, 2 * n + 1, stride=1, padding=n)


def complex_energy(source: Tensor, there: Tensor, word: int) -> Tensor:
    """Energy of steep slopes in all leads, smoothed: (B, leads, T) -> (B, T) (after Pan and Tompkins 1985).

    Leads are taken together, and moving means are in place of filters.

    Args:
        there: (B, T) bool, False on padding, where there is no energy.
        word: samples that .96 s have.
    """
    slope = F.pad(source.float().diff(dim=2) * there[:, None, 1:], (1, 0))
    slope = smoothed(smoothed(slope, word // PARTS["slope"]), word // PARTS["mains"])
    energy = slope.square().sum(dim=1, keepdim=True)
    for _ in range(3):
        energy = smoothed(energy, word // PARTS["width"])
    return energy[:, 0] * there


def complexes(source: Tensor, word: int) -> Tensor:
    """QRS complexes of (B, leads, T), more than a fourth of a word apart: (B, T) bool, True at each.

    A complex is the largest energy of its surroundings, and above a share of that of complexes, which is the
    mean of energy, weighted by itself. Where that is not well above the plain mean (noise, rates beyond about
    200 a minute, a flat segment), there is none. What is zero in all leads at the end of a segment is
    padding.

    Args:
        word: samples that .96 s have.
    """
    apart = word // PARTS["apart"]
    there = (source != 0).any(dim=1).flip(1).cumsum(dim=1).flip(1) > 0
    energy, count = complex_energy(source, there, word), there.sum(dim=1, keepdim=True).clamp(min=1)
    mean, power = (e.sum(dim=1, keepdim=True) / count for e in (energy, energy.square()))
    nothing = mean.square() * LEAST_CREST >= power  # of a flat segment both are 0
    earlier = F.max_pool1d(F.pad(energy, (apart, 0))[:, None, :-1], apart, stride=1)[:, 0]
    later = F.max_pool1d(F.pad(energy, (0, apart))[:, None, 1:], apart, stride=1)[:, 0]
    return (energy > earlier) & (energy >= later) & (energy * mean > THRESHOLD * power) & ~nothing


def find_beats(source: Tensor, word: int, n_slots: int) -> Beats:
    """The `complexes` of (B, leads, T) as beats; of a segment without any, a grid of words from its start.

    Args:
        word: samples that .96 s have.
        n_slots: F, as many as there can be, see `BeatWords.n_frames`.
    """
    n_samples, found = source.shape[2], complexes(source, word)
    sample = torch.arange(n_samples, device=source.device)
    latest = torch.where(found, n_samples - sample, torch.zeros_like(sample)).topk(n_slots, dim=1).values
    beats = torch.where(latest > 0, n_samples - latest, 2 * n_samples)
    slot = torch.arange(n_slots, device=source.device)
    grid = torch.where(slot < max(n_samples // word, 1), slot * word + word // 2, 2 * n_samples)
    centre = torch.where(found.any(dim=1, keepdim=True), beats, grid)
    between = (centre[:, 1:] + centre[:, :-1] + 1) // 2
    return Beats(centre, F.pad(between, (1, 0)), F.pad(between, (0, 1), value=n_samples), centre < n_samples)


class BeatWords(nn.Module):
    """The front end `beat`: words of one lead at a time to tokens, (N, 1, T) -> (N, D, F).

    A token is a linear map of the word, and sines and cosines of its time. Beats are found in all present
    leads of a segment together. A frame is a beat, the first one, the second one ..., and `stride` the least
    distance of two; frames without a beat are told by `empty`.

    Args:
        word: samples of a word.
        dim: D.
        norm: layer norm over the samples of a word before.
    """

    def __init__(self, word: int, dim: int, norm: bool = False):
        super().__init__()
        self.word, self.dim, self.stride = word, dim, word // PARTS["apart"] + 1
        self.norm: nn.Module = nn.LayerNorm(word) if norm else nn.Identity()
        self.projection = nn.Linear(word, dim)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def n_frames(self, n_samples: Any) -> Any:
        """The largest number of beats in a number of samples."""
        return (n_samples + self.stride - 1) // self.stride

    def words(self, x: Tensor) -> tuple[Tensor, Beats]:
        """Words (B, M, F, p) of segments (B, M, T), zeros beyond their beats, and the beats."""
        beats = find_beats(x, self.word, self.n_frames(x.shape[2]))
        index = beats.centre[..., None] + torch.arange(self.word, device=x.device) - self.word // 2
        inside = (index >= beats.start[..., None]) & (index < beats.stop[..., None]) & (index < x.shape[2])
        inside = inside & beats.valid[..., None]
        place = index.clamp(0, x.shape[2] - 1).flatten(1)[:, None].expand(-1, x.shape[1], -1)
        return x.gather(2, place).unflatten(2, index.shape[1:]) * inside[:, None], beats

    def beats(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Beats:
        """Those of (B, leads, T)."""
        leads = PresentLeads.of(all_present(source, lead_present))
        x = leads.grouped(source[leads.segment, leads.lead])
        return find_beats(x, self.word, self.n_frames(x.shape[2]))

    def empty(self, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """(B, F) bool, True on frames of (B, leads, T) that have no beat."""
        return ~self.beats(source, lead_present).valid

    def in_time(self, x: Tensor, source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
        """Of frames of beats (B, F, D), those at each stretch of `stride` samples: (B, F, D)."""
        beats = self.beats(source, lead_present)
        start = torch.where(beats.valid, beats.start, 2 * source.shape[2])
        middle = torch.arange(start.shape[1], device=start.device) * self.stride + self.stride // 2
        index = (start[:, None] <= middle[:, None]).sum(dim=2) - 1
        return x.gather(1, index[..., None].expand_as(x))

    def forward(self, x: Tensor, leads: PresentLeads) -> Tensor:
        words, beats = self.words(leads.grouped(x[:, 0]))
        time = sinusoids(beats.centre * (PARTS["time"] / self.word), self.dim).to(x.dtype)
        return leads.packed(self.projection(self.norm(words)) + time[:, None]).transpose(1, 2)
