"""Segments by their manifest path: a slice of a store's record, or a `.mat` file of the authors' scripts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import scipy.io

from fairseq_signals.ecg.leads import N_LEADS
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.errors import SignalError
from fairseq_signals.manifest.places import parse_paths
from fairseq_signals.manifest.table import STORE, Manifest
from fairseq_signals.store.reading import RecordStore


class SegmentReader:
    """Reads the segments of one manifest; safe to pickle to workers.

    Args:
        manifest: what to read.
        fs: sampling rate that every segment must have, Hz.
    """

    def __init__(self, manifest: Manifest, fs: float = DEFAULT_FS):
        self.manifest = manifest
        self.fs = fs
        self.stores: dict[str, RecordStore] = {}
        self.shards: list[tuple[RecordStore, str]] = []  # store, file name
        if manifest.layout == STORE:
            names, self.places = parse_paths(manifest.paths)
            for folder, name in map(os.path.split, names):
                if folder not in self.stores:
                    self.stores[folder] = RecordStore(manifest.root / folder)
                    _require_rate(self.stores[folder], fs)
                self.shards.append((self.stores[folder], name))

    def __len__(self) -> int:
        return len(self.manifest)

    def read(self, index: int) -> np.ndarray:
        """Segment `index`: (12, n_samples) float32 in mV; leads that the record lacks are zeros.

        Raises:
            StoreError, SignalError: it is absent, too short, or of another sampling rate.
        """
        if self.manifest.layout != STORE:
            return self._mat_signal(index)
        signal = np.empty((N_LEADS, int(self.manifest.n_samples[index])), dtype=np.float32)
        self.read_into(signal, index)
        return signal

    def read_into(self, out: np.ndarray, index: int, omit: np.ndarray | None = None) -> None:
        """Fill `out`, (12, n_samples) float32, with what `read` gives of segment `index` of a store.

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


def normalize_leads(signal: np.ndarray) -> np.ndarray:
    """Each lead (..., samples) with mean 0 and standard deviation 1; a constant lead becomes zeros."""
    spread = signal.std(axis=-1, keepdims=True)
    normal = (signal - signal.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1)
    # the mean of equal numbers may be another one, by rounding, and their deviation as large as that error
    normal[(signal == signal[..., :1]).all(axis=-1)] = 0
    return normal


def _require_rate(store: RecordStore, fs: float) -> None:
    table = store.metadata(["record_id", "fs"])
    other = table.filter(pc.not_equal(table["fs"], fs))
    if len(other):
        first = other.slice(0, 1).to_pylist()[0]
        raise SignalError(
            f"{store.root}: record {first['record_id']} has {first['fs']:g} Hz, but task.sample_rate is "
            f"{fs:g} Hz; preprocess the corpus to that rate"
        )
