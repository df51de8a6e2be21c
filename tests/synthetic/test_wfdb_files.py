import numpy as np
import pytest
import scipy.io
import wfdb

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.synthetic.config import CorpusConfig
from fairseq_signals.synthetic.record import make_record
from fairseq_signals.synthetic.wfdb_files import mat4_bytes, write_record

CONFIG = CorpusConfig(patients=5, seed=11)


@pytest.fixture
def written(tmp_path):
    record = make_record(CONFIG, 2, 0)
    write_record(record, "HR00001", tmp_path)
    return record, tmp_path / "HR00001"


def test_wfdb_and_scipy_read_the_integers_that_were_made(written):
    record, path = written
    by_wfdb = wfdb.rdrecord(str(path), physical=False)
    by_scipy = scipy.io.loadmat(f"{path}.mat")
    np.testing.assert_array_equal(by_wfdb.d_signal.T, record.adu)
    np.testing.assert_array_equal(by_scipy["val"], record.adu)
    assert by_scipy["val"].dtype == np.int16
    assert [name for name in by_scipy if not name.startswith("__")] == ["val"]


def test_header_gives_names_gain_first_values_and_checksums(written):
    record, path = written
    header = wfdb.rdheader(str(path))
    assert tuple(header.sig_name) == LEADS
    assert header.fs == 500
    assert header.sig_len == record.adu.shape[1]
    assert header.adc_gain == [1000.0] * 12
    assert header.baseline == [0] * 12
    assert header.units == ["mV"] * 12
    assert header.init_value == record.adu[:, 0].tolist()
    sums = record.adu.astype(int).sum(axis=1)
    assert [(found - total) % 65536 for found, total in zip(header.checksum, sums)] == [0] * 12
    assert all(-32768 <= found <= 32767 for found in header.checksum)


def test_comments_tell_age_sex_codes_patient_and_that_it_is_synthetic(written):
    record, path = written
    comments = dict(line.split(": ", 1) for line in wfdb.rdheader(str(path)).comments)
    assert comments["Age"] == str(record.age)
    assert comments["Sex"] == ("Female" if record.female else "Male")
    assert comments["Dx"].split(",") == list(record.codes)
    assert comments["Patient ID"] == record.patient_id == "p00002"
    assert "not measured" in comments["Synthetic"]


def test_layout_is_that_of_the_challenge_line_by_line(written):
    _, path = written
    lines = path.with_suffix(".hea").read_text().splitlines()
    assert lines[0] == "HR00001 12 500 5000"
    assert all(line.startswith("HR00001.mat 16x1+24 1000.0(0)/mV 16 0 ") for line in lines[1:13])
    assert [line.split(":")[0] for line in lines[13:16]] == ["# Age", "# Sex", "# Dx"]


@pytest.mark.shared
def test_real_headers_have_the_same_fields(written, shared_dir):
    """Records of the challenge in ../shared: same format, same comments in the same order."""
    _, path = written
    ours = path.with_suffix(".hea").read_text().splitlines()
    real = sorted(shared_dir.glob("parity/raw_record/*.hea"))
    if not real:
        pytest.skip(f"no records in {shared_dir}/parity/raw_record")
    for header in real:
        theirs = header.read_text().splitlines()
        for mine, real_line in zip(ours[1:13], theirs[1:13]):
            assert mine.split()[1:4] == real_line.split()[1:4]
            assert mine.split()[-1] == real_line.split()[-1]
        real_keys = [line.split(":")[0] for line in theirs if line.startswith("#")]
        assert [line.split(":")[0] for line in ours[13:]][: len(real_keys)] == real_keys


def test_mat_header_takes_the_24_bytes_that_the_wfdb_header_skips():
    adu = np.arange(24, dtype=np.int16).reshape(12, 2)
    assert mat4_bytes(adu)[24:] == adu.T.astype("<i2").tobytes()
