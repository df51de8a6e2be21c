"""A network that masks segments against the loss, by gradient reversal (Bo et al., arXiv:2211.07889)."""

from dataclasses import dataclass, field
from typing import Any, Optional, Tuple

from fairseq.modules import GradMultiply
from torch import Tensor

from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig
from fairseq_signals.modules.adversarial_mask import MaskNetwork, binarised, drawn, masked_shares
from fairseq_signals.safety.rules import broken, integer


@dataclass
class AdversaryConfig(OpenConfig):
    """Options of the network."""

    adversarial_mask: int = field(
        default=0,
        metadata={
            "help": "masks of a network that learns to hide what the loss needs: 1; one for each lead "
            "(in_d); or others, of which one is drawn; 0: no such network"
        },
    )
    adversary_width: int = field(default=16, metadata={"help": "channels of its first level"})


_RULES = {"adversarial_mask": integer(0, 1024), "adversary_width": integer(1, 1 << 16)}


class Adversary(MaskNetwork):
    """`MaskNetwork` whose gradient is that of the loss with its sign turned (arXiv:1409.7495).

    Args:
        cfg: of an encoder and `AdversaryConfig`.

    Raises:
        ConfigError: the front end lets no gradient through.
    """

    def __init__(self, cfg: Any):
        problems = broken({name: getattr(cfg, name) for name in _RULES}, _RULES, "model.")
        if not cfg.feature_grad_mult:
            problems.append(
                "model.adversarial_mask learns through the front end, but model.feature_grad_mult=0 lets "
                "nothing through it: set it above 0"
            )
        if problems:
            raise ConfigError("; ".join(problems))
        super().__init__(cfg.in_d, cfg.adversarial_mask, cfg.adversary_width)
        self.factor = -1 / cfg.feature_grad_mult  # which the front end gives the gradient

    def masked(
        self,
        source: Tensor,
        rows: Optional[Tensor],
        padding_mask: Optional[Tensor] = None,
        lead_present: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor]:
        """Segments (B, leads, samples), masked where `rows` (B,) is True, and the shares of those's masks.

        Raises:
            ConfigError: nobody says which rows.
        """
        if rows is None:
            raise ConfigError(
                "model.adversarial_mask needs a criterion that tells which segments to mask: simclr, 3kg, "
                "clocs, cocoa or ts2vec, with criterion.adversary_weight above 0"
            )
        seen = source[rows]
        masks = self(seen)
        padding, present = (None if mask is None else mask[rows] for mask in (padding_mask, lead_present))
        hidden = GradMultiply.apply(binarised(drawn(masks, source.shape[1])), self.factor).to(source.dtype)
        return source.index_put((rows,), seen * (1 - hidden)), masked_shares(masks, padding, present)
