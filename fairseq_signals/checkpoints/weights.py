"""Whether the tensors of a file can be the parameters of a trained model."""

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from torch import Tensor

from fairseq_signals.errors import CheckpointError

LARGEST_WEIGHT = 1e6
#: So many zeros in a row, 4 KB of float32, are a page of a disk that was lost, and not learnt.
ZEROS = 1024
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def require_tensors(state: Dict[Any, Any], path: Path) -> None:
    """Raise CheckpointError where names are no texts, or tensors are of more numbers than the file holds."""
    claimed, size = 0, path.stat().st_size
    for key, value in state.items():
        if not isinstance(key, str):
            raise CheckpointError(f"{path}: a parameter is called {key!r}, which is no text")
        if not isinstance(value, Tensor):
            continue
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise CheckpointError(f"{path}: {key} is no plain tensor ({value.layout}, {value.device})")
        claimed += value.numel() * value.element_size()
    if claimed > size:
        raise CheckpointError(
            f"{path}: its parameters take {claimed:,} bytes, but the file has {size:,}; do not trust it"
        )


def trained(state: Dict[str, Tensor], path: Path, mapped: bool) -> Dict[str, Tensor]:
    """Parameters of a file as copies in memory; `state` is empty then.

    They are copied one by one and their pages given back, so that only one is in memory twice. A model does
    not keep to the file itself: whoever writes over it would change the model.

    Args:
        state: parameters as a file gives them.
        path: the file.
        mapped: they lie in a mapped file, which can be read again, or no two of them share memory.

    Raises:
        CheckpointError: some cannot be those of a trained model.
    """
    copies = {}
    for key in list(state):
        value = state.pop(key).detach()
        copies[key] = value.clone(memory_format=torch.contiguous_format)
        if mapped and value.is_contiguous():
            _give_pages_back(value)
        require_trained({key: copies[key]}, path)
    return copies


def _give_pages_back(value: Tensor) -> None:
    """Tell the system that a tensor in a mapped file is not needed now: it is read again if it is used."""
    if sys.platform != "linux":
        return
    first, last = value.data_ptr(), value.data_ptr() + value.numel() * value.element_size()
    first, last = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, last // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def require_trained(state: Dict[str, Tensor], path: Path) -> None:
    """Raise CheckpointError where parameters cannot be those of a trained model.

    They are finite numbers, and a weight matrix has no zeros but for a few: those of a damaged file look like
    weights, and would give another model without a word.
    """
    for key, value in state.items():
        problem = _problem(value)
        if problem:
            raise CheckpointError(f"{path}: {key} {problem}; the file is damaged: get it again")


def _problem(value: Tensor) -> Optional[str]:
    if value.dtype not in _FLOATS:
        return f"is of {value.dtype}, not one of {', '.join(map(str, _FLOATS))}"
    flat = value.detach().reshape(-1)
    if not len(flat):
        return "is empty"
    blocks = flat[: len(flat) // ZEROS * ZEROS].view(-1, ZEROS)
    rest = flat[blocks.numel() :]
    for part in (blocks, rest[None]):
        if not part.numel():
            continue
        low, high = part.aminmax(dim=1)
        if not bool(((low >= -LARGEST_WEIGHT) & (high <= LARGEST_WEIGHT)).all()):
            return f"holds numbers that are not finite, or beyond {LARGEST_WEIGHT:g}"
        empty = (low == 0) & (high == 0)
        if value.dim() > 1 and bool(empty.any()) and (part is blocks or not len(blocks)):
            return f"is zero in {int(empty.sum()) * part.shape[1]:,} of {len(flat):,} places in a row"
    return None
