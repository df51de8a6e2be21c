"""What a frozen encoder makes of the records of manifests, computed once for all tasks that share them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from fairseq_signals.benchmark.encoders import Encoder
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.errors import ManifestError
from fairseq_signals.evaluation.predict import items_of, mean_of_groups, predict
from fairseq_signals.manifest.places import parse_path
from fairseq_signals.manifest.table import STORE, Manifest, Row
from fairseq_signals.store.reading import RecordStore

BATCH_SIZE = 32
LeadSets = Mapping[str, tuple[int, ...]]


class Features:
    """The features of records under lead sets, each computed once.

    Args:
        encoder: what computes them.
        batch_size: segments, or records, at a time.
    """

    def __init__(self, encoder: Encoder, batch_size: int = BATCH_SIZE):
        self.encoder, self.batch_size = encoder, batch_size
        self._known: dict[tuple[str, tuple[str, int]], np.ndarray] = {}  # by lead set, place and length

    def of_records(self, manifest: Manifest, lead_sets: LeadSets) -> np.ndarray:
        """(S, R, D), the means over what the manifest lists of each record, in the order of `items_of`.

        Raises:
            FairseqSignalsError: a record that cannot be read or used, or features that are not finite.
        """
        fs = rate_of(manifest)
        rows = joined(manifest.rows()) if self.encoder.whole else list(manifest.rows())
        places = [(f"{manifest.root}/{row.path}", row.n_samples) for row in rows]
        lacking: dict[tuple[str, ...], list[Row]] = {}
        for row, place in dict(zip(rows, places)).items():
            names = tuple(name for name in lead_sets if (name, place) not in self._known)
            lacking.setdefault(names, []).append(row)
        for names, some in lacking.items():
            if names:
                self._compute(_of_rows(manifest, some), {name: lead_sets[name] for name in names}, fs)
        items, _ = items_of(manifest, "record")
        number = {item: i for i, item in enumerate(items)}
        group = np.array([number[row.record_id, row.patient_id] for row in rows])
        found = (np.stack([self._known[name, place] for place in places]) for name in lead_sets)
        return np.stack([mean_of_groups(values, group, len(items)) for values in found])

    def _compute(self, manifest: Manifest, lead_sets: LeadSets, fs: float) -> None:
        def compute(source: Tensor, padding_mask: None, lead_present: Tensor) -> Tensor:
            return self.encoder.features(source, lead_present, fs)

        form = replace(self.encoder.form, fs=fs)
        found = predict(compute, manifest, lead_sets, self.batch_size, self.encoder.device, form)
        for name, values in zip(lead_sets, found):
            for row, value in zip(manifest.rows(), values):
                self._known[name, (f"{manifest.root}/{row.path}", row.n_samples)] = value

    def without_frames(self, manifest: Manifest) -> str:
        """Why there are no frames of its segments; empty where there are."""
        fs, lengths = rate_of(manifest), sorted(set(manifest.n_samples.tolist()))
        if len(lengths) > 1:
            return f"the segments of {manifest.path} are not of one length"
        return self.encoder.without_frames(lengths[0], fs)

    def frames(self, manifest: Manifest, leads: tuple[int, ...]) -> np.ndarray:
        """The frames of its segments under a lead set, (N, F, D) float16, see `stored_frames`."""
        fs = rate_of(manifest)
        form = replace(self.encoder.form, fs=fs)
        return stored_frames(
            lambda source, present: self.encoder.frames(source, present, fs),
            *(manifest, {"": leads}, self.batch_size, self.encoder.device, form),
        )


def stored_frames(
    encode: Callable[[Tensor, Tensor], Tensor],
    manifest: Manifest,
    lead_set: LeadSets,
    batch_size: int,
    device: str,
    form: InputFormat,
) -> np.ndarray:
    """The frames (N, ...) of the segments of a manifest, float16, mapped from a file without a name.

    Args:
        encode: segments (B, L, T) and which leads they have -> frames (B, ...).
        lead_set: one.

    Raises:
        ManifestError: the segments are not of one length.
    """
    if len(set(manifest.n_samples.tolist())) != 1:
        raise ManifestError(f"{manifest.path}: the attentive head wants segments of one length")
    shape: tuple[int, ...] = ()
    with tempfile.TemporaryFile() as stored:

        def store(source: Tensor, padding_mask: None, lead_present: Tensor) -> Tensor:
            nonlocal shape
            x = encode(source, lead_present)
            shape = tuple(x.shape[1:])
            stored.write(x.cpu().numpy().astype(np.float16).tobytes())
            return x.flatten(1)[:, :1]  # for `predict`, which calls this in the manifest's order

        predict(store, manifest, lead_set, batch_size, device, form)
        stored.flush()
        return np.memmap(stored, np.float16, "r").reshape(len(manifest), *shape)


def joined(rows: Iterable[Row]) -> list[Row]:
    """Segments of a record that touch or overlap as one, so that a record is as long as it is listed."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.record_id, row.path.rpartition(":")[0]), []).append(row)
    pieces: list[Row] = []
    for of_record in found.values():
        stop = -1
        for row in sorted(of_record, key=_start):
            end = _start(row) + row.n_samples
            if _start(row) <= stop:
                last = pieces.pop()
                stop = max(stop, end)
                row = last._replace(n_samples=stop - _start(last))
            else:
                stop = end
            pieces.append(row)
    return pieces


def rate_of(manifest: Manifest) -> float:
    """The sampling rate of the records of a manifest, Hz.

    Raises:
        ManifestError: it lists nothing, or files of the authors' preprocessing.
        StoreError: a store that cannot be read.
    """
    if manifest.layout != STORE or not len(manifest):
        what = "no segment" if manifest.layout == STORE else "files of the authors' preprocessing"
        raise ManifestError(f"{manifest.path}: lists {what}; make it from a record store with manifests/")
    shard = manifest.root / parse_path(manifest.paths[0])[0]
    return float(RecordStore(shard.parent).metadata(["fs"], [shard.name])["fs"][0].as_py())


def _start(row: Row) -> int:
    return parse_path(row.path)[2]


def _of_rows(manifest: Manifest, rows: Iterable[Row]) -> Manifest:
    """The manifest with these rows alone."""
    paths, n_samples, records, patients, segments, targets = map(list, zip(*rows))
    lengths, numbers = np.array(n_samples, np.int64), np.array(segments, np.int64)
    return Manifest(manifest.path, manifest.root, STORE, paths, lengths, records, patients, numbers, targets)
