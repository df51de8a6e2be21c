"""CMSC: pull two segments of one patient together (CLOCS, arXiv:2005.13249; Oh et al., Eq. 3-4)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.distributed import gather_rows

DENOMINATORS = ("opposite", "other_patients")


def cmsc_loss(
    g: Tensor,
    patient_id: Tensor,
    segment: Tensor,
    temperature: float = 0.1,
    denominator: str = "opposite",
    detach_norm: bool = True,
    eps: float = 1e-8,
) -> Tensor:
    """Symmetric InfoNCE between first and second segments: the mean over positive pairs.

    A pair is positive when its first and second segment are of one patient. Without any positive pair the
    loss is 0 (with a zero gradient).

    Args:
        g: (B, D) global representations, normalised here.
        patient_id: (B,) integer; a patient may come several times.
        segment: (B,) integer; even = first, odd = second segment of a pair.
        temperature: softmax temperature, > 0.
        denominator: "opposite": a first segment is compared with all second segments, and the reverse (the
            authors' code); "other_patients": with its positive and all segments, first or second, of other
            patients (the paper).
        detach_norm: let no gradient through the norm (the authors' code).
        eps: least norm.
    """
    norm = g.float().norm(dim=-1, keepdim=True).clamp(min=eps)
    z = g.float() / (norm.detach() if detach_norm else norm)
    second = segment % 2 == 1
    a, b = z[~second], z[second]
    positive = patient_id[~second][:, None] == patient_id[second][None, :]  # (A, B) bool
    if not positive.any():
        return z.sum() * 0.0
    logits = a @ b.T / temperature  # (A, D) x (D, B) -> (A, B)
    if denominator == "opposite":
        a_to_b, b_to_a = -logits.log_softmax(dim=1), -logits.log_softmax(dim=0)
    else:
        a_to_b = _against_other_patients(logits, positive, a, patient_id[~second], temperature)
        b_to_a = _against_other_patients(logits.T, positive.T, b, patient_id[second], temperature).T
    return (a_to_b[positive].mean() + b_to_a[positive].mean()) / 2


def _against_other_patients(
    logits: Tensor, positive: Tensor, z: Tensor, patient_id: Tensor, temperature: float
) -> Tensor:
    """-log of each pair's share of itself plus all segments of other patients: (A, B), of rows z (A, D)."""
    same_patient = patient_id[:, None] == patient_id
    same_side = (z @ z.T / temperature).masked_fill(same_patient, float("-inf"))
    negatives = torch.cat([logits.masked_fill(positive, float("-inf")), same_side], dim=1)
    total = negatives.logsumexp(dim=1, keepdim=True)
    return torch.logaddexp(logits, total.expand_as(logits)) - logits


@dataclass
class CMSCCriterionConfig(OpenConfig):
    """Options of the global term."""

    temp: float = field(default=0.1, metadata={"help": "softmax temperature (> 0)"})
    eps: float = field(default=1e-8, metadata={"help": "least norm of a representation"})
    denominator: ChoiceEnum(DENOMINATORS) = field(  # type: ignore[valid-type]
        default="opposite",
        metadata={"help": "negatives: 'opposite' segments (authors' code) or 'other_patients' (paper)"},
    )
    detach_norm: bool = field(
        default=True, metadata={"help": "let no gradient through the norm (authors' code)"}
    )
    all_gather: bool = field(
        default=True, metadata={"help": "contrast with the segments of all data-parallel workers"}
    )


def global_term(
    cfg: CMSCCriterionConfig, g: Tensor, sample: Dict[str, Any]
) -> Tuple[Tensor, Dict[str, Tensor]]:
    """The CMSC loss of a batch (over all workers, if so configured) and what to log."""
    patient_id, segment = sample["patient_id"], sample["segment"]
    if cfg.all_gather:
        own = not sample.get("repeated", False)
        g, patient_id, segment = (gather_rows(rows, own) for rows in (g.float(), patient_id, segment))
    loss = cmsc_loss(g, patient_id, segment, cfg.temp, str(cfg.denominator), cfg.detach_norm, cfg.eps)
    second = segment % 2 == 1
    positive = patient_id[~second][:, None] == patient_id[second][None, :]
    return loss, {"positive_pairs": positive.sum()}


def check_cmsc_config(cfg: CMSCCriterionConfig) -> None:
    """Raise ConfigError where the temperature or the least norm is not positive."""
    for name in ("temp", "eps"):
        if not getattr(cfg, name) > 0:
            raise ConfigError(f"criterion.{name} must be > 0, but is {getattr(cfg, name)} instead")


def check_pairs(what: str, pairs: bool) -> None:
    """Raise ConfigError where items are single segments, which would leave the loss at 0."""
    if not pairs:
        raise ConfigError(
            f"{what} compares the two segments of a pair, but task.segment_pairs is false: set it to true"
        )


@register_criterion("cmsc", dataclass=CMSCCriterionConfig)
class CMSCCriterion(ECGCriterion):
    """The global term alone, on a model with `global_representation`."""

    def __init__(self, cfg: CMSCCriterionConfig, task: Any):
        super().__init__(cfg, task)
        check_cmsc_config(cfg)
        check_pairs("criterion cmsc", getattr(task, "pairs", True))

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of pairs, that number, and what to log."""
        g = model.global_representation(model(**sample["net_input"]))
        loss, log = global_term(self.cfg, g, sample)
        n_pairs = max(int((sample["segment"] % 2 == 0).sum()), 1)
        loss = loss * n_pairs
        return loss, n_pairs, {"loss": loss.detach(), "sample_size": n_pairs, "nsignals": len(g), **log}

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        log_share(logging_outputs, "loss", "loss", "sample_size")
