"""preprocess/muse_xml.py, aecg.py, scp.py and philips_xml.py on small folders in each format."""

import sys

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

FORMATS = ("muse_xml", "aecg", "scp", "philips_xml")
SUFFIX = {"scp": ".scp"}
#: Step in mV, and what each look-alike says of the person and the recording.
STEP = {"muse_xml": 0.00488, "aecg": 0.0025, "scp": 0.0025, "philips_xml": 0.005}
PATIENT = {"muse_xml": "000123456", "aecg": "SBJ-123", "scp": "4711", "philips_xml": "9999"}


@pytest.fixture(params=FORMATS)
def name(request):
    if request.param in ("scp", "philips_xml"):
        pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")
    return request.param


@pytest.fixture
def write_one(name, lookalike):
    """`write_one(path, values)`: a file of the format with twelve leads, (12, T) ADC units."""
    made = lookalike(name)

    def write(path, values):
        if name == "muse_xml":
            return made.write_eight(path, values[[0, 1, *range(6, 12)]])
        if name == "aecg":
            return made.write_twelve(path, values)
        if name == "scp":
            return made.write(path, values, order=2, compressed=True)
        return made.write(path, made.document(made.with_calibration(values)))

    return write


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--source", "clinic", "--workers", "1", *options])


def consistent_leads(ecg_adu, seed):
    """Twelve leads in ADC units whose limb leads follow from I and II, which are even."""
    values = ecg_adu(12, 3000, seed).astype(np.int32)
    values[:2] *= 2
    i, ii = values[:2]
    values[2:6] = ii - i, -(i + ii) // 2, i - ii // 2, ii - i // 2
    return values.astype(np.int16)


def test_files_become_records_with_their_leads_and_persons(
    name, write_one, load_script, tmp_path, ecg_adu, entries, assert_equal_mv
):
    root, suffix = tmp_path / "export", SUFFIX.get(name, ".xml")
    values = {f"ward {k}/ecg{k}": consistent_leads(ecg_adu, k) for k in range(3)}
    for record_id, adu in values.items():
        write_one(root / f"{record_id}{suffix.upper() if record_id[-1] == '2' else suffix}", adu)
    (root / "readme.txt").write_text("not a recording")
    assert run(load_script(name), root, tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert list(found) == list(values)
    for record_id, entry in found.items():
        assert entry["leads"] == list(LEADS)
        assert (entry["fs"], entry["n_samples"], entry["source"]) == (500, 3000, "clinic")
        assert entry["patient_id"] == PATIENT[name]
        assert entry["sex"] == ("male" if name == "aecg" else "female")
        assert 45 < entry["age"] < 64
        assert_equal_mv(tmp_path / "store", entry, dict(zip(LEADS, values[record_id] * STEP[name])))
    reports = {entry["report"] and entry["report"].splitlines()[0] for entry in found.values()}
    assert len(reports) == 1
    assert reports.pop() in (None, "Normal sinus rhythm", "SINUS RHYTHM") or name == "philips_xml"


def test_damaged_and_foreign_files_are_rejected_with_their_reasons(
    name, write_one, load_script, tmp_path, ecg_adu, entries, rejected, capsys
):
    root, suffix = tmp_path / "export", SUFFIX.get(name, ".xml")
    write_one(root / f"good{suffix}", consistent_leads(ecg_adu, 0))
    whole = write_one(root / f"cut{suffix}", consistent_leads(ecg_adu, 1)).read_bytes()
    (root / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    (root / f"text{suffix}").write_text("hello, this is a text and not a recording at all")
    (root / f"html{suffix}").write_text("<html><body>Please log in</body></html>")
    assert run(load_script(name), root, tmp_path / "store") == 0
    assert list(entries(tmp_path / "store")) == ["good"]
    reasons = rejected(tmp_path / "store")
    assert set(reasons) == {"clinic/cut", "clinic/text", "clinic/html"}
    assert "is not a" in reasons["clinic/text"]
    assert "is not a" in reasons["clinic/html"]
    out = capsys.readouterr().out
    assert "kept 1 of 4 records" in out
    assert "2 of another format" in out
    assert "1 truncated" in out


def test_limb_leads_that_were_computed_are_counted(load_script, lookalike, tmp_path, ecg_adu, capsys):
    lookalike("muse_xml").write_eight(tmp_path / "export" / "a.xml", ecg_adu(8, 3000))
    assert run(load_script("muse_xml"), tmp_path / "export", tmp_path / "store") == 0
    assert capsys.readouterr().out == "kept 1 of 1 records; 1 with limb leads computed from I and II\n"


def test_a_missing_library_is_an_error_in_one_line(
    load_script, lookalike, tmp_path, ecg_adu, monkeypatch, capsys
):
    from fairseq_signals.formats.registry import load_reader

    lookalike("scp").write(tmp_path / "export" / "a.scp", ecg_adu(12, 3000))
    load_reader.cache_clear()
    for module in [
        m for m in sys.modules if m.startswith(("ecgdatakit", "fairseq_signals.formats.scp_philips"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    try:
        assert run(load_script("scp"), tmp_path / "export", tmp_path / "store") == 1
    finally:
        load_reader.cache_clear()
    err = capsys.readouterr().err
    assert err.startswith("MissingLibraryError: ")
    assert "pip install 'fairseq-signals[formats]' on Python 3.11 or later" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.shared
def test_real_files_go_into_a_store(name, load_script, shared_dir, tmp_path, entries, rejected):
    suffix = SUFFIX.get(name, ".xml")
    files = (shared_dir / "real_ecg").rglob("*")
    folders = sorted({path.parent for path in files if path.suffix.lower() == suffix})
    if not folders:
        pytest.skip(f"no {suffix} file at hand")
    for i, folder in enumerate(folders):
        n_files = sum(path.suffix.lower() == suffix for path in folder.iterdir())
        if run(load_script(name), folder, tmp_path / str(i)) == 0:
            n_kept = len(entries(tmp_path / str(i)))
            assert n_kept + len(rejected(tmp_path / str(i))) == n_files
        else:  # none of its files is of this format
            reasons = (tmp_path / str(i) / "rejected.tsv").read_text().splitlines()[1:]
            assert len(reasons) == n_files
            assert all("is not a" in reason for reason in reasons)
