"""The scripts of file formats, preprocess/muse_xml.py and so on, on small folders in each format."""

import sys

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS
from tests.formats.samples import SAMPLES

OPTIONS = ("--source", "clinic")
#: Of each format: suffix of its files, step in mV and patient of its look-alike.
FORMATS = {
    "muse_xml": (".xml", 0.00488, "000123456"),
    "aecg": (".xml", 0.0025, "SBJ-123"),
    "scp": (".scp", 0.0025, "4711"),
    "ishne": (".ecg", 0.0025, "4711"),
    "mfer": (".mwf", 0.0025, "4711"),
    "philips_xml": (".xml", 0.005, "9999"),
    "cardiosoft_xml": (".xml", 0.005, "9999"),
    "schiller_xml": (".xml", 0.001, "9999"),
}
BY_ECGDATAKIT = ("scp", "ishne", "mfer", "philips_xml")


@pytest.fixture(params=FORMATS)
def name(request):
    if request.param in BY_ECGDATAKIT:
        pytest.importorskip("ecgdatakit", reason="ecgdatakit needs Python 3.11 beside fairseq")
    return request.param


@pytest.fixture
def write_one(name, lookalike):
    """`write_one(path, values)`: a file of the format with twelve leads, (12, T) ADC units."""
    made = lookalike(name)

    def write(path, values):
        if name == "muse_xml":
            return made.write_eight(path, values[[0, 1, *range(6, 12)]])
        if name == "scp":
            return made.write(path, values, order=2, compressed=True)
        if name == "ishne":
            return made.write(path, values)
        if name == "philips_xml":
            return made.write(path, made.document(made.with_calibration(values)))
        return made.write_twelve(path, values)

    return write


def consistent_leads(ecg_adu, seed):
    """Twelve leads in ADC units whose limb leads follow from I and II, which are even."""
    values = ecg_adu(12, 3000, seed).astype(np.int32)
    values[:2] *= 2
    i, ii = values[:2]
    values[2:6] = ii - i, -(i + ii) // 2, i - ii // 2, ii - i // 2
    return values.astype(np.int16)


def test_files_become_records_with_their_leads_and_persons(
    name, write_one, tmp_path, ecg_adu, assert_equal_mv, stored
):
    root, (suffix, step_mv, patient_id) = tmp_path / "export", FORMATS[name]
    values = {f"ward {k}/ecg{k}": consistent_leads(ecg_adu, k) for k in range(3)}
    for record_id, adu in values.items():
        write_one(root / f"{record_id}{suffix.upper() if record_id[-1] == '2' else suffix}", adu)
    (root / "readme.txt").write_text("not a recording")
    found = stored(root=root, script=name)
    assert list(found) == list(values)
    for record_id, entry in found.items():
        assert entry["leads"] == list(LEADS)
        assert (entry["fs"], entry["n_samples"], entry["source"]) == (500, 3000, "clinic")
        assert entry["patient_id"] == patient_id
        assert entry["sex"] == ("male" if name == "aecg" else "female")
        assert 45 < entry["age"] < 64
        assert_equal_mv(entry, dict(zip(LEADS, values[record_id] * step_mv)))
    reports = {entry["report"] and entry["report"].splitlines()[0] for entry in found.values()}
    assert len(reports) == 1
    assert reports.pop() in (None, "Normal sinus rhythm", "SINUS RHYTHM") or name == "philips_xml"


def test_damaged_and_foreign_files_are_rejected_with_their_reasons(
    name, write_one, tmp_path, ecg_adu, rejected, capsys, stored
):
    root, suffix = tmp_path / "export", FORMATS[name][0]
    write_one(root / f"good{suffix}", consistent_leads(ecg_adu, 0))
    whole = write_one(root / f"cut{suffix}", consistent_leads(ecg_adu, 1)).read_bytes()
    (root / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    (root / f"text{suffix}").write_text("hello, this is a text and not a recording at all")
    (root / f"html{suffix}").write_text("<html><body>Please log in</body></html>")
    assert list(stored(root=root, script=name)) == ["good"]
    reasons = rejected()
    assert set(reasons) == {"clinic/cut", "clinic/text", "clinic/html"}
    assert "is not a" in reasons["clinic/text"]
    assert "is not a" in reasons["clinic/html"]
    out = capsys.readouterr().out
    assert "kept 1 of 4 records" in out
    assert "2 of another format" in out
    assert "1 truncated" in out


def test_limb_leads_that_were_computed_are_counted(lookalike, tmp_path, ecg_adu, capsys, stored):
    lookalike("muse_xml").write_eight(tmp_path / "export" / "a.xml", ecg_adu(8, 3000))
    stored(root=tmp_path / "export", script="muse_xml")
    assert capsys.readouterr().out == "kept 1 of 1 records; 1 with limb leads computed from I and II\n"


@pytest.mark.parametrize("reader", ["scp", "ishne", "mfer", "kardia_json"])
def test_a_missing_library_is_an_error_in_one_line(reader, tmp_path, monkeypatch, fails):
    from fairseq_signals.formats.registry import READERS, load_reader

    SAMPLES[reader](tmp_path / "export", 3000)
    load_reader.cache_clear()
    ours = (READERS[reader].partition(":")[0], "fairseq_signals.formats.parsed")
    for module in [m for m in sys.modules if m.startswith("ecgdatakit") or m in ours]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    try:
        error = fails(root=tmp_path / "export", script=reader)
    finally:
        load_reader.cache_clear()
    assert error.startswith("MissingLibraryError: ")
    assert "pip install 'fairseq-signals[formats]' on Python 3.11 or later" in error


@pytest.mark.shared
def test_real_files_go_into_a_store(name, shared_dir, entries, rejected, run):
    suffix = FORMATS[name][0]
    files = (shared_dir / "real_ecg").rglob("*")
    folders = sorted({path.parent for path in files if path.suffix.lower() == suffix})
    if not folders:
        pytest.skip(f"no {suffix} file at hand")
    for i, folder in enumerate(folders):
        n_files = sum(path.suffix.lower() == suffix for path in folder.iterdir())
        if run(root=folder, dest=str(i), script=name) == 0:
            assert len(entries(str(i))) + len(rejected(str(i))) == n_files
        else:  # none of its files is of this format
            assert len(rejected(str(i))) == n_files
            assert all("is not a" in reason for reason in rejected(str(i)).values())
