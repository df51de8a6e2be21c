"""Which leads of a batch are there, and arrays with one row for each of them."""

from dataclasses import dataclass
from typing import Optional, Tuple

import torch
from torch import Tensor

from fairseq_signals.errors import LeadError


def is_traced() -> bool:
    """Whether a program is being written, whose shapes cannot depend on which leads are present."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def require_a_lead(lead_present: Tensor) -> None:
    """Raise LeadError where a segment has none; `lead_present` is (B, L) bool."""
    if is_traced():
        return
    absent = ~lead_present.any(dim=1)
    if absent.any():
        raise LeadError(
            f"segment {int(absent.nonzero()[0])} of the batch has no lead (lead_present is False in its "
            "whole row): leave it out, or mask fewer leads"
        )


def all_present(source: Tensor, lead_present: Optional[Tensor] = None) -> Tensor:
    """`lead_present` (B, L) bool; where it is not given, all leads of a batch (B, L, samples) are.

    Raises:
        ValueError: it is of another shape.
    """
    if lead_present is None:
        return torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)
    if lead_present.shape != source.shape[:2] or lead_present.dtype != torch.bool:
        raise ValueError(
            f"lead_present must be bool of shape {tuple(source.shape[:2])}, but is {lead_present.dtype} of "
            f"{tuple(lead_present.shape)} instead"
        )
    return lead_present


@dataclass(frozen=True)
class PresentLeads:
    """The N present leads of a batch of B segments, of which the one with most has M.

    Attributes:
        segment: (N,) the segment that each is of, in ascending order.
        lead: (N,) which of the L leads it is.
        place: (N,) its place among the M of its segment.
        valid: (B, M) bool, True where a place is taken.
    """

    segment: Tensor
    lead: Tensor
    place: Tensor
    valid: Tensor

    @classmethod
    def of(cls, lead_present: Tensor) -> "PresentLeads":
        """Those of (B, L) bool; in a traced program all L, of which `valid` tells which count."""
        b, n_leads = lead_present.shape
        if is_traced():
            lead = torch.arange(n_leads, device=lead_present.device).repeat(b)
            segment = torch.arange(b, device=lead.device).repeat_interleave(n_leads)
            return cls(segment, lead, lead, lead_present)
        segment, lead = lead_present.nonzero(as_tuple=True)
        place = (lead_present.cumsum(dim=1) - 1)[segment, lead]
        count = lead_present.sum(dim=1)
        valid = torch.arange(int(count.max()), device=count.device) < count[:, None]
        return cls(segment, lead, place, valid)

    def grouped(self, rows: Tensor) -> Tensor:
        """Rows (N, ...) by segment, (B, M, ...); zeros where no place is taken."""
        b, m = self.valid.shape
        if rows.shape[0] == b * m:  # `len` would fix the size of a traced batch
            return rows.reshape(b, m, *rows.shape[1:])
        out = rows.new_zeros(b, m, *rows.shape[1:])
        return out.index_put((self.segment, self.place), rows)

    def packed(self, grouped: Tensor) -> Tensor:
        """What `grouped` undoes: (B, M, ...) -> (N, ...)."""
        if self.segment.shape[0] == grouped.shape[0] * grouped.shape[1]:
            return grouped.flatten(0, 1)
        return grouped[self.segment, self.place]

    def counts(self) -> Tensor:
        """(N,) how many leads are present in the segment of each."""
        return self.valid.sum(dim=1)[self.segment]

    def next(self, shift: int) -> Tuple[Tensor, Tensor]:
        """The lead `shift` places on from each, round in its segment; `shift` from 1 to M - 1.

        Returns:
            Its row, (N,), and (N,) bool, True where it is another lead that is present; each pair of leads
            is met at one shift.
        """
        n = self.place.shape[0]  # not `len`, see `grouped`
        first = torch.arange(n, device=self.place.device) - self.place
        if is_traced():
            row = first + (self.place + shift) % self.valid.shape[1]
            return row, self.valid.flatten()[row]
        counts = self.counts()
        return first + (self.place + shift) % counts, counts > shift

    def mean(self, grouped: Tensor) -> Tensor:
        """Mean over the leads of each segment: (B, M, ...) -> (B, ...)."""
        shape = (*self.valid.shape, *(1,) * (grouped.dim() - 2))
        valid = self.valid.view(shape).to(grouped.dtype)
        return (grouped * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
