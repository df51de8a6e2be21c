"""What the middle of an encoder makes of segments: the last layers of a fine-tuned one keep its task only."""

from contextlib import contextmanager
from typing import Iterator, List, Optional

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


@contextmanager
def note_middle(network: PooledEncoder, noted: List[Tensor]) -> Iterator[None]:
    """Within it, what that layer gives in a pass through all of them, (B, F, D), is added to a list."""
    layers, middle = network.encoder.encoder.layers, middle_layer(network)
    if middle:  # what it gives: positions may be added before the next layer takes it
        hook = layers[middle - 1].register_forward_hook(lambda _, given, found: noted.append(found))
    else:
        hook = layers[0].register_forward_pre_hook(lambda _, given: noted.append(given[0]))
    try:
        yield
    finally:
        hook.remove()
