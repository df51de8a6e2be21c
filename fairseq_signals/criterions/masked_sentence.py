"""`masked_sentence`: the codes of masked beats, or, for a tokenizer, the beats or frames themselves (after
HeartLang, arXiv:2502.10707; VQ-VAE, 1711.00937)."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple

from fairseq.criterions import register_criterion
from torch import Tensor

from fairseq_signals.criterions.base import ECGCriterion, log_share
from fairseq_signals.criterions.masked_cluster_prediction import cluster_costs, label_entropy
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.models.ecg_beat_tokens import MaskedSentence
from fairseq_signals.modules.code_tokens import RedrawnSentence


@dataclass
class MaskedSentenceConfig(OpenConfig):
    """Options of the loss."""

    commitment: float = field(
        default=1.0, metadata={"help": "of a tokenizer: weight of words' distance from their codes"}
    )


def best_constant(words: Tensor) -> Tensor:
    """Mean squared error of words (V, p) that are all redrawn as their mean."""
    return (words.float() - words.float().mean(dim=0)).square().mean()


@register_criterion("masked_sentence", dataclass=MaskedSentenceConfig)
class MaskedSentenceCriterion(ECGCriterion):
    """Cross entropy over masked words; of a tokenizer squared errors, and distances from codes, over all."""

    logged = ("loss", "trivial_loss", "code_entropy")

    def __init__(self, cfg: MaskedSentenceConfig, task: Any):
        super().__init__(cfg, task)
        if cfg.commitment < 0:
            raise ConfigError(f"criterion.commitment must be >= 0, but is {cfg.commitment} instead")

    def forward(self, model: Any, sample: Dict[str, Any], reduce: bool = True) -> Tuple[Tensor, int, Dict]:
        """The loss summed over words, their number, and what to log."""
        found = model(**sample["net_input"], contribute=not sample.get("repeated", False))
        entropy = label_entropy(found.codes, found.valid, found.n_codes)
        if isinstance(found, MaskedSentence):
            n, trivial = max(int(found.masked.sum()), 1), entropy
            mean = (cluster_costs(found.logits, found.codes) * found.masked).sum() / n
        else:
            n, (mean, trivial) = int(found.valid.sum()), self.redrawn(found)
        loss = mean * n
        log = {"loss": loss.detach(), "trivial_loss": trivial * n, "code_entropy": entropy * n}
        if getattr(found, "n_moved", None) is not None:
            log["moved_codes"] = found.n_moved * n
        return loss, n, {**log, "sample_size": n, "nsignals": len(sample["id"])}

    def redrawn(self, found: RedrawnSentence) -> Tuple[Tensor, Tensor]:
        """The mean loss of a tokenizer, and that of who redraws all words as their mean."""
        words, redrawn = found.words[found.valid].float(), found.redrawn[found.valid].float()
        error = (words - redrawn).square().mean()
        distance = (found.told - found.quantised).square().sum(dim=1).mean()
        return error + self.cfg.commitment * distance, best_constant(words)

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log means over words; `trivial_loss` is what the best constant answer costs."""
        for name in (*MaskedSentenceCriterion.logged, "moved_codes"):
            if all(name in log for log in logging_outputs):
                log_share(logging_outputs, name, name, "sample_size")
