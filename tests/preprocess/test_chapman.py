"""preprocess/chapman.py on a small folder in the layout of the release."""

import pytest


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("chapman")


@pytest.fixture
def root(lookalike, tmp_path, write_wfdb, ecg_adu):
    return lookalike("chapman").make(tmp_path, write_wfdb, ecg_adu)


def run(script, root, dest, *options):
    return script.main([str(root), "--dest", str(dest), "--workers", "1", *options])


def test_records_carry_the_names_and_codes_of_the_challenge(script, root, tmp_path, entries, capsys):
    assert run(script, root, tmp_path / "store") == 0
    keys = ("source", "patient_id", "age", "sex", "codes", "attributes")
    assert {name: tuple(e[key] for key in keys) for name, e in entries(tmp_path / "store").items()} == {
        "JS00001": (
            "chapman_shaoxing", None, 85, "male", ["164889003", "59118001", "164934002"],
            {"acronyms": "AFIB|RBBB"},
        ),
        "JS00002": ("chapman_shaoxing", None, 59, "female", ["426177001"], {"acronyms": "SB"}),
        "JS13888": ("ningbo", None, None, None, ["426783006", "999"], {"acronyms": "SR"}),
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "kept 3 of 4 records; rejected 1 with a malformed header\n"
    assert "warning" not in err


def test_the_broken_headers_of_the_release_are_named(script, root, tmp_path, rejected):
    assert run(script, root, tmp_path / "store") == 0
    (line,) = rejected(tmp_path / "store").items()
    assert line[0] == "chapman_shaoxing/JS01052"
    assert "the record line 'JS01052 12 500 500000/mV 16 0" in line[1]


def test_of_the_same_recordings_in_the_challenge_a_manifest_has_one(
    script, load_script, load_file, repo_dir, root, tmp_path, entries, write_wfdb, ecg_adu
):
    for name, folder in (("JS00001", "WFDB_ChapmanShaoxing"), ("JS13888", "WFDB_Ningbo")):
        write_wfdb(tmp_path / "cinc" / folder, name, ecg_adu(n_samples=5000), suffix=".mat")
    challenge = load_script("physionet2021")
    assert run(script, root, tmp_path / "store") == 0
    assert run(challenge, tmp_path / "cinc", tmp_path / "challenge") == 0
    ours = {(e["source"], e["record_id"]) for e in entries(tmp_path / "store").values()}
    theirs = {(e["source"], e["record_id"]) for e in entries(tmp_path / "challenge").values()}
    assert theirs <= ours
    stores = [str(tmp_path / "store"), str(tmp_path / "challenge")]
    pretrain = load_file(repo_dir / "manifests" / "pretrain.py")
    arguments = ["--dest", str(tmp_path / "manifest"), "--no-exclusions", "--valid-fraction", "0"]
    assert pretrain.main([*stores, *arguments]) == 0
    lines = (tmp_path / "manifest" / "train.tsv").read_text().splitlines()[1:]
    assert sorted(line.split("\t")[2] for line in lines) == sorted(2 * ["/".join(key) for key in ours])


def test_values_are_those_that_wfdb_reads(script, root, tmp_path, entries, assert_equal_mv, wfdb_mv):
    assert run(script, root, tmp_path / "store") == 0
    for name, entry in entries(tmp_path / "store").items():
        (header,) = root.glob(f"WFDBRecords/*/*/{name}.hea")
        assert_equal_mv(tmp_path / "store", entry, wfdb_mv(header))


def test_without_the_table_of_conditions_codes_have_no_acronyms(script, root, tmp_path, entries, capsys):
    (root / "ConditionNames_SNOMED-CT.csv").unlink()
    assert run(script, root, tmp_path / "store") == 0
    assert "codes are stored without their acronyms" in capsys.readouterr().err
    assert not any(entry["attributes"] for entry in entries(tmp_path / "store").values())


def test_a_signal_file_without_a_header_is_reported(script, root, tmp_path, rejected):
    (root / "WFDBRecords" / "13" / "133" / "JS13888.hea").unlink()
    assert run(script, root, tmp_path / "store") == 0
    assert "no header names the signal file JS13888.mat" in rejected(tmp_path / "store")["ningbo/JS13888"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "WFDBRecords").rename(root / "records"),
            "there is no folder WFDBRecords in it",
        ),
        (
            lambda root: (root / "ConditionNames_SNOMED-CT.csv").write_text("Acronym,Code\n"),
            "ConditionNames_SNOMED-CT.csv:1: there is no column Acronym Name, Full Name, Snomed_CT among",
        ),
        (
            lambda root: (root / "WFDBRecords" / "x.hea").write_text("x 1 500 10\n"),
            "records of this corpus are named JS and five digits",
        ),
    ],
)
def test_a_folder_that_is_not_as_the_release_is_an_error(script, root, tmp_path, capsys, spoil, message):
    spoil(root)
    assert run(script, root, tmp_path / "store") == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("store/*"))


@pytest.mark.shared
def test_real_records_in_that_layout_are_read(
    script, shared_dir, tmp_path, entries, rejected, assert_equal_mv, wfdb_mv
):
    """The challenge's copies of the recordings, put in the folders of the release."""
    folder = shared_dir / "real_ecg" / "cinc2021"
    headers = {path.stem: path for path in folder.glob("**/JS*.hea")}
    if not headers:
        pytest.skip(f"no record of Chapman-Shaoxing or Ningbo below {folder}")
    for name, path in headers.items():
        place = tmp_path / "raw" / "WFDBRecords" / name[2:4] / name[2:5]
        place.mkdir(parents=True, exist_ok=True)
        for file in path.parent.glob(f"{name}.*"):
            (place / file.name).symlink_to(file)
    assert run(script, tmp_path / "raw", tmp_path / "store") == 0
    found = entries(tmp_path / "store")
    assert len(found) + len(rejected(tmp_path / "store")) == len(headers)
    assert all(entry["codes"] for entry in found.values())
    for name, path in headers.items():
        if name in found:
            assert found[name]["source"].split("_")[0] in path.parent.name.lower()
            assert_equal_mv(tmp_path / "store", found[name], wfdb_mv(path))
