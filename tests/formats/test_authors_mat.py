"""Files of the authors' scripts are put together again in mV, with what is right in them."""

import csv

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.formats.authors_mat import CINC2021_CODES, read_authors_mat


@pytest.fixture(scope="module")
def authors(lookalike):
    return lookalike("authors_mat")


@pytest.mark.parametrize("gain", [1000, 4880, 200, 2000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_segments_become_one_record_in_the_steps_of_its_adc(authors, tmp_path, ecg_adu, gain, dtype):
    values = ecg_adu(12, 12_000)
    paths = authors.write_record(tmp_path, "A0001", (values / gain).astype(dtype))
    assert len(paths) == 4
    record = read_authors_mat(paths[0])
    assert (record.record_id, record.leads, record.fs) == ("A0001", LEADS, 500.0)
    assert record.n_samples == 10_000
    assert record.notes == ("joined from 4 files, one a segment",)
    np.testing.assert_allclose(record.signal_mv(), values[:, :10_000] / gain, atol=1e-6)
    assert not record.requantised


def test_values_of_no_known_step_are_kept_to_the_sixteenth_bit(authors, tmp_path):
    signal_mv = np.random.default_rng(0).standard_normal((12, 2500))
    (path,) = authors.write_record(tmp_path, "r", signal_mv)
    record = read_authors_mat(path)
    error = np.abs(record.signal_mv() - signal_mv).max(axis=1)
    assert (error <= record.scale / 2 * 1.0001).all()


def test_normalisation_is_undone(authors, tmp_path, ecg_adu):
    signal_mv = ecg_adu(12, 2500) / 1000
    mean, std = signal_mv.mean(axis=1, keepdims=True), signal_mv.std(axis=1, keepdims=True)
    (path,) = authors.write_record(tmp_path, "r", (signal_mv - mean) / std, mean=mean, std=std)
    np.testing.assert_allclose(read_authors_mat(path).signal_mv(), signal_mv, atol=1e-9)


def test_other_numbers_than_a_first_segment_belong_to_the_name(authors, tmp_path, ecg_adu):
    signal_mv = ecg_adu(12, 2500) / 1000
    for name in ("code_15_438277.mat", "17_rec_1.mat", "17_rec_2.mat", "plain.mat"):
        record = read_authors_mat(authors.write_segment(tmp_path / name, signal_mv))
        assert (record.record_id, record.n_samples) == (name[:-4], 2500)


@pytest.mark.parametrize(
    ("fields", "age", "sex"),
    [
        ({}, None, None),
        ({"age": 63, "sex": 0}, 63, "male"),
        ({"age": 63, "sex": 1}, 63, "female"),
        ({"age": 63, "sex": 7}, 63, None),
        ({"age": 300, "sex": 0}, None, None),
    ],
)
def test_age_0_stands_for_unknown_and_then_so_does_the_sex(authors, tmp_path, ecg_adu, fields, age, sex):
    (path,) = authors.write_record(tmp_path, "r", ecg_adu(12, 2500) / 1000, **fields)
    subject = read_authors_mat(path).subject
    assert (subject.age, subject.sex, subject.patient_id) == (age, sex, "17")


def test_labels_become_codes_where_their_classes_are_known(authors, tmp_path, ecg_adu):
    signal_mv = ecg_adu(12, 2500) / 1000
    subject = read_authors_mat(authors.write_record(tmp_path, "a", signal_mv)[0]).subject
    assert subject.codes == ("445118002", "111975006")
    assert subject.other == (("label", "9 12"),)
    label = np.array([[0, 1, 1]], np.uint8)
    subject = read_authors_mat(authors.write_record(tmp_path, "b", signal_mv, label=label)[0]).subject
    assert (subject.codes, subject.other) == ((), (("label", "1 2"),))


def test_the_codes_are_those_of_the_table_of_the_challenge(repo_dir):
    with open(repo_dir / "manifests" / "labels" / "cinc2021.csv", newline="") as f:
        table = [row["codes"].split("|") for row in csv.DictReader(f)]
    assert [codes[0] for codes in table] == list(CINC2021_CODES)


def test_statements_and_report_of_the_ptb_xl_script_are_read(authors, tmp_path, ecg_adu):
    path = authors.write_segment(
        tmp_path / "00001_hr.mat", ecg_adu() / 1000, text="sinus rhythm", diagnoses=["NORM", "SR"]
    )
    record = read_authors_mat(path)
    assert record.report == "sinus rhythm"
    assert record.subject.codes == ("NORM", "SR")


def test_what_cannot_be_used_is_refused_by_kind(authors, tmp_path, ecg_adu, refused):
    values = ecg_adu()
    path = tmp_path / "r.mat"

    def kind_of(feats, **fields):
        return refused(read_authors_mat, authors.write_segment(path, feats, **fields)).kind

    assert kind_of(values) == "of an unsupported kind"
    assert kind_of(values[:3] / 1000) == "of an unsupported kind"
    assert kind_of(values[0] / 1000) == "of an unsupported kind"
    assert kind_of("text") == "of an unsupported kind"
    assert kind_of(values * 0.0) == "without a usable lead"
    assert kind_of(np.full((12, 2500), np.nan)) == "without a usable lead"
    assert kind_of(values / 1000, fs="fast") == "malformed"
    assert kind_of(values / 1000, mean=np.zeros(3), std=np.ones(3)) == "malformed"
    import scipy.io

    scipy.io.savemat(path, {"ECG": {"sex": "Male", "data": values}})  # challenge of 2018
    assert refused(read_authors_mat, path).kind == "of another format"
    whole = authors.write_segment(path, values / 1000).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(read_authors_mat, path).kind == "malformed"
    path.write_bytes(b"not a MATLAB file")
    assert refused(read_authors_mat, path).kind == "of another format"
    path.write_bytes(b"")
    assert refused(read_authors_mat, path).kind == "of another format"
    assert refused(read_authors_mat, tmp_path / "gone.mat").kind == "unreadable"
    first, second = authors.write_record(tmp_path, "two", ecg_adu(12, 5000) / 1000)
    authors.write_segment(second, values / 1000, fs=250)
    assert refused(read_authors_mat, first).kind == "malformed"


@pytest.mark.shared
def test_what_the_official_scripts_made_is_the_recording_they_made_it_from(shared_dir, tmp_path, authors):
    from fairseq_signals.formats.wfdb import read_wfdb

    arrays = shared_dir / "parity" / "preprocess.io.npz"
    if not arrays.is_file():
        pytest.skip(f"no {arrays}")
    with np.load(arrays) as stored:
        names = sorted({key.split("_")[0] for key in stored})
        for name in names:
            for k in range(2):
                fields = {
                    key.split("_", 2)[2]: stored[key] for key in stored if key.startswith(f"{name}_{k}_")
                }
                feats, fs = fields.pop("feats"), fields.pop("curr_sample_rate")
                authors.write_segment(tmp_path / f"{name}_{k}.mat", feats, fs, **fields)
            record = read_authors_mat(tmp_path / f"{name}_0.mat")
            original = read_wfdb(shared_dir / "parity" / "raw_record" / name)
            np.testing.assert_array_equal(record.signal, original.signal)
            np.testing.assert_allclose(record.scale, original.scale)
            assert set(record.subject.codes) <= {*original.subject.codes, *CINC2021_CODES}
            assert record.subject.age is None


@pytest.mark.shared
def test_real_segments_joined_are_the_record_before_it_was_cut(shared_dir):
    root = shared_dir / "real_ecg" / "code15_processed_mat"
    firsts = sorted((root / "segmented").glob("*_0.mat"))
    if not firsts:
        pytest.skip(f"no segments in {root}")
    for first in firsts:
        joined = read_authors_mat(first)
        whole = read_authors_mat(root / "preprocessed" / f"{joined.record_id}.mat")
        assert joined.leads == whole.leads
        assert whole.n_samples - joined.n_samples < 2500
        difference = np.abs(joined.signal_mv() - whole.signal_mv()[:, : joined.n_samples]).max(axis=1)
        assert (difference <= (joined.scale + whole.scale) / 2).all()
        before = read_authors_mat(root / "org" / f"{joined.record_id}.mat")
        ratio = whole.signal_mv().std(axis=1) / before.signal_mv().std(axis=1)
        np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_a_challenge_signal_without_its_header_is_refused_with_the_name_of_the_header(
    tmp_path, ecg_adu, refused
):
    import scipy.io

    scipy.io.savemat(tmp_path / "A0007.mat", {"val": ecg_adu()})
    error = refused(read_authors_mat, tmp_path / "A0007.mat")
    assert error.kind == "without a header"
    assert "A0007.hea" in str(error)


def test_matlab_7_3_is_read_as_version_5_is(authors, tmp_path, ecg_adu, refused):
    h5py = pytest.importorskip("h5py")
    signal_mv = ecg_adu(12, 2500) / 1000
    arrays = {"feats": signal_mv, "curr_sample_rate": [[500.0]], "age": [[63.0]], "sex": [[1.0]]}
    label = b"MATLAB 7.3 MAT-file, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM"

    def write(path, arrays):
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, values in arrays.items():
                file[name] = np.asarray(values).T  # MATLAB keeps columns together
            text = file.create_dataset("patient_id", data=np.array([[ord(c)] for c in "p17"], np.uint16))
            text.attrs["MATLAB_class"] = np.bytes_("char")
        path.write_bytes(label + path.read_bytes()[len(label) :])

    write(tmp_path / "r_0.mat", arrays)
    write(tmp_path / "r_1.mat", arrays)
    record = read_authors_mat(tmp_path / "r_0.mat")
    assert (record.record_id, record.leads, record.n_samples) == ("r", LEADS, 5000)
    np.testing.assert_allclose(record.signal_mv()[:, :2500], signal_mv, atol=1e-9)
    assert (record.subject.age, record.subject.sex, record.subject.patient_id) == (63, "female", "p17")
    write(tmp_path / "A1.mat", {"val": signal_mv})
    error = refused(read_authors_mat, tmp_path / "A1.mat")
    assert "A1.mat, a MATLAB 7.3 file, holds the signal" in str(error)
    assert "A1.hea" in str(error)
