"""LoRA (Hu et al., ICLR 2022, arXiv:2106.09685): low-rank adapters beside frozen attention projections.

Of a linear layer W x + b, a model with adapters computes W x + b + (alpha / r) B A x (Sec. 4.1, Eq. 3). A is
random and B zero at first, so that training starts from the layer itself, bit for bit.
"""

import math
from typing import Dict

import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_signals.modules.transformer import SelfAttention
from fairseq_signals.safety.rules import Rule, integer, number

#: The projections of an attention layer, which adapters can stand beside, by a letter.
PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
#: What an adapter adds to the names of the parameters of its layer: A (r, in) and B (out, r).
A, B = "lora_a", "lora_b"
#: What each option must be, in a configuration or in a checkpoint.
LORA_RULES: Dict[str, Rule] = {
    "lora_rank": integer(0, 1 << 16),
    "lora_alpha": number(1e-6, 1e6),
    "lora_dropout": number(0, 1, below=True),
    "lora_targets": Rule(
        f"one or several of the letters {''.join(PROJECTIONS)}, each once",
        lambda value: bool(value) and len(set(value)) == len(value) and set(value) <= set(PROJECTIONS),
    ),
}


class LoRALinear(nn.Linear):
    """A linear layer with an adapter; the layer's own parameters keep their names.

    Args:
        base: the layer whose parameters it takes.
        rank: r.
        alpha: the adapter counts alpha / r times.
        dropout: of the adapter's input.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0):
        super().__init__(base.in_features, base.out_features, base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.alpha, self.dropout = alpha, dropout
        self.lora_a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))  # as the weights of any linear layer

    def forward(self, x: Tensor) -> Tensor:
        adapted = F.linear(F.dropout(x, self.dropout, self.training), self.lora_a)
        return super().forward(x) + self.alpha / len(self.lora_a) * F.linear(adapted, self.lora_b)


def add_adapters(
    encoder: nn.Module, rank: int, alpha: float, dropout: float = 0.0, targets: str = "qv"
) -> None:
    """Put adapters beside projections, named by their letters, of each attention layer."""
    for attention in [module for module in encoder.modules() if isinstance(module, SelfAttention)]:
        for name in map(PROJECTIONS.__getitem__, targets):
            setattr(attention, name, LoRALinear(getattr(attention, name), rank, alpha, dropout))


def has_adapters(state: Dict[str, Tensor]) -> bool:
    """Whether these are the parameters of a model with adapters."""
    return any(key.endswith((f".{A}", f".{B}")) for key in state)


def fold_adapters(state: Dict[str, Tensor], alpha: float) -> Dict[str, Tensor]:
    """The parameters of the same model without adapters: W + (alpha / r) B A in place of W, A and B.

    Raises:
        ValueError: an adapter fits no weight; names it.
    """
    folded = {key: value for key, value in state.items() if not key.endswith((f".{A}", f".{B}"))}
    for layer in sorted({key.rpartition(".")[0] for key in state.keys() - folded.keys()}):
        a, b, weight = (state.get(f"{layer}.{name}") for name in (A, B, "weight"))
        if a is None or b is None or weight is None:
            raise ValueError(f"{layer} lacks one of {A}, {B} and weight")
        if (
            not a.dim() == b.dim() == 2
            or not 0 < len(a) == b.shape[1]
            or (len(b), a.shape[1]) != weight.shape
        ):
            raise ValueError(
                f"{layer}: {A} {tuple(a.shape)} and {B} {tuple(b.shape)} do not fit weight "
                f"{tuple(weight.shape)}"
            )
        change = alpha / len(a) * (b.double() @ a.double())
        folded[f"{layer}.weight"] = (weight.double() + change).to(weight.dtype)
    return folded
