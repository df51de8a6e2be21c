"""preprocess/number_table.py and arrays.py on small folders: options say what the files do not."""

import gzip

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS

OPTIONS = ("--source", "clinic")
SAID = ("--input-fs", "250", "--unit", "uV", "--lead-names", "I,II,V1")


@pytest.fixture
def signal_uv(ecg_adu):
    return ecg_adu(3, 2500).astype(float)


@pytest.fixture
def root(tmp_path, signal_uv):
    root = tmp_path / "export"
    (root / "p1").mkdir(parents=True)
    np.savetxt(root / "p1" / "a.csv", signal_uv.T, "%d", ",")
    np.savetxt(root / "p1" / "b.txt", signal_uv.T, "%d", "\t")
    np.save(root / "p1" / "c.npy", signal_uv)
    packed = gzip.compress((root / "p1" / "a.csv").read_bytes())
    (root / "p1" / "d.csv.gz").write_bytes(packed)
    (root / "notes.txt").write_text("taken in March")
    return root


@pytest.mark.parametrize(("script", "names"), [("number_table", "abd"), ("arrays", "c")])
def test_options_say_what_the_files_do_not(script, names, root, signal_uv, assert_equal_mv, stored, rejected):
    found = stored(*SAID, "--fs", "250", root=root, script=script)
    assert list(found) == [f"p1/{name}" for name in names]
    for entry in found.values():
        assert (entry["fs"], entry["leads"]) == (250, ["I", "II", "V1"])
        assert_equal_mv(entry, dict(zip(("I", "II", "V1"), signal_uv / 1000)))
    assert list(rejected()) == (["clinic/notes"] if script == "number_table" else [])


def test_files_are_rejected_by_kind_where_nothing_says_it(root, fails, rejected, run):
    assert run(*SAID[2:], root=root, script="number_table") == 1
    kinds = {line.split("\t")[0] for name, line in rejected().items() if name != "clinic/notes"}
    assert kinds == {"without a sampling rate or unit"}
    with pytest.raises(SystemExit):
        run("--unit", "mmHg", root=root, script="number_table")
    with pytest.raises(SystemExit):  # these files say it
        run("--unit", "mV", root=root, script="edf")


def test_a_file_says_itself_what_it_can(tmp_path, stored, ecg_adu):
    header = ",".join(["time (ms)", *(f"{lead} (mV)" for lead in LEADS)])
    rows = np.column_stack([np.arange(3000) * 2, ecg_adu().T / 1000])
    (tmp_path / "export").mkdir()
    np.savetxt(tmp_path / "export" / "a.csv", rows, "%g", ",", header=header, comments="")
    (entry,) = stored(root=tmp_path / "export", script="number_table").values()
    assert (entry["fs"], entry["n_samples"], entry["leads"]) == (500, 3000, list(LEADS))
