"""`ecg_text_masked`: what is masked of an ECG and its text, whether they match, and their contrast.

D-BETA (arXiv:2410.02131): masked language, masked ECG, matching, and a contrast by sigmoids (2303.15343).
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.masked_reconstruction import mean_of
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.distributed import gather_rows, mean_over_workers
from fairseq_signals.modules.pair_contrast import prior, sigmoid_loss
from fairseq_signals.modules.reconstruction import token_errors
from fairseq_signals.modules.text_encoder import PAD
from fairseq_signals.safety.rules import broken, number

TERMS = ("mlm", "mem", "match", "contrast")


@dataclass
class ECGTextMaskedConfig(OpenConfig):
    """Weights of the four terms; 0 leaves one out."""

    mlm: float = field(default=1.0, metadata={"help": "weight of masked pieces (task.mask_words)"})
    mem: float = field(default=1.0, metadata={"help": "weight of masked tokens of the ECG"})
    match: float = field(
        default=1.0, metadata={"help": "weight of whether the text is the ECG's (task.other_texts)"}
    )
    contrast: float = field(default=1.0, metadata={"help": "weight of the contrast, by sigmoids"})


@register_criterion("ecg_text_masked", dataclass=ECGTextMaskedConfig)
class ECGTextMaskedCriterion(ECGCriterion):
    """On model `ecg_text_fusion`, and batches that say which text is shown and what was masked in it."""

    logged = ("loss", *(f"{name}_loss" for name in TERMS), "zero_loss", "mlm_accuracy", "match_accuracy")
    takes_changed_texts = True

    def __init__(self, cfg: ECGTextMaskedConfig, task: Any):
        super().__init__(cfg, task)
        rules = dict.fromkeys(TERMS, number(0, 1e6))
        problems = broken({name: getattr(cfg, name) for name in TERMS}, rules, "criterion.")
        if not problems and not any(getattr(cfg, name) for name in TERMS):
            problems.append("criterion: all weights are 0, nothing would be learnt; raise one of them")
        for name, key in (("mlm", "mask_words"), ("match", "other_texts")):
            needed = getattr(getattr(task, "cfg", None), key, 1)
            if not problems and getattr(cfg, name) and not needed:
                problems.append(
                    f"criterion.{name}={getattr(cfg, name):g}, but task.{key} is 0, so that there is nothing "
                    f"to tell: raise that, or set criterion.{name}=0"
                )
        if problems:
            raise ConfigError("; ".join(problems))

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss times the number of segments, that number, and what to log."""
        output, own = model(**sample["net_input"]), not sample.get("repeated", False)
        label, shown, asked = sample["label"], sample["text_id"], sample["asked"]
        is_asked, aligned = asked != PAD, shown == label
        errors = F.cross_entropy(output.pieces.float().flatten(0, 1), asked.flatten(), reduction="none")
        redrawn = output.redrawn
        masked = redrawn.masked & redrawn.valid.any(dim=-1)
        nothing = torch.zeros_like(redrawn.target)
        mem, zero = (
            mean_of(token_errors(told, redrawn.target, redrawn.valid), masked, own)
            for told in (redrawn.prediction, nothing)
        )
        match = F.binary_cross_entropy_with_logits(output.match.float(), aligned.float())
        a, b, label, shown = (gather_rows(rows, own) for rows in (output.a, output.b, label, shown))
        scores = output.scale * (a @ b.T) + output.bias + prior(len(a))
        terms = {
            "mlm": mean_of(errors.view(asked.shape), is_asked, own),
            "mem": mem,
            "match": mean_over_workers(match, len(aligned), own),
            "contrast": sigmoid_loss(scores, label[:, None] == shown),
        }
        n = len(aligned)
        loss = torch.stack([getattr(self.cfg, name) * term for name, term in terms.items()]).sum() * n
        log: Dict[str, Any] = {f"{name}_loss": term.detach() * n for name, term in terms.items()}
        log |= {"loss": loss.detach(), "zero_loss": zero.detach() * n, "sample_size": n, "nsignals": n}
        log["mlm_right"] = int(((output.pieces.argmax(dim=-1) == asked) & is_asked).sum())
        log["asked"] = int(is_asked.sum())
        log["match_right"] = int(((output.match > 0) == aligned).sum())
        return loss, n, log

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log the loss, its terms, and how often pieces and matches are told right."""
        for name in ("loss", *(f"{name}_loss" for name in TERMS), "zero_loss"):
            log_share(logging_outputs, name, name, "sample_size")
        log_share(logging_outputs, "mlm_accuracy", "mlm_right", "asked", digits=5)
        log_share(logging_outputs, "match_accuracy", "match_right", "sample_size", digits=5)
