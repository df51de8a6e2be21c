"""Segments and pairs of segments of a manifest; `tasks/base.py` makes a fairseq dataset of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Dict, List, Optional, Tuple, Union, cast

import numpy as np
import torch
from torch import Tensor

from fairseq_signals.batches.items import Drawing, adjacent_pairs, with_repeats
from fairseq_signals.batches.local_views import LocalViews, read_crop
from fairseq_signals.batches.memory import BatchMemory, Place, ReadyBatch
from fairseq_signals.batches.randomness import generator, generators
from fairseq_signals.batches.segment_options import DEFAULTS, SegmentOptions
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.batches.student_views import StudentViews
from fairseq_signals.batches.views import Views, keep_leads
from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.errors import LeadError, ManifestError
from fairseq_signals.manifest.table import STORE
from fairseq_signals.transforms.base import Compose, LeadMasking, Transform, draw_mask, lead_masking

logger = logging.getLogger(__name__)


class ECGDataset(torch.utils.data.Dataset):
    """One item is a segment, or a pair: two adjacent segments of one record, or one each of two of a patient.

    They come in one or several views.

    What a loader fetches is the items' numbers; `collater` reads their segments, each to its place in the
    batch, which a worker process makes in shared memory, so that nothing is copied on the way.

    All randomness (order, crops, transforms, leads of a view) is a function of seed, epoch and item, so that
    a resumed run sees what an unbroken one would have. A crop is the same in all views of a segment; each
    view has transforms of its own, which get all 12 leads; a teacher's has none.

    Args:
        reader: the segments.
        options: how they are loaded.
        views: of each segment; one by default.
        pairs: items are the pairs (2k, 2k + 1) of each record.
        drawing: what draws items that are pairs, anew each epoch where `shuffle`; in them the first is
            segment 0, the second 1.
        repeats: how often an epoch has each item whose record has three leads or more, where `shuffle`.
        transform: applied to every view of a segment, or None.
        targets: of the segments: (N, C) float32 multi-hot, (N, K) float64 numbers or (N,) long classes; or
            None.
        is_probe: (N,) bool of an identification test set, or None.
        shuffle: a new order every epoch.
        seed: of all randomness.
        subset: name that batches carry, e.g. "valid".
    """

    def __init__(
        self,
        reader: SegmentReader,
        options: SegmentOptions = DEFAULTS,
        views: Union[Views, StudentViews, None] = None,
        pairs: bool = False,
        drawing: Optional[Drawing] = None,
        repeats: int = 1,
        transform: Optional[Transform] = None,
        targets: Optional[Tensor] = None,
        is_probe: Optional[np.ndarray] = None,
        shuffle: bool = False,
        seed: int = 1,
        subset: str = "train",
    ):
        super().__init__()
        manifest = reader.manifest
        self.reader, self.options, self.targets = reader, options, targets
        single = [] if transform is None else [transform]
        self.transform = transform if isinstance(transform, Compose) else Compose(single)
        self.is_probe = None if is_probe is None else np.asarray(is_probe, dtype=bool)
        self.shuffle, self.seed, self.subset = shuffle, seed, subset
        self.leads = list(options.leads)
        self.views = Views(self.leads) if views is None else views
        self.fixed_views = self.views.draw(None) if self.views.fixed else None
        untransformed = self.views.n_teacher
        self.transforms = [Compose([])] * untransformed + [self.transform] * (len(self.views) - untransformed)
        self.n_leads = N_LEADS if options.pad_leads else len(self.leads)
        # then leads are chosen before anything is known of the signal, and segments read to where they end up
        self.masking: Optional[LeadMasking] = lead_masking(self.transform)
        if manifest.layout != STORE or not options.pad_leads or options.scaling.changes:
            self.masking = None
        self.patient_index = _index_of(manifest.patient_ids)
        self.record_index = _index_of(manifest.record_ids)
        self.segment = np.asarray(manifest.segments, dtype=np.int64)
        self.n_samples = np.asarray(manifest.n_samples)
        kept = np.flatnonzero(self.n_samples >= (options.min_sample_size or 0))
        if len(kept) < len(manifest):
            logger.info("%s: left out %d segments shorter than task.min_sample_size = %d samples",
                        manifest.path, len(manifest) - len(kept), options.min_sample_size)  # fmt: skip
        self.lengths = self.n_samples
        if options.max_sample_size:
            self.lengths = np.minimum(self.n_samples, options.max_sample_size)
        self.kept, self.drawing, self.repeats = kept, drawing, repeats if shuffle else 1
        self.items = kept[:, None]
        if pairs:
            self.items = adjacent_pairs(kept, self.record_index, self.segment)
            if alone := len(kept) - self.items.size:
                logger.info("%s: %d of %d segments have no partner and are not used in pairs",
                            manifest.path, alone, len(kept))  # fmt: skip
        self.items = self._repeated(self.items)
        self.sizes = self.lengths[self.items[:, 0]]
        self.set_epoch(1)
        patients = np.unique(self.patient_index[kept])
        without = len(patients) - len(np.unique(self.patient_index[self.items[:, 0]]))
        if drawing is not None and without:
            logger.info("%s: %d of %d patients have nothing to make a pair of and are not used",
                        manifest.path, without, len(patients))  # fmt: skip
        if len(self.items) == 0:
            what = "two segments of a patient" if drawing else "pair of segments" if pairs else "segment"
            raise ManifestError(f"{manifest.path}: has no {what} to use")
        self.memory = BatchMemory()
        self.local_views = LocalViews(reader, options, self.transform, shuffle)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> int:
        """The item's number itself, see `collater`."""
        return range(len(self))[index]

    def collater(self, samples: Sequence[int]) -> Dict[str, Any]:
        """The batch of these items, in the order item, segment of it, view of that; {} where there are none.

        Returns:
            `net_input` with `source` (B, leads, samples), `padding_mask` (B, samples) bool or None, and
            `lead_present` (B, leads) bool, True for leads that the record has and its view keeps; with views
            of a teacher `is_teacher` (B,) bool; and of each segment (B,) its item's `id`, `patient_id`,
            `record_id`, `segment`, `segment_row` (its line in the manifest) and `view`; `label` (B, ...) and
            `is_probe` (B,) where they are given.
        """
        if len(samples) == 0:  # a worker that has no batch left for this update is given an empty one
            return {}
        index = np.asarray(samples, dtype=np.int64)
        items = self.items[index]  # (N, parts)
        segments, n_views = items.reshape(-1), len(self.views)
        parts = np.tile(np.arange(items.shape[1]), len(index))
        keys = np.stack([np.repeat(index, items.shape[1]), parts], axis=1)
        source, present, place = self._read(segments, keys)
        rows = np.repeat(segments, n_views)
        columns = {
            "id": np.repeat(index, items.shape[1] * n_views),
            "patient_id": self.patient_index[rows],
            "record_id": self.record_index[rows],
            "segment": np.repeat(parts, n_views) if self.drawing else self.segment[rows],
            "segment_row": rows,
            "view": np.tile(np.arange(n_views), len(segments)),
        }
        if self.is_probe is not None:
            columns["is_probe"] = self.is_probe[rows]
        lengths, padding_mask = self.lengths[rows, None], None
        if lengths.min() < source.shape[2]:
            padding_mask = torch.from_numpy(np.arange(source.shape[2]) >= lengths)
        inputs = {"source": source, "padding_mask": padding_mask, "lead_present": present}
        if self.options.local_views:
            drawn = self._local_streams(keys)
            inputs["local_source"], inputs["local_present"] = self.local_views.read(segments, drawn)
        if self.views.n_teacher:
            inputs["is_teacher"] = torch.from_numpy(columns["view"] < self.views.n_teacher)
        batch = ReadyBatch(net_input=inputs, subset=self.subset)
        batch.place = place
        batch.update((key, torch.from_numpy(column)) for key, column in columns.items())
        if self.targets is not None:
            batch["label"] = self.targets[batch["segment_row"]]
        return dict(batch) if torch.utils.data.get_worker_info() is None else batch

    def _read(self, segments: np.ndarray, keys: np.ndarray) -> Tuple[Tensor, Tensor, Optional[Place]]:
        """Views of S segments, (S * views, leads, samples), their leads, and their place in memory.

        Args:
            keys: (S, 2) item, part.
        """
        lengths, n_views = self.lengths[segments], len(self.views)
        length = int(lengths.max() if self.options.pad else lengths.min())
        source, place = self.memory.take((len(segments) * n_views, self.n_leads, length))
        places = source.numpy().reshape(len(segments), n_views, self.n_leads, length)
        present = np.repeat(self.reader.present(segments)[:, None], n_views, axis=1)
        rngs = generators(self.seed, self.epoch, keys)
        columns = (segments.tolist(), lengths.tolist(), keys.tolist())
        for out, leads, row, n, (item, part), rng in zip(places, present, *columns, rngs):
            if n == length:
                self._read_views(out, leads, row, item, part, rng)
                continue
            whole = np.empty((n_views, self.n_leads, n), dtype=np.float32)
            self._read_views(whole, leads, row, item, part, rng)
            out[:, :, :n] = whole[:, :, :length]
            out[:, :, n:] = 0
        if self.options.keep_a_lead:
            self._require_a_lead(present, segments)
        if not self.options.pad_leads:
            present = present[:, :, self.leads]
        return source, torch.from_numpy(present.reshape(len(source), self.n_leads)), place

    def _read_views(
        self, out: np.ndarray, present: np.ndarray, row: int, item: int, part: int, rng: np.random.Generator
    ) -> None:
        """Fill `out`, (views, leads, samples), with a segment's views.

        Args:
            present: (views, 12), the leads that the record has; then those that each view has.
            rng: that of item and part.
        """
        # one stream for each view, and the next to deal out their leads
        streams, keep = (self.seed, self.epoch, item, part), self.options.keep_a_lead
        kept_leads = self.fixed_views or self._deal(present[0], row, generator(*streams, len(self.views)))
        for view, kept in enumerate(kept_leads):
            if len(kept) < N_LEADS:
                present[view] &= np.isin(np.arange(N_LEADS), kept)
        if self.masking is not None and out.shape[2] == self.n_samples[row]:
            for view in range(len(kept_leads)):
                rng = generator(*streams, view) if view else rng
                masking = cast(LeadMasking, self.transforms[view])
                present[view] &= ~draw_mask(masking, present[view], rng, keep)
                self.reader.read_into(out[view], row, ~present[view])
            return
        own, length = self.options.own_crops, int(self.lengths[row])
        signal = read_crop(self.reader, row, length, self.options.scaling, rng if self.shuffle else None)
        for view, kept in enumerate(kept_leads):
            rng = generator(*streams, view) if view else rng
            if view and own:
                crop_rng = rng if self.shuffle else None
                signal = read_crop(self.reader, row, length, self.options.scaling, crop_rng)
            changed, present[view] = self.transforms[view].change(signal, present[view], rng, keep)
            changed = keep_leads(changed, kept)
            out[view] = changed if self.options.pad_leads else changed[self.leads]

    def _local_streams(self, keys: np.ndarray) -> Iterator[np.random.Generator]:
        """Of each short view of each segment, in their order; views of their own come before."""
        first, n = len(self.views) + 1, self.options.local_views
        for item, part in keys.tolist():
            yield from (generator(self.seed, self.epoch, item, part, first + v) for v in range(n))

    def _require_a_lead(self, present: np.ndarray, segments: np.ndarray) -> None:
        """Raise LeadError where a view, of S segments (S, views, 12), has no lead; names the record."""
        without = np.argwhere(~present.any(axis=2))
        if len(without):
            segment, view = without[0].tolist()
            loaded = (self.fixed_views or [self.leads])[view if self.fixed_views else 0]
            manifest, names = self.reader.manifest, ", ".join(LEADS[i] for i in loaded)
            raise LeadError(
                f"{manifest.path}: record {manifest.record_ids[segments[segment]]} has no lead among "
                f"{names}, and the model takes no segment without any; leave it out of the manifest, or "
                "load other leads (task.leads_to_load)"
            )

    def _deal(self, present: np.ndarray, row: int, rng: np.random.Generator) -> List[List[int]]:
        """The leads of each view of segment `row`, which has the `present` leads (12,)."""
        try:
            known = self.options.keep_a_lead or self.views.n_teacher
            return self.views.draw(rng, present if known else None)
        except LeadError as error:
            manifest = self.reader.manifest
            raise LeadError(
                f"{manifest.path}: record {manifest.record_ids[row]} {error}; leave it out of the manifest"
            ) from None

    def set_epoch(self, epoch: int) -> None:
        """Draw anew what an epoch draws; a resumed run has the same."""
        self.epoch = epoch
        if self.drawing is not None:
            rng = np.random.default_rng([self.seed, epoch if self.shuffle else 0, 1])
            self.items = self._repeated(self.drawing(self.kept, self.record_index, self.patient_index, rng))
            self.sizes = self.lengths[self.items].max(axis=1)

    def _repeated(self, items: np.ndarray) -> np.ndarray:
        if self.repeats == 1:
            return items
        return with_repeats(items, self.reader.present(items[:, 0]).sum(axis=1), self.repeats)

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
