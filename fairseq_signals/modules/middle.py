"""What the middle of an encoder makes of segments: the last layers of a fine-tuned one keep its task only."""

from typing import Optional

from torch import Tensor

from fairseq_signals.modules.heads import PooledEncoder


def middle_layer(network: PooledEncoder) -> int:
    """Which layer that is, of L: L // 2, where 0 is the Transformer's input."""
    return len(network.encoder.encoder.layers) // 2


def middle_pooled(
    network: PooledEncoder,
    source: Tensor,
    padding_mask: Optional[Tensor] = None,
    lead_present: Optional[Tensor] = None,
) -> Tensor:
    """Mean over the frames of that layer: (B, leads, samples) -> (B, D); arguments as of `ECGEncoder`."""
    out = network.encoder(source, padding_mask, layer=middle_layer(network), lead_present=lead_present)
    return network.pool(out.x, out.padding_mask)
