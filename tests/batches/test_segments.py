"""Segments out of a store and out of the authors' `.mat` files."""

import pickle

import numpy as np
import pytest
import scipy.io

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.normalize import normalize_leads
from fairseq_signals.errors import ManifestError, SignalError, StoreError
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.shards import StoreRow, write_shard


def adu(n_leads: int, n_samples: int = 100) -> np.ndarray:
    return np.arange(n_leads * n_samples).reshape(n_leads, n_samples).astype(np.int16)


@pytest.fixture
def store(tmp_path):
    """Two shards in folders of their own, the second with a record of leads II and V1 only."""
    for name, leads, fs in (("a", LEADS, 500.0), ("b", ("II", "V1"), 500.0)):
        folder = tmp_path / name
        folder.mkdir()
        row = StoreRow("r", name, fs, leads, np.full(len(leads), 0.001), adu(len(leads)))
        write_shard(folder / "shard-00000.arrow", [row])
    return tmp_path


def manifest_of(folder, *paths, n_samples=40):
    rows = [Row(path, n_samples, f"{path[0]}/r", f"x/{i}", 0) for i, path in enumerate(paths)]
    (folder / "train.tsv").write_text("".join(format_manifest(folder, rows)))
    return read_manifest(folder / "train.tsv")


def write_mat(path, n_samples=40, fs=500, leads=12, **more):
    feats = np.arange(leads * n_samples, dtype=np.float32).reshape(leads, n_samples)
    scipy.io.savemat(path, {"feats": feats, "curr_sample_rate": fs, **more})
    return feats


def mat_manifest(folder, *lines):
    (folder / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")
    return read_manifest(folder / "train.tsv")


def test_a_segment_is_the_stretch_that_its_path_names(store):
    reader = SegmentReader(manifest_of(store, "a/shard-00000.arrow#0:0", "a/shard-00000.arrow#0:60"))
    assert np.allclose(reader.read(0), adu(12)[:, :40] * 0.001)
    assert np.allclose(reader.read(1), adu(12)[:, 60:] * 0.001)
    assert len(reader) == 2


def test_leads_that_a_record_lacks_are_zeros(store):
    signal = SegmentReader(manifest_of(store, "b/shard-00000.arrow#0:10")).read(0)
    assert np.allclose(signal[[1, 6]], adu(2)[:, 10:50] * 0.001)
    assert not signal[[0, *range(2, 6), *range(7, 12)]].any()


def test_a_reader_works_after_pickling_as_in_a_loader_process(store):
    reader = SegmentReader(manifest_of(store, "a/shard-00000.arrow#0:0", "b/shard-00000.arrow#0:0"))
    first = reader.read(0)
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again.read(0), first)
    assert np.array_equal(again.read(1), reader.read(1))


def test_a_store_of_another_sampling_rate_is_refused_with_the_record(store):
    with pytest.raises(SignalError, match=r"record r has 500 Hz, but task.sample_rate is 250 Hz"):
        SegmentReader(manifest_of(store, "a/shard-00000.arrow#0:0"), fs=250.0)


def test_a_segment_beyond_the_records_end_is_an_error(store):
    with pytest.raises(StoreError, match="has 100 samples, but 80 to 120 were asked for"):
        SegmentReader(manifest_of(store, "a/shard-00000.arrow#0:80")).read(0)


def test_a_shard_that_is_gone_is_an_error_with_the_manifests_line(store):
    with pytest.raises(ManifestError, match=r"train.tsv:2: .*c/shard-00000.arrow does not exist"):
        manifest_of(store, "c/shard-00000.arrow#0:0")


def test_a_mat_file_of_the_authors_is_read(tmp_path):
    feats = write_mat(tmp_path / "r_0.mat", label=np.array([[0, 1, 1]]))
    reader = SegmentReader(mat_manifest(tmp_path, "r_0.mat\t40"))
    assert np.array_equal(reader.read(0), feats)
    assert reader.read(0).dtype == np.float32
    assert reader.mat_label(0).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fs": 400}, r"r_0.mat: sampling rate is 400 Hz, but 500 Hz is expected"),
        ({"leads": 3}, r"r_0.mat: 'feats' must be \(12, samples\), but is \(3, 40\) instead"),
        ({"n_samples": 30}, r"r_0.mat"),
    ],
)
def test_a_mat_file_that_does_not_fit_is_refused_by_name(tmp_path, options, message):
    write_mat(tmp_path / "r_0.mat", **options)
    with pytest.raises(SignalError, match=message):
        SegmentReader(mat_manifest(tmp_path, "r_0.mat\t40")).read(0)


def test_mat_files_without_signal_or_label_or_with_nan_are_refused_by_name(tmp_path):
    manifest = mat_manifest_of_odd_files(tmp_path)
    reader = SegmentReader(manifest)
    with pytest.raises(SignalError, match=r"r_0.mat: has no 'feats'"):
        reader.read(0)
    with pytest.raises(SignalError, match=r"r_0.mat: has no 'label'"):
        reader.mat_label(0)
    with pytest.raises(SignalError, match=r"r_1.mat: has samples that are not finite"):
        reader.read(1)
    with pytest.raises(SignalError, match=r"r_2.mat: not a readable MATLAB file"):
        reader.read(2)
    with pytest.raises(SignalError, match=r"r_3.mat: no such file; the manifest .*train.tsv names it"):
        reader.read(3)


def mat_manifest_of_odd_files(folder):
    scipy.io.savemat(folder / "r_0.mat", {"other": np.zeros(3)})
    feats = np.zeros((12, 40))
    feats[5, 7] = np.nan
    scipy.io.savemat(folder / "r_1.mat", {"feats": feats, "curr_sample_rate": 500})
    (folder / "r_2.mat").write_bytes(b"not a MATLAB file, but longer than its header of 128 bytes" * 9)
    return mat_manifest(folder, *(f"r_{i}.mat\t40" for i in range(4)))


def test_normalised_leads_have_mean_0_and_deviation_1_and_a_constant_one_is_0():
    signal = np.random.default_rng(0).normal(3, 5, (12, 200)).astype(np.float32)
    signal[4], signal[5] = 0.0, 2.0
    normal = normalize_leads(signal)
    varying = [i for i in range(12) if i not in (4, 5)]
    assert np.allclose(normal[varying].mean(axis=1), 0, atol=1e-5)
    assert np.allclose(normal[varying].std(axis=1), 1, atol=1e-5)
    assert not normal[[4, 5]].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2500,), (3, 12, 2500)])
def test_a_constant_lead_becomes_zeros_whatever_its_value_and_length(shape, dtype):
    for value in (0.1, -0.3, 1 / 3, 1.7, 1e-4, 123.456):
        for n_samples in (shape[-1], 997):
            assert not normalize_leads(np.full((*shape[:-1], n_samples), value, dtype)).any()
