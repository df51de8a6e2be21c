"""Short stretches of segments, as further views of them (multi-crop, SwAV, arXiv:2006.09882, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.batches.segment_options import SegmentOptions
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.batches.views import keep_leads
from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ManifestError
from fairseq_signals.transforms.base import Compose


def read_crop(
    reader: SegmentReader, row: int, length: int, scaling: Scaling, rng: Optional[np.random.Generator]
) -> np.ndarray:
    """`length` samples of a segment, (12, length): anywhere in it, or without `rng` its beginning."""
    room = int(reader.manifest.n_samples[row]) - length
    start = int(rng.integers(room + 1)) if room and rng is not None else 0
    return reader.read_scaled(row, scaling, start, length)


class LocalViews:
    """Reads them.

    Args:
        reader: the segments.
        options: how many views, how long, of which leads.
        transform: of each view.
        shuffle: they are anywhere; else at the beginning.
    """

    def __init__(self, reader: SegmentReader, options: SegmentOptions, transform: Compose, shuffle: bool):
        self.reader, self.options, self.transform, self.shuffle = reader, options, transform, shuffle

    def read(self, segments: np.ndarray, streams: Iterator[np.random.Generator]) -> Tuple[Tensor, Tensor]:
        """Views of S segments, one segment's after another's: (S x views, leads, samples), and their leads.

        Args:
            streams: of each view, its randomness.

        Raises:
            ManifestError: a segment is shorter than they are.
        """
        options, manifest = self.options, self.reader.manifest
        rows = np.repeat(segments, options.local_views)
        lengths = np.asarray(manifest.n_samples)[rows]
        if lengths.min() < options.local_samples:
            short = rows[lengths.argmin()]
            raise ManifestError(
                f"{manifest.path}: a segment of record {manifest.record_ids[short]} has {lengths.min():,} "
                f"samples, fewer than task.local_samples = {options.local_samples:,}; lower it, or set "
                "task.min_sample_size"
            )
        leads = list(options.leads)
        present = self.reader.present(rows) & np.isin(np.arange(N_LEADS), leads)
        n_leads = N_LEADS if options.pad_leads else len(leads)
        out = np.empty((len(rows), n_leads, options.local_samples), dtype=np.float32)
        for place, (row, rng) in enumerate(zip(rows.tolist(), streams)):
            crop_rng = rng if self.shuffle else None
            signal = read_crop(self.reader, row, options.local_samples, options.scaling, crop_rng)
            changed, present[place] = self.transform.change(signal, present[place], rng, options.keep_a_lead)
            changed = keep_leads(changed, leads)
            out[place] = changed if options.pad_leads else changed[leads]
        return torch.from_numpy(out), torch.from_numpy(present if options.pad_leads else present[:, leads])
