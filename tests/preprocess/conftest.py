"""What tests of the corpus scripts share: scripts and look-alikes by name, stores, reference readers.

`script`, `corpus` and `root` are those that the test file is named after: test_ptbxl.py is about
preprocess/ptbxl.py and lookalikes/ptbxl.py. A file may define its own `root`, and `OPTIONS` that every call
of its script needs.
"""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fairseq_signals.ecg.leads import LEADS, leads_of
from fairseq_signals.store.reading import RecordStore

PROGRESS = "record/s"
#: Read their tables while they write, so that a failure may leave an empty folder.
LAZY = ("chapman", "code15", "ludb", "mimic_iv_ecg", "sami_trop")


def load_script(name: str) -> ModuleType:
    """preprocess/NAME.py."""
    return importlib.import_module(f"preprocess.{name}")


@pytest.fixture(scope="module")
def script(request):
    """The script of preprocess/ that the test file is about."""
    return load_script(request.path.stem.removeprefix("test_"))


@pytest.fixture(scope="module")
def corpus(request, lookalike):
    """The look-alike of the corpus that the test file is about."""
    return lookalike(request.path.stem.removeprefix("test_"))


@pytest.fixture
def root(corpus, tmp_path, write_wfdb, ecg_adu):
    """A small folder in the layout of the release."""
    return corpus.make(tmp_path, write_wfdb, ecg_adu)


@pytest.fixture
def real(shared_dir):
    """`real(name, *patterns)`: a folder of real recordings with files of every pattern; skips without."""

    def find(name: str, *patterns: str) -> Path:
        folder = shared_dir / "real_ecg" / name
        for pattern in patterns:
            if next(folder.glob(pattern), None) is None:
                pytest.skip(f"no {pattern} in {folder}")
        return folder

    return find


@pytest.fixture
def more(shared_dir):
    """`more(name)`: a folder of further real recordings, and the rows of their manifest by name; or skips."""

    def find(name: str) -> tuple[Path, dict[str, dict[str, str]]]:
        table = shared_dir / "more_ecg" / "MANIFEST.csv"
        if not table.is_file():
            pytest.skip(f"no {table}")
        with table.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["dataset"] == name]
        if not rows:
            pytest.skip(f"no {name} in {table}")
        folder = Path(*Path(rows[0]["path"]).parts[:1])
        if name == "cinc2011":
            folder = folder / "set-a"
        return shared_dir / "more_ecg" / folder, {
            Path(row["path"]).relative_to(folder).as_posix(): row for row in rows
        }

    return find


@pytest.fixture
def run(request, tmp_path):
    """`run(*options, root=, dest="store", script=)`: exit code of a script, this or the named one."""

    def call(*options: object, root=None, dest: str = "store", script=None) -> int:
        root = root or request.getfixturevalue("root")
        main = (load_script(script) if script else request.getfixturevalue("script")).main
        fixed = ("--workers", "1", *getattr(request.module, "OPTIONS", ()))
        return main([str(word) for word in (root, "--dest", tmp_path / dest, *fixed, *options)])

    return call


@pytest.fixture
def stored(run, entries):
    """Like `run`, of a script that must succeed: the records of its store, as `entries` gives them."""

    def call(*options: object, dest: str = "store", **more) -> dict[str, dict]:
        assert run(*options, dest=dest, **more) == 0
        return entries(dest)

    return call


@pytest.fixture
def fails(request, run, tmp_path, capsys):
    """Like `run`, of a script that must fail and write nothing: the one line after its warnings."""

    def call(*options: object, dest: str = "store", **more) -> str:
        capsys.readouterr()
        assert run(*options, dest=dest, **more) == 1
        err = capsys.readouterr().err
        *warnings, error = [line for line in err.splitlines() if line.strip() and PROGRESS not in line]
        assert all(line.startswith("warning: ") for line in warnings), err
        assert not any(tmp_path.glob(f"{dest}/*"))
        assert not (tmp_path / dest).exists() or request.path.stem.removeprefix("test_") in LAZY
        return error

    return call


@pytest.fixture
def entries(tmp_path):
    """`entries(dest="store")`: the metadata of each record by its id; attributes as a dictionary."""

    def read(dest: str = "store") -> dict[str, dict]:
        found = {}
        for entry in RecordStore(tmp_path / dest).metadata().to_pylist():
            entry["attributes"] = dict(entry["attributes"] or ())
            assert entry["record_id"] not in found
            found[entry["record_id"]] = entry
        return found

    return read


@pytest.fixture
def rejected(tmp_path):
    """`rejected(dest="store")`: the line of each rejected record, without its name, by its name."""

    def read(dest: str = "store") -> dict[str, str]:
        lines = (tmp_path / dest / "rejected.tsv").read_text(encoding="utf-8").splitlines()[1:]
        return dict(line.split("\t", 1) for line in lines)

    return read


@pytest.fixture
def assert_equal_mv(tmp_path):
    """`assert_equal_mv(entry, reference, dest="store")`: stored values are half a step from the reference.

    `reference` is millivolt by lead name, (T,) each; leads of the record only.
    """

    def check(entry: dict, reference: dict[str, np.ndarray], dest: str = "store") -> None:
        signal, present = RecordStore(tmp_path / dest).read(entry["shard"], entry["row"])
        leads = [lead for lead, there in zip(LEADS, present) if there]
        assert leads == entry["leads"]
        for lead, scale in zip(leads, entry["scale"]):
            expected = reference[lead]
            stored = signal[LEADS.index(lead)]
            assert stored.shape == expected.shape, f"{entry['record_id']}: lead {lead}"
            largest = np.abs(stored - expected).max()
            # float32 millivolts carry 24 bits, hence the small allowance on top of half a step
            assert largest <= abs(scale) * 0.5 + np.abs(expected).max() * 1e-6, f"{entry['record_id']} {lead}"

    return check


@pytest.fixture(scope="session")
def wfdb_mv():
    """`wfdb_mv(header)`: millivolt of the first signal of each lead, as the wfdb library reads them."""
    import wfdb

    def read(header: Path) -> dict[str, np.ndarray]:
        record = wfdb.rdrecord(str(header)[: -len(".hea")])
        leads: dict[str, np.ndarray] = {}
        for lead, values in zip(leads_of(record.sig_name), record.p_signal.T):
            leads.setdefault(lead and lead.lead, values)
        return leads

    return read


@pytest.fixture
def assert_equal_wfdb(assert_equal_mv, wfdb_mv):
    """`assert_equal_wfdb(found, header_of)`: about 20 stored records are as wfdb reads them.

    `header_of(record_id)` is the header of a record.
    """

    def check(found: dict[str, dict], header_of) -> None:
        assert found
        for record_id in sorted(found)[:: max(1, len(found) // 20)]:
            factor = float(dict(found[record_id]["attributes"] or ()).get("amplitude_factor", 1.0))
            in_file = wfdb_mv(header_of(record_id))
            assert_equal_mv(found[record_id], {lead: mv * factor for lead, mv in in_file.items()})

    return check
