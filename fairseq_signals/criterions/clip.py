"""`clip`: vectors of two kinds find each other in a batch (CLIP, arXiv:2103.00020; SigLIP, 2303.15343).

Of model `ecg_text_clip` these are ECGs and their reports (MERL, arXiv:2403.06659).
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from fairseq.criterions import register_criterion
from fairseq.logging import metrics
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.modules.nt_xent import nt_xent_loss, without_diagonal
from fairseq_signals.modules.pair_contrast import (
    prior,
    recalled,
    sigmoid_loss,
    softmax_floor,
    softmax_loss,
)
from fairseq_signals.safety.rules import broken, number, one_of

SOFTMAX, SIGMOID = "softmax", "sigmoid"
_RULES = {"contrast": one_of(SOFTMAX, SIGMOID), "uni_modal_weight": number(0, 1e6)}


@dataclass
class ClipConfig(OpenConfig):
    """Options of the contrast; scale and bias are the model's."""

    contrast: str = field(
        default=SOFTMAX,
        metadata={
            "help": "'softmax': an ECG finds its text among all and the reverse; 'sigmoid': of each two it "
            "is told whether they belong together, with a bias that begins with the share of pairs"
        },
    )
    uni_modal_weight: float = field(
        default=0.0,
        metadata={"help": "weight of NT-Xent between the two views of a segment (MERL's UMA); task.views=2"},
    )
    temp: float = field(default=0.1, metadata={"help": "its softmax temperature (> 0)"})


@register_criterion("clip", dataclass=ClipConfig)
class ClipCriterion(ECGCriterion):
    """On models with `two_representations`, and scale and bias in their output; texts are told by `label`."""

    logged = ("loss", "floor", "scale", "text_recall", "ecg_recall")

    def __init__(self, cfg: ClipConfig, task: Any):
        super().__init__(cfg, task)
        problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "criterion.")
        if not cfg.temp > 0:
            problems.append(f"criterion.temp must be > 0, but is {cfg.temp} instead")
        if not problems and cfg.uni_modal_weight and getattr(task, "n_views", 2) < 2:
            problems.append(
                f"criterion.uni_modal_weight={cfg.uni_modal_weight:g} compares views of a segment, but "
                "task.views is 1: set that to 2, or the weight to 0"
            )
        if problems:
            raise ConfigError("; ".join(problems))

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        output = model(**sample["net_input"])
        a, b = model.two_representations(output)
        if b is None:
            raise ConfigError(
                "criterion clip compares ECGs with texts, but there are none: use task ecg_text_pretraining"
            )
        own = not sample.get("repeated", False)
        a, b, text_id = (gather_rows(rows, own) for rows in (a, b, sample["label"]))
        same = text_id[:, None] == text_id
        scores = output.scale * (a @ b.T) + output.bias  # a softmax does not heed the bias
        if self.cfg.contrast == SIGMOID:
            scores = scores + prior(len(scores))
            loss, floor = sigmoid_loss(scores, same), scores.new_zeros(())
        else:
            loss, floor = softmax_loss(scores), softmax_floor(same)
        if self.cfg.uni_modal_weight:
            segment = gather_rows(sample["segment_row"], own)
            views = without_diagonal(segment[:, None] == segment)
            loss = loss + self.cfg.uni_modal_weight * nt_xent_loss(a, views, self.cfg.temp)
        n = max(int((sample["view"] == 0).sum()), 1)
        texts, ecgs = recalled(scores, same)
        log = {"loss": loss.detach() * n, "floor": floor * n, "scale": output.scale.detach() * n}
        log |= {"text_recall": texts, "ecg_recall": ecgs, "rows": len(scores)}
        log |= {"alone": int(len(scores) < 2), "sample_size": n, "nsignals": len(sample["label"])}
        return loss * n, n, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log the loss beside the least that it can be, the scale, and how many find their partner.

        And batches of a single pair, of which nothing is learnt, where there are any.
        """
        for name in ("loss", "floor", "scale"):
            log_share(logging_outputs, name, name, "sample_size")
        for name in ("text_recall", "ecg_recall"):
            log_share(logging_outputs, name, name, "rows", digits=5)
        alone = sum(log["alone"] for log in logging_outputs)
        if alone:
            metrics.log_scalar("batches_of_one_pair", float(alone), round=0)
