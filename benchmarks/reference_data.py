"""REFERENCE, for comparison only: the data path of the paper's authors, written anew from its description.

One `.mat` file of float64 a segment, written with `scipy.io.savemat` from what `wfdb.rdsamp` reads; manifests
for which every file is opened, once for its length and once more to pair segments; `scipy.io.loadmat` and
torch operations sample by sample while training. The files are as large as theirs, to within 0.1 %. Left out
is what only takes time: importing their package costs another 12 CPU seconds.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import scipy.io
import torch
from torch import Tensor

SEGMENT_SECONDS, SAMPLE_RATE = 5, 500


# --- preprocessing ---------------------------------------------------------------------------------------


def preprocess(headers: Sequence[str], dest: str, workers: int) -> None:
    """Write the segments of the records as `<record>_<k>.mat`."""
    os.makedirs(dest, exist_ok=True)
    parts = [(headers[i::workers], dest) for i in range(workers)]
    if workers == 1:
        _preprocess_part(parts[0])
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(_preprocess_part, parts)


def _preprocess_part(part: Tuple[Sequence[str], str]) -> None:
    import wfdb

    headers, dest = part
    for header in headers:
        stem = header[: -len(".hea")]
        age, sex = 0.0, 0
        with open(header) as file:
            for line in file:
                if line.startswith("# Age"):
                    age = float(line.partition(":")[2])
                elif line.startswith("# Sex"):
                    sex = int("Female" in line)
        signal, fields = wfdb.rdsamp(stem)
        if fields["fs"] != SAMPLE_RATE:
            continue
        signal = signal.T
        length = SEGMENT_SECONDS * SAMPLE_RATE
        for k in range(signal.shape[1] // length):
            segment = {
                "age": age,
                "sex": sex,
                "idx": 12,
                "patient_id": os.path.basename(stem)[:8],
                "curr_sample_rate": SAMPLE_RATE,
                "curr_sample_size": length,
                "feats": signal[:, k * length : (k + 1) * length],
            }
            scipy.io.savemat(os.path.join(dest, f"{os.path.basename(stem)}_{k}.mat"), segment)


# --- manifests -------------------------------------------------------------------------------------------


def write_manifests(folder: str, dest: str) -> int:
    """Write the manifest of all segments and the one of pairs; the number of segments."""
    os.makedirs(dest, exist_ok=True)
    plain, pairs = os.path.join(dest, "plain.tsv"), os.path.join(dest, "pairs.tsv")
    n_segments = 0
    with open(plain, "w") as file:
        print(os.path.realpath(folder), file=file)
        for path in Path(folder).glob("**/*.mat"):
            found = os.path.realpath(path)
            size = int(scipy.io.loadmat(found)["curr_sample_size"].item())
            print(f"{os.path.relpath(found, os.path.realpath(folder))}\t{size}", file=file)
            n_segments += 1
    records: Dict[str, List[Tuple[int, int, int]]] = {}
    with open(plain) as file:
        root = file.readline().strip()
        for line in file:
            name, size_text = line.strip().split("\t")
            stem, _, number = name[: -len(".mat")].rpartition("_")
            leads = int(scipy.io.loadmat(os.path.join(root, name))["idx"].item())
            records.setdefault(stem, []).append((int(number), int(size_text), leads))
    with open(pairs, "w") as file:
        print(root, file=file)
        print("mat", file=file)
        for stem, segments in records.items():
            segments.sort()
            for first, second in zip(segments[::2], segments[1::2]):
                print(f"{stem}\t{first[1]}\t{first[2]}\t{first[0]},{second[0]}", file=file)
    return n_segments


# --- loading ---------------------------------------------------------------------------------------------


class RandomLeadsMasking:
    """Random lead masking of one segment (12, samples)."""

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = probability

    def __call__(self, sample: Tensor) -> Tensor:
        masked = sample.new_zeros(sample.size())
        survivors = np.random.uniform(0, 1, size=12) >= self.probability  # noqa: NPY002
        masked[survivors] = sample[survivors]
        return masked.float()


class PairDataset(torch.utils.data.Dataset):
    """The pairs of segments of a manifest that `write_manifests` made."""

    def __init__(self, manifest: str) -> None:
        with open(manifest) as file:
            self.root = file.readline().strip()
            self.extension = file.readline().strip()
            self.lines = [line.strip().split("\t") for line in file]
        self.leads = list(range(12))
        self.mask = RandomLeadsMasking()

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        stem, _, _, numbers = self.lines[index]
        sources = []
        for number in numbers.split(","):
            path = os.path.join(self.root, f"{stem}_{number}.{self.extension}")
            segment = scipy.io.loadmat(path)
            rate = segment["curr_sample_rate"]
            sources.append(self._postprocess(torch.from_numpy(segment["feats"]), rate))
        return {"id": index, "source": sources, "patient_id": index}

    def _postprocess(self, signal: Tensor, rate: np.ndarray) -> Tensor:
        if rate != SAMPLE_RATE:
            raise ValueError(f"sampling rate is {rate}, but {SAMPLE_RATE} is needed")
        signal = signal.float()
        padded = torch.zeros((12, signal.size(-1)))
        padded[self.leads] = signal[self.leads]
        return self.mask(padded)

    def collater(self, samples: List[Dict[str, Any]]) -> Dict[str, Any]:
        """A batch, with a padding mask as large as the signals."""
        sources = [source for sample in samples for source in sample["source"]]
        size = max(source.size(-1) for source in sources)
        collated = sources[0].new_zeros((len(sources), len(sources[0]), size))
        padding_mask = torch.BoolTensor(collated.shape).fill_(False)
        for i, source in enumerate(sources):
            collated[i] = source
        return {
            "id": torch.LongTensor([sample["id"] for sample in samples]),
            "patient_id": torch.LongTensor([s["patient_id"] for s in samples for _ in s["source"]]),
            "net_input": {"source": collated, "padding_mask": padding_mask},
        }
