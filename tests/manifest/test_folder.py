"""A folder of manifests is written as one, and its kind is known when it is read."""

import json
from pathlib import Path

import pytest

from fairseq_signals.errors import ManifestError
from fairseq_signals.manifest.folder import read_set, split_of, write_set
from fairseq_signals.manifest.table import Row, read_manifest
from fairseq_signals.safety.locks import one_process

ROW = Row("shard-00000.arrow#0:0", 50, "a/r", "a/p", 0, "")


def test_a_set_is_read_as_it_was_written(tmp_path):
    write_set(tmp_path, "pretrain", Path("/data"), {"train": [ROW], "valid": []}, {}, {"seed": 3})
    one = read_set(tmp_path)
    assert one.kind == "pretrain"
    assert one.info == {"kind": "pretrain", "seed": 3}
    assert list(one.manifests["train"].rows()) == [ROW]
    assert list(one.held_out()) == ["valid"]


def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path):
    write_set(tmp_path, "pretrain", Path("/data"), {"train": [ROW], "valid": [ROW]}, {}, {"seed": 1})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bad = ROW._replace(patient_id="a\tb")
    with pytest.raises(ManifestError, match="cannot write record 'a/r' to a manifest"):
        write_set(tmp_path, "pretrain", Path("/other"), {"train": [ROW], "valid": [bad]}, {}, {"seed": 2})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("n_renamed", range(4))
def test_a_set_that_a_kill_divides_is_refused_until_it_is_made_again(tmp_path, monkeypatch, n_renamed):
    """Renaming stops after some files: there is the older set then, or none that is taken for a set."""

    def write(root):
        write_set(tmp_path, "pretrain", Path(root), {"train": [ROW], "valid": [ROW]}, {}, {"seed": 1})

    def stop(self, target):
        if next(left) == 0:
            raise KeyboardInterrupt
        return rename(self, target)

    write("/data")
    left, rename = iter(range(n_renamed, -1, -1)), Path.replace
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # as after a kill
        with pytest.raises(KeyboardInterrupt):
            write("/other")
    assert len(list(tmp_path.iterdir())) > 3
    if n_renamed:
        for read in (read_set, lambda folder: read_manifest(folder / "train.tsv", check_files=False)):
            with pytest.raises(ManifestError, match=r"was cut short.* Run the script that makes them again"):
                read(tmp_path)
    else:  # not even the note that a set is being written
        assert {name: one.root for name, one in read_set(tmp_path).manifests.items()} == {
            "train": Path("/data"), "valid": Path("/data"),
        }  # fmt: skip
    write("/other")
    assert len(list(tmp_path.iterdir())) == 3
    assert read_set(tmp_path).manifests["train"].root == Path("/other")


def test_two_processes_do_not_write_a_set_at_a_time(tmp_path):
    splits = {"train": [ROW]}
    with (
        one_process(tmp_path, ManifestError("busy")),
        pytest.raises(ManifestError, match="another process is writing manifests here"),
    ):
        write_set(tmp_path, "pretrain", Path("/data"), splits, {}, {})
    write_set(tmp_path, "pretrain", Path("/data"), splits, {}, {})


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (("train", "valid"), "pretrain"),
        (("train", "valid", "test"), "classification"),
        (("train", "valid_gallery", "valid_probe"), "identification"),
    ],
)
def test_the_kind_of_a_set_without_information_is_told_by_its_files(tmp_path, files, kind):
    for name in files:
        (tmp_path / f"{name}.tsv").write_text("/data\nA0001_0.mat\t2500\n")
    assert read_set(tmp_path).kind == kind
    assert read_set(tmp_path, "pretrain").kind == "pretrain"


def test_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "train.tsv").write_text("/data\n")
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "segmentation"}))
    with pytest.raises(ManifestError, match=r"kind must be one of pretrain, .* but is 'segmentation'"):
        read_set(tmp_path)


def test_gallery_and_probe_are_of_one_split():
    names = ("train", "valid_gallery", "test_probe", "test")
    assert [split_of(name) for name in names] == ["train", "valid", "test", "test"]


def test_segments_records_and_patients_are_counted(tmp_path):
    rows = [ROW, ROW._replace(segment=1), ROW._replace(record_id="a/s"), ROW._replace(patient_id="a/q")]
    write_set(tmp_path, "pretrain", Path("/data"), {"train": rows}, {}, {})
    counts = read_set(tmp_path).manifests["train"].counts()
    assert counts == {"segments": 4, "records": 2, "patients": 2}
