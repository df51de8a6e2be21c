"""preprocess/chapman.py on a small folder in the layout of the release."""

import pytest

from manifests import pretrain


def test_records_carry_the_names_and_codes_of_the_challenge(capsys, stored):
    found = stored()
    keys = ("source", "patient_id", "age", "sex", "codes", "attributes")
    assert {name: tuple(e[key] for key in keys) for name, e in found.items()} == {
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


def test_the_broken_headers_of_the_release_are_named(rejected, stored):
    stored()
    (line,) = rejected().items()
    assert line[0] == "chapman_shaoxing/JS01052"
    assert "the record line 'JS01052 12 500 500000/mV 16 0" in line[1]


def test_of_the_same_recordings_in_the_challenge_a_manifest_has_one(tmp_path, write_wfdb, ecg_adu, stored):
    for name, folder in (("JS00001", "WFDB_ChapmanShaoxing"), ("JS13888", "WFDB_Ningbo")):
        write_wfdb(tmp_path / "cinc" / folder, name, ecg_adu(n_samples=5000), suffix=".mat")
    in_release = stored()
    in_challenge = stored(root=tmp_path / "cinc", dest="challenge", script="physionet2021")
    ours = {(e["source"], e["record_id"]) for e in in_release.values()}
    theirs = {(e["source"], e["record_id"]) for e in in_challenge.values()}
    assert theirs <= ours
    stores = [str(tmp_path / "store"), str(tmp_path / "challenge")]
    arguments = ["--dest", str(tmp_path / "manifest"), "--no-exclusions", "--valid-fraction", "0"]
    assert pretrain.main([*stores, *arguments]) == 0
    lines = (tmp_path / "manifest" / "train.tsv").read_text().splitlines()[1:]
    assert sorted(line.split("\t")[2] for line in lines) == sorted(2 * ["/".join(key) for key in ours])


def test_values_are_those_that_wfdb_reads(root, stored, assert_equal_wfdb):
    assert_equal_wfdb(stored(), lambda name: next(root.glob(f"WFDBRecords/*/*/{name}.hea")))


def test_without_the_table_of_conditions_codes_have_no_acronyms(root, capsys, stored):
    (root / "ConditionNames_SNOMED-CT.csv").unlink()
    found = stored()
    assert "codes are stored without their acronyms" in capsys.readouterr().err
    assert not any(entry["attributes"] for entry in found.values())


def test_a_signal_file_without_a_header_is_reported(root, rejected, stored):
    (root / "WFDBRecords" / "13" / "133" / "JS13888.hea").unlink()
    stored()
    assert "no header names the signal file JS13888.mat" in rejected()["ningbo/JS13888"]


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
def test_a_folder_that_is_not_as_the_release_is_an_error(root, spoil, message, fails):
    spoil(root)
    assert message in fails()


@pytest.mark.shared
def test_real_records_in_that_layout_are_read(tmp_path, rejected, assert_equal_mv, wfdb_mv, stored, real):
    """The challenge's copies of the recordings, put in the folders of the release."""
    headers = {path.stem: path for path in real("cinc2021", "**/JS*.hea").glob("**/JS*.hea")}
    for name, path in headers.items():
        place = tmp_path / "raw" / "WFDBRecords" / name[2:4] / name[2:5]
        place.mkdir(parents=True, exist_ok=True)
        for file in path.parent.glob(f"{name}.*"):
            (place / file.name).symlink_to(file)
    found = stored(root=tmp_path / "raw")
    assert len(found) + len(rejected()) == len(headers)
    assert all(entry["codes"] for entry in found.values())
    for name, path in headers.items():
        if name in found:
            assert found[name]["source"].split("_")[0] in path.parent.name.lower()
            assert_equal_mv(found[name], wfdb_mv(path))
