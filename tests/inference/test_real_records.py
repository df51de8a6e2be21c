"""Real recordings of every source and format go through a model, and what may not matter does not matter."""

import contextlib
import random
import warnings
from pathlib import Path

import numpy as np
import pytest

from fairseq_signals import ECGModel, read_recording
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import FairseqSignalsError, MissingLibraryError, SignalWarning
from fairseq_signals.inference.sources import Opener

pytestmark = pytest.mark.shared

A_SOURCE = 6  # recordings that are tried of each
SUFFIXES = (".hea", ".dcm", ".edf", ".scp", ".xml", ".h5", ".mat")


@pytest.fixture(scope="module")
def real(shared_dir) -> "dict[str, list[Path]]":
    """Some recordings of each source and suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted((shared_dir / "real_ecg").rglob("*")):
        of_a_header = path.suffix == ".mat" and path.with_suffix(".hea").is_file()
        if path.suffix.lower() in SUFFIXES and not of_a_header:
            source = path.relative_to(shared_dir / "real_ecg").parts[0]
            found.setdefault(f"{source} {path.suffix.lower()}", []).append(path)
    if not found:
        pytest.skip(f"no recording below {shared_dir / 'real_ecg'}")
    rng = random.Random(0)
    return {name: rng.sample(paths, min(A_SOURCE, len(paths))) for name, paths in found.items()}


def test_every_source_and_format_gives_finite_embeddings_or_a_reason(encoder, real):
    used = {name: 0 for name in real}
    for name, paths in real.items():
        sources = [f"{path}#0" if "code15" in name and path.suffix == ".h5" else path for path in paths]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalWarning)  # leads left out, strange units: real life
            outcomes = list(encoder.stream(sources))
        for path, outcome in zip(paths, outcomes):
            if isinstance(outcome, FairseqSignalsError):
                missing = isinstance(outcome, MissingLibraryError)
                assert missing or path.stem in str(outcome)
                used[name] += missing
            else:
                assert np.isfinite(outcome.embedding).all()
                used[name] += 1
    print(used)
    refused = {name for name, n in used.items() if not n}
    assert not {name for name in refused if not name.startswith("edge")}, used


def test_every_source_and_format_is_read_as_preprocessing_stores_it(real, assert_as_stored):
    n_read = 0
    for name, paths in real.items():
        for path in paths:
            source = f"{path}#0" if "code15" in name and path.suffix == ".h5" else path
            with contextlib.suppress(FairseqSignalsError):
                assert_as_stored(read_recording(source), source)
                n_read += 1
    assert n_read >= sum(map(len, real.values())) / 2


def test_every_source_and_format_is_drawn_or_gives_a_reason(models, real):
    pytest.importorskip("matplotlib")
    from fairseq_signals.report.figures import record_figure, saliency_figure

    drawn = dict.fromkeys(real, 0)
    for name, paths in real.items():
        for path in paths:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SignalWarning)
                    record = read_recording(path)
                    recording = Opener().read(record)
            except FairseqSignalsError as error:
                drawn[name] += isinstance(error, MissingLibraryError)
                continue
            (axes,) = record_figure(record, (0, 1)).axes
            names = [text.get_text() for text in axes.texts if text.get_text() in LEADS]
            assert set(names) == set(LEADS)
            if not drawn[name]:
                (axes,) = saliency_figure(models["classification"], record, recording, "sinus rhythm").axes
                assert len(axes.images) == len(recording.leads)
            drawn[name] += 1
    assert not {name for name, n in drawn.items() if not n and not name.startswith("edge")}, drawn


@pytest.fixture(scope="module")
def trained(shared_dir) -> ECGModel:
    """The authors' tiny checkpoint."""
    path = shared_dir / "parity" / "orig_checkpoint.pt"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return ECGModel.load(path)


def test_resampling_real_recordings_hardly_changes_their_embeddings(trained, shared_dir):
    paths = sorted((shared_dir / "real_ecg" / "cinc2021" / "WFDB_PTBXL").glob("*.hea"))[:4]
    if not paths:
        pytest.skip("no PTB-XL recordings")
    for path in paths:
        recording = Opener().read(path)
        expected = trained.embed(path)
        for fs in (250, 360, 1000):
            other = trained.embed(
                resample(recording.signal_mv, recording.fs, fs), fs=fs, leads=recording.leads
            )
            similarity = other @ expected / np.linalg.norm(other) / np.linalg.norm(expected)
            assert similarity >= 0.999, (path.stem, fs)
        order = np.random.default_rng(0).permutation(len(recording.leads))
        names = [recording.leads[i] for i in order]
        permuted = trained.embed(recording.signal_mv[order], fs=recording.fs, leads=names)
        np.testing.assert_array_equal(permuted, expected)
    assert recording.leads == LEADS
