"""Segments by their manifest path: a slice of a store's record, or a `.mat` file of the authors' scripts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import scipy.io

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.normalize import RECORD, Moments, Scaling, moments
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.errors import SignalError
from fairseq_signals.manifest.places import parse_paths
from fairseq_signals.manifest.table import STORE, Manifest
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.resampled import resampled_otherwise

_MOST_MOMENTS = 2**16  # records of which moments are kept, about 45 MB


class SegmentReader:
    """Reads the segments of one manifest; safe to pickle to workers.

    Args:
        manifest: what to read.
        fs: sampling rate that every segment must have, Hz.
        resampler: how their stores must have been resampled; None: in whatever way.

    Attributes:
        resampler: how the stores were resampled; None where they differ, or there is no store.
    """

    def __init__(self, manifest: Manifest, fs: float = DEFAULT_FS, resampler: str | None = None):
        self.manifest = manifest
        self.fs = fs
        self.stores: dict[str, RecordStore] = {}
        self.shards: list[tuple[RecordStore, str]] = []  # store, file name
        self.known_moments: dict[tuple[int, int], Moments] = {}  # of shard and row
        if manifest.layout == STORE:
            names, self.places = parse_paths(manifest.paths)
            for folder, name in map(os.path.split, names):
                if folder not in self.stores:
                    self.stores[folder] = RecordStore(manifest.root / folder)
                    _require_rate(self.stores[folder], fs)
                    _require_resampler(self.stores[folder], resampler)
                self.shards.append((self.stores[folder], name))
        found = {store.resampler for store in self.stores.values()}
        self.resampler = found.pop() if len(found) == 1 else None

    def __len__(self) -> int:
        return len(self.manifest)

    def read(self, index: int, dtype: Any = np.float32) -> np.ndarray:
        """Segment `index`: (12, n_samples) in mV; leads that the record lacks are zeros.

        Raises:
            StoreError, SignalError: it is absent, too short, or of another sampling rate.
        """
        if self.manifest.layout != STORE:
            return self._mat_signal(index)
        signal = np.empty((N_LEADS, int(self.manifest.n_samples[index])), dtype=dtype)
        self.read_into(signal, index)
        return signal

    def read_scaled(
        self,
        index: int,
        scaling: Scaling,
        start: int = 0,
        n_samples: int | None = None,
        change: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ) -> np.ndarray:
        """Segment `index`, or `n_samples` of it from `start`, as a model wants it: (12, n_samples) float32.

        Args:
            change: what is done to it in mV; the moments of a whole record stay those of the recording.

        Raises:
            StoreError, SignalError: as `read`; or the moments of the whole record are wanted of `.mat` files,
                which are segments.
        """
        stretch = slice(start, None if n_samples is None else start + n_samples)
        if scaling.normalize == RECORD:
            return scaling.apply(change(self.read(index, np.float64)[:, stretch]), self.moments(index))
        dtype = np.float32 if scaling.scale == 1 else np.float64  # rounded once
        return scaling.apply(change(self.read(index, dtype)[:, stretch]))

    def moments(self, index: int) -> Moments:
        """Mean and deviation of each lead over the whole record that segment `index` is of; (12, 1) each."""
        if self.manifest.layout != STORE:
            raise SignalError(
                f"{self.manifest.path}: task.normalize is record, but its files are segments, of which the "
                "records are not known; set it to segment, or preprocess the records into a store"
            )
        shard, row, _ = self.places[index].tolist()
        if (shard, row) not in self.known_moments:
            if len(self.known_moments) >= _MOST_MOMENTS:
                self.known_moments.clear()
            store, name = self.shards[shard]

            def read(start: int, stop: int) -> np.ndarray:
                out = np.empty((N_LEADS, stop - start))
                store.read_into(out, name, row, start)
                return out

            self.known_moments[shard, row] = moments(read, store.n_samples(name, row))
        return self.known_moments[shard, row]

    def present(self, indices: np.ndarray) -> np.ndarray:
        """(S, 12) bool, True where the record of a segment has the lead, though it may be flat.

        The authors' `.mat` files do not say which leads a record has: there all count as present.

        Args:
            indices: (S,) of segments.
        """
        present = np.ones((len(indices), N_LEADS), dtype=bool)
        if self.manifest.layout == STORE:
            shards, rows = self.places[indices, 0], self.places[indices, 1]
            for shard in np.unique(shards).tolist():
                store, name = self.shards[shard]
                of_shard = shards == shard
                present[of_shard] = store.present(name, rows[of_shard])
        return present

    def read_into(self, out: np.ndarray, index: int, omit: np.ndarray | None = None) -> None:
        """Fill `out`, (12, n_samples), with what `read` gives of segment `index` of a store.

        Leads for which `omit` (12,) is True are not read: they become zeros.
        """
        shard, row, start = self.places[index].tolist()
        store, name = self.shards[shard]
        store.read_into(out, name, row, start, omit)

    def _load_mat(self, index: int) -> tuple[Path, dict[str, Any]]:
        """A `.mat` segment file, and all that it holds."""
        path = self.manifest.root / self.manifest.paths[index]
        try:
            return path, scipy.io.loadmat(str(path))
        except FileNotFoundError:
            raise SignalError(f"{path}: no such file; the manifest {self.manifest.path} names it") from None
        except (ValueError, TypeError, OSError, NotImplementedError) as error:
            raise SignalError(f"{path}: not a readable MATLAB file ({error})") from error

    def mat_label(self, index: int) -> np.ndarray:
        """The multi-hot label (C,) inside a `.mat` segment file."""
        path, mat = self._load_mat(index)
        label = mat.get("label")
        if label is None:
            raise SignalError(f"{path}: has no 'label'; preprocess it again with labels")
        return np.asarray(label, dtype=np.float32).reshape(-1)

    def _mat_signal(self, index: int) -> np.ndarray:
        path, mat = self._load_mat(index)
        if "feats" not in mat:
            raise SignalError(f"{path}: has no 'feats'; it is not a segment of the authors' preprocessing")
        fs = float(np.asarray(mat.get("curr_sample_rate", self.fs)).reshape(-1)[0])
        if fs != self.fs:
            raise SignalError(f"{path}: sampling rate is {fs:g} Hz, but {self.fs:g} Hz is expected")
        signal = np.asarray(mat["feats"], dtype=np.float32)
        if signal.ndim != 2 or signal.shape[0] != N_LEADS:
            raise SignalError(f"{path}: 'feats' must be ({N_LEADS}, samples), but is {signal.shape} instead")
        if not np.isfinite(signal).all():
            raise SignalError(f"{path}: has samples that are not finite; remove it from the manifest")
        n_samples = int(self.manifest.n_samples[index])
        if signal.shape[1] < n_samples:
            raise SignalError(
                f"{path}: has {signal.shape[1]} samples, but {self.manifest.path} says {n_samples}; "
                "make the manifest again"
            )
        return signal[:, :n_samples]


def _require_rate(store: RecordStore, fs: float) -> None:
    table = store.metadata(["record_id", "fs"])
    other = table.filter(pc.not_equal(table["fs"], fs))
    if len(other):
        first = other.slice(0, 1).to_pylist()[0]
        raise SignalError(
            f"{store.root}: record {first['record_id']} has {first['fs']:g} Hz, but task.sample_rate is "
            f"{fs:g} Hz; preprocess the corpus to that rate"
        )


def _require_resampler(store: RecordStore, wanted: str | None) -> None:
    if wanted is not None and resampled_otherwise(store, wanted):
        raise SignalError(
            f"{store.root}: its records were resampled {store.resampler}, but task.resampler is {wanted}, as "
            f"the model expects; preprocess again with --resampler {wanted}, or set "
            f"task.resampler={store.resampler}"
        )
