"""Segments and pairs of segments of a manifest; `tasks/base.py` makes a fairseq dataset of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Dict, List, Optional, Union

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.data.batch_memory import BatchMemory, ReadyBatch
from fairseq_signals.data.collater import collate
from fairseq_signals.data.manifest import STORE
from fairseq_signals.data.randomness import generator, generators
from fairseq_signals.data.segments import SegmentReader, normalize_leads
from fairseq_signals.data.views import Views, keep_leads
from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.errors import ManifestError
from fairseq_signals.transforms.base import Compose, LeadMasking, Transform, lead_masking

logger = logging.getLogger(__name__)


class ECGDataset(torch.utils.data.Dataset):
    """One item is a segment, or with `pairs` two adjacent segments of one record, in one or several views.

    All randomness (order, crops, transforms, leads of a view) is a function of seed, epoch and item, so that
    a resumed run sees what an unbroken one would have. A crop is the same in all views of a segment; each
    view has transforms of its own, which get all 12 leads.

    Args:
        reader: the segments.
        leads: indices of the leads to load.
        pad_leads: leads that are not loaded are zeros on an axis of 12; else only `leads`, in their order.
        pairs: items are the pairs (2k, 2k + 1) of each record.
        transform: applied to every view of a segment, or None.
        targets: (N, C) float32 multi-hot or (N,) long classes of the segments, or None.
        is_probe: (N,) bool of an identification test set, or None.
        shuffle: a new order every epoch.
        seed: of all randomness.
        normalize: scale each lead of a segment to mean 0 and standard deviation 1.
        pad: see `collate`.
        min_sample_size: leave out shorter segments (counted in the log), in samples.
        max_sample_size: cut longer ones: at random where `shuffle`, else at their beginning.
        subset: name that batches carry, e.g. "valid".
        views, view_leads, min_view_leads: see `Views`.
    """

    def __init__(
        self,
        reader: SegmentReader,
        leads: Sequence[int] = tuple(range(N_LEADS)),
        pad_leads: bool = True,
        pairs: bool = False,
        transform: Optional[Transform] = None,
        targets: Optional[Tensor] = None,
        is_probe: Optional[np.ndarray] = None,
        shuffle: bool = False,
        seed: int = 1,
        normalize: bool = False,
        pad: bool = True,
        min_sample_size: Optional[int] = None,
        max_sample_size: Optional[int] = None,
        subset: str = "train",
        views: int = 1,
        view_leads: str = "all",
        min_view_leads: int = 1,
    ):
        super().__init__()
        manifest = reader.manifest
        self.reader, self.transform, self.targets, self.is_probe = reader, transform, targets, is_probe
        self.leads = list(leads)
        self.views = Views(self.leads, views, view_leads, min_view_leads)
        self.fixed_views = None if view_leads == "disjoint" else self.views.draw(None)
        self.pad_leads, self.shuffle, self.seed, self.normalize = pad_leads, shuffle, seed, normalize
        self.pad, self.max_sample_size, self.subset = pad, max_sample_size, subset
        self.n_leads = N_LEADS if pad_leads else len(self.leads)
        # then leads are chosen before anything is known of the signal, and segments read to where they end up
        self.masking: Optional[LeadMasking] = lead_masking(Compose([]) if transform is None else transform)
        if reader.manifest.layout != STORE or not pad_leads or normalize:
            self.masking = None
        self.patient_index = _index_of(manifest.patient_ids)
        self.record_index = _index_of(manifest.record_ids)
        self.segment = np.asarray(manifest.segments, dtype=np.int64)
        kept = np.flatnonzero(np.asarray(manifest.n_samples) >= (min_sample_size or 0))
        if len(kept) < len(manifest):
            logger.info("%s: left out %d segments shorter than task.min_sample_size = %d samples",
                        manifest.path, len(manifest) - len(kept), min_sample_size)  # fmt: skip
        self.items = self._pair_up(kept) if pairs else kept[:, None]
        if len(self.items) == 0:
            raise ManifestError(
                f"{manifest.path}: has no {'pair of segments' if pairs else 'segment'} to use"
            )
        self.n_samples = np.asarray(manifest.n_samples)
        self.lengths = np.minimum(self.n_samples, max_sample_size) if max_sample_size else self.n_samples
        self.sizes = self.lengths[self.items[:, 0]]  # of items
        self.memory = BatchMemory()
        self.epoch = 1

    def _pair_up(self, kept: np.ndarray) -> np.ndarray:
        """(N, 2) segments 2k and 2k + 1 of each record, in the manifest's order."""
        key = self.record_index[kept] * (self.segment.max(initial=0) + 2) + self.segment[kept]
        order = np.argsort(key, kind="stable")
        key, index = key[order], kept[order]
        first = np.flatnonzero((self.segment[index[:-1]] % 2 == 0) & (np.diff(key) == 1))
        pairs = np.stack([index[first], index[first + 1]], axis=1)
        alone = len(kept) - pairs.size
        if alone:
            logger.info("%s: %d of %d segments have no partner and are not used in pairs",
                        self.reader.manifest.path, alone, len(kept))  # fmt: skip
        return pairs[np.argsort(pairs[:, 0], kind="stable")]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> List[Dict[str, Any]]:
        samples = []
        for part, row in enumerate(self.items[index].tolist()):
            signals = np.empty((len(self.views), self.n_leads, int(self.lengths[row])), dtype=np.float32)
            self._read_views(signals, row, (index, part), generator(self.seed, self.epoch, index, part))
            samples += [self._sample(index, row, view, signal) for view, signal in enumerate(signals)]
        return samples

    def __getitems__(self, indices: Sequence[int]) -> Union[ReadyBatch, List[List[Dict[str, Any]]]]:
        """What `collater` makes a batch of: the items, or where segments are of one length, the batch itself.

        A `DataLoader` calls this. Each segment is then read to its place in the batch, which a worker process
        makes in shared memory, so that nothing is copied on the way.
        """
        if len(indices) == 0:  # a worker that has no batch left for this update is given an empty one
            return []
        index = np.asarray(indices, dtype=np.int64)
        items = self.items[index]  # (N, parts)
        segments = items.reshape(-1)
        length = int(self.lengths[segments[0]])
        if (self.lengths[segments] != length).any():
            return [self[i] for i in index.tolist()]
        n_views = len(self.views)
        source, place = self.memory.take((len(segments) * n_views, self.n_leads, length))
        parts = np.tile(np.arange(items.shape[1]), len(index))
        keys = np.stack([np.repeat(index, items.shape[1]), parts], axis=1)
        places = source.numpy().reshape(len(segments), n_views, self.n_leads, length)
        rngs = generators(self.seed, self.epoch, keys)
        for out, row, key, rng in zip(places, segments.tolist(), keys.tolist(), rngs):
            self._read_views(out, row, key, rng)
        rows = np.repeat(segments, n_views)
        columns = {
            "id": np.repeat(index, items.shape[1] * n_views),
            "patient_id": self.patient_index[rows],
            "record_id": self.record_index[rows],
            "segment": self.segment[rows],
            "segment_row": rows,
            "view": np.tile(np.arange(n_views), len(segments)),
        }
        batch = ReadyBatch(net_input={"source": source, "padding_mask": None}, subset=self.subset)
        batch.place = place
        batch.update((key, torch.from_numpy(column)) for key, column in columns.items())
        if self.targets is not None:
            batch["label"] = self.targets[batch["segment_row"]]
        if self.is_probe is not None:
            batch["is_probe"] = torch.from_numpy(np.asarray(self.is_probe, dtype=bool)[rows])
        return batch

    def _read_views(self, out: np.ndarray, row: int, key: Sequence[int], rng: np.random.Generator) -> None:
        """Fill `out`, (views, leads, samples), with a segment's views; `rng` is that of `key`: item, part."""
        # one stream for each view, and the next to deal out their leads
        streams = (self.seed, self.epoch, *key)
        kept_leads = self.fixed_views or self.views.draw(generator(*streams, len(self.views)))
        if self.masking is not None and out.shape[2] == self.n_samples[row]:
            for view, kept in enumerate(kept_leads):
                rng = generator(*streams, view) if view else rng
                omit = self.masking.draw(N_LEADS, rng)
                if len(kept) < N_LEADS:
                    omit |= ~np.isin(np.arange(N_LEADS), kept)
                self.reader.read_into(out[view], row, omit)
            return
        signal = self.reader.read(row)
        if self.max_sample_size and signal.shape[1] > self.max_sample_size:
            room = signal.shape[1] - self.max_sample_size
            start = int(rng.integers(room + 1)) if self.shuffle else 0
            signal = signal[:, start : start + self.max_sample_size]
        if self.normalize:
            signal = normalize_leads(signal)
        for view, kept in enumerate(kept_leads):
            rng = generator(*streams, view) if view else rng
            changed = keep_leads(signal if self.transform is None else self.transform(signal, rng), kept)
            out[view] = changed if self.pad_leads else changed[self.leads]

    def _sample(self, index: int, row: int, view: int, signal: np.ndarray) -> Dict[str, Any]:
        sample: Dict[str, Any] = {
            "id": int(index),
            "source": torch.from_numpy(signal),
            "patient_id": int(self.patient_index[row]),
            "record_id": int(self.record_index[row]),
            "segment": int(self.segment[row]),
            "segment_row": int(row),
            "view": view,
            "subset": self.subset,
        }
        if self.targets is not None:
            sample["label"] = self.targets[row]
        if self.is_probe is not None:
            sample["is_probe"] = bool(self.is_probe[row])
        return sample

    def collater(self, samples: Union[ReadyBatch, List[List[Dict[str, Any]]]]) -> Dict[str, Any]:
        """A batch; in a loader's worker one that goes to the main process without a copy."""
        if isinstance(samples, ReadyBatch):
            return dict(samples) if torch.utils.data.get_worker_info() is None else samples
        return collate(samples, self.pad)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def ordered_indices(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self))
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self))

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index]) * self.items.shape[1] * len(self.views)

    def size(self, index: int) -> int:
        return int(self.sizes[index])


def _index_of(names: Sequence[str]) -> np.ndarray:
    """Each name's rank among the distinct names, so that it does not depend on their order."""
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
