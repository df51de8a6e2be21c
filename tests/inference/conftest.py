"""Tiny models, and one recording in every form that it can be given in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import torch

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.detect import detect_reader, header_of
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.sources import split_place
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier, PooledEncoder
from fairseq_signals.store.conversion import BuildOptions, Item, make_row
from fairseq_signals.store.shards import AMPLITUDE_FACTOR, ShardNotes, StoreRow, write_shard
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record
from tests.sizes import TINY

LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,NSR,2|3\n2,a | b,,4\n"


@pytest.fixture(scope="session")
def save_checkpoint():
    """`save_checkpoint(path, kind, task=None, n=3, seed=0, extra=None, criterion=None, **options)`: a
    checkpoint as training writes it, of a tiny encoder of 16 samples a frame.
    """

    def save(
        path: Path, kind: str, task=None, n: int = 3, seed: int = 0, extra=None, criterion=None, **options
    ) -> Path:
        options = {
            **TINY,
            **options,
        }
        generator_state = torch.get_rng_state()
        torch.manual_seed(seed)
        encoder = ECGEncoder(EncoderConfig(**options))
        if kind in ("classification", "regression"):
            model: PooledEncoder = ECGClassifier(encoder, n)
        elif kind == "identification":
            model = ECGIdentifier(encoder, n)
        else:
            model = PooledEncoder(encoder)
        torch.set_rng_state(generator_state)
        cfg = {"model": options, "task": task or {}, "criterion": criterion or {}}
        torch.save({"model": model.state_dict(), "cfg": cfg, **(extra or {})}, path)
        return path

    return save


@pytest.fixture(scope="session")
def checkpoints(save_checkpoint, tmp_path_factory) -> dict[str, Path]:
    """A checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "manifests").mkdir()
    (folder / "manifests" / "labels.csv").write_text(LABELS)
    task = {"data": str(folder / "manifests")}
    kinds = ("pretraining", "classification", "identification")
    return {kind: save_checkpoint(folder / f"{kind}.pt", kind, task) for kind in kinds}


@pytest.fixture(scope="session")
def models(checkpoints) -> dict[str, ECGModel]:
    """The model of each kind of checkpoint; tests must not change them."""
    return {kind: ECGModel.load(path) for kind, path in checkpoints.items()}


@pytest.fixture
def encoder(models) -> ECGModel:
    """The pre-trained model."""
    return models["pretraining"]


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> SimpleNamespace:
    """A synthetic record of 10 s at 500 Hz: `adu` (12, 5000) at 1000 adu/mV, `mv` float64, a WFDB record
    `wfdb`, and the same as `record_id` of the record store `store`, shard `shard`, row `row`.
    """
    from wfdb import wrsamp

    folder = tmp_path_factory.mktemp("recording")
    adu = make_record(CorpusConfig(patients=2, sessions=(1, 1), seed=5), 0, 0).adu
    wrsamp(
        "one", fs=500, units=["mV"] * 12, sig_name=list(LEADS), d_signal=adu.T.astype(np.int64),
        fmt=["16"] * 12, adc_gain=[1000.0] * 12, baseline=[0] * 12, write_dir=str(folder),
    )  # fmt: skip
    store = folder / "store"
    store.mkdir()
    rows = [
        StoreRow(name, "corpus", 500.0, LEADS, np.full(12, 0.001), np.roll(adu, shift, axis=1))
        for shift, name in ((7, "zero"), (0, "one"), (9, "two"))
    ]
    write_shard(store / "shard-00000.arrow", rows)
    return SimpleNamespace(
        adu=adu,
        mv=adu / 1000.0,
        wfdb=folder / "one",
        store=store,
        record_id="one",
        shard="shard-00000.arrow",
        row=1,
    )


@pytest.fixture
def mixed(tmp_path, write_wfdb, ecg_adu, lookalike) -> Path:
    """A folder with a recording in each format that preprocessing reads, and what is none."""
    h5py, *_ = [pytest.importorskip(library) for library in ("h5py", "pydicom", "edfio", "ecgdatakit")]
    root, adu = tmp_path / "mixed", ecg_adu(12, 3000)
    write_wfdb(root / "p1", "wfdb", adu)
    write_wfdb(root / "p1", "challenge", adu, suffix=".mat")
    lookalike("authors_mat").write_record(root / "p2", "joined", np.tile(adu, 2) / 1000.0)
    scipy.io.savemat(root / "p2" / "single.mat", {"feats": adu / 1000.0, "curr_sample_rate": 500})
    lookalike("edf").write(root / "p3" / "export.EDF", adu, onsets=range(6))
    lookalike("scp").write(root / "p3" / "chart.scp", adu)
    lookalike("aecg").write_twelve(root / "p4" / "hl7.xml", adu)
    lookalike("muse_xml").write_eight(root / "p4" / "muse.xml", adu[[0, 1, *range(6, 12)]])
    philips, dicom = lookalike("philips_xml"), lookalike("dicom")
    philips.write(root / "p4" / "philips.xml", philips.document(philips.with_calibration(adu)))
    dicom.write(root / "p5" / "1.2.840.10008", dicom.dataset(dicom.group(adu)))
    with h5py.File(root / "sph.h5", "w") as file:
        file["ecg"] = (adu / 1000.0).astype(np.float16)
    (root / "notes.txt").write_text("not a recording")
    return root


@pytest.fixture(scope="session")
def assert_as_stored():
    """`assert_as_stored(recording, source)`: equal in all that preprocessing stores of the same file.

    Samples that 16 bits round are as they are in the file: within half a step of those stored.
    """

    def check(recording: Recording, source: str | Path) -> None:
        path, row = split_place(str(source))
        item = Item("s", "r", str(header_of(path) or path), reader=detect_reader(path),
                    index=None if row is None else int(row))  # fmt: skip
        stored = make_row(item, BuildOptions(recording.fs, 1e-9, checksums="ignore"), ShardNotes())
        assert (recording.leads, recording.fs) == (tuple(stored.leads), stored.fs)
        offset = 0.0 if stored.offset is None else stored.offset[:, None]
        apart = np.abs(recording.signal_mv - (stored.signal * stored.scale[:, None] + offset))
        is_exact = recording.samples.signal.dtype == np.float32
        assert (apart <= (np.abs(stored.scale[:, None]) * 0.503 if is_exact else 0)).all()
        subject = recording.subject
        told = (subject.age, subject.sex, subject.codes, subject.patient_id, recording.report)
        assert told == (stored.age, stored.sex, tuple(stored.codes), stored.patient_id, stored.report)
        attributes = [pair for pair in stored.attributes or () if pair[0] != AMPLITUDE_FACTOR]
        assert subject.other == tuple(attributes)

    return check
