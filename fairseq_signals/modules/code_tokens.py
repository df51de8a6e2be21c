"""Codes of tokens, and what is redrawn from them (VQ-VAE, arXiv:1711.00937; of beats, HeartLang)."""

from dataclasses import dataclass
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.codebook import Codebook
from fairseq_signals.modules.mlp_head import MLPHead


@dataclass
class Sentence:
    """The words of B segments, N each, those of one lead after those of another.

    Attributes:
        valid: (B, N) bool, True where there is a word.
        codes: (B, N) the code of each.
        n_codes: K.
        g: (B, D) mean of the contextual words.
    """

    valid: Tensor
    codes: Tensor
    n_codes: int
    g: Tensor


@dataclass
class RedrawnSentence(Sentence):
    """What an auto-encoder makes of them.

    Attributes:
        words, redrawn: (B, N, p).
        told, quantised: (V, d) of the V words, of length 1, and their codes.
        n_moved: codes that training made a word's since nothing used them; None where they wait.
    """

    words: Tensor
    redrawn: Tensor
    told: Tensor
    quantised: Tensor
    n_moved: Optional[int] = None


class Tokenizer(nn.Module):
    """From contextual words (V, D) to codes.

    Args:
        dim: D.
        n_codes, code_dim, momentum, patience: of the codebook.
    """

    def __init__(self, dim: int, n_codes: int, code_dim: int, momentum: float, patience: int = 0):
        super().__init__()
        self.to_code = MLPHead([dim, dim, code_dim], activation=nn.Tanh)
        self.codebook = Codebook(n_codes, code_dim, momentum, patience)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The number of each code: (..., D) -> (...)."""
        return self.codebook.nearest(self.to_code(x))

    def coded(
        self, x: Tensor, valid: Tensor, contribute: bool = True
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Codes of contextual words, whose gradient passes through to what they are of.

        Args:
            x: (B, N, D).
            valid: (B, N) bool, True where there is a word.
            contribute: as of `gather_rows`.

        Returns:
            The numbers (B, N) and the codes (B, N, d), 0 where there is no word; what words say, of length 1,
            and their codes, (V, d).
        """
        told = F.normalize(self.to_code(x[valid]).float(), dim=1)
        quantised, number = self.codebook(told, contribute)
        codes = torch.zeros(valid.shape, dtype=torch.long, device=valid.device)
        codes[valid] = number
        given = quantised.new_zeros(*valid.shape, quantised.shape[1])
        given[valid] = told + (quantised - told).detach()
        return codes, given.to(x.dtype), told, quantised


def valid_tokens(out: Any) -> Tensor:
    """(B, N) bool, True on the tokens of an `EncoderOutput` that are neither padding nor absent."""
    if out.padding_mask is None:
        return torch.ones(out.x.shape[:2], dtype=torch.bool, device=out.x.device)
    return ~out.padding_mask
