"""Mistyped paths of every command: told in a line, and before any work is done."""

from __future__ import annotations

import os
import shlex

import pytest

from fairseq_signals.commands.main import main

#: Every option that names a file to write, behind what else its command needs; nothing of that is there.
OUTPUTS = [
    "embed m.pt none --out NAME.npy",
    "predict m.pt none --out NAME.csv",
    "identify m.pt --gallery none --probe none --out NAME.csv",
    "evaluate m.pt --manifest none --json NAME.json",
    "evaluate m.pt --manifest none --predictions NAME.csv",
    "evaluate m.pt --manifest none --save NAME.npz",
    "report none --out NAME.html",
    "plot record none --out NAME.png",
    "plot classification none --out NAME.png",
]
#: Paths that are not set, as of an unset variable of a shell.
EMPTY = [
    "info ''",
    "embed m.pt '' --out a.npy",
    "predict m.pt none --out ''",
    "identify m.pt --gallery none '' --probe none",
    "evaluate m.pt --manifest ''",
    "report none --record ''",
    "plot training ''",
    "manifest pretrain '' --dest a",
    "manifest check ''",
    "preprocess edf '' --dest a --source a",
]


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """`refused(command)`: the last line about a command that cannot be understood, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(shlex.split(command))
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_result_that_cannot_be_written_is_told_before_the_run(command, refused, tmp_path):
    if command.startswith("plot"):
        pytest.importorskip("matplotlib")
    option, name = command.split()[-2:]
    (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert f"{option} {name}: is a folder" in refused(command)
    os.mkfifo(tmp_path / name.replace("NAME", "pipe"))
    assert f"{option} {name.replace('NAME', 'pipe')}: is a pipe" in refused(command.replace("NAME", "pipe"))
    said = refused(command.replace("NAME", "file/NAME"))
    assert f"{option} file/{name}: {tmp_path / 'file'} is not a folder that can be written to" in said


@pytest.mark.parametrize("command", EMPTY)
def test_an_empty_path_is_not_the_folder_one_stands_in(command, refused):
    assert "must not be empty; is a variable in the command not set?" in refused(command)


def test_a_file_in_place_of_a_folder_of_manifests_is_named(tmp_path, capsys):
    from fairseq_signals.errors import ManifestError
    from fairseq_signals.manifest.table import read_manifest

    (tmp_path / "test.tsv").touch()
    with pytest.raises(ManifestError, match=r"test.tsv is a file; name the folder of the manifests"):
        read_manifest(tmp_path / "test.tsv" / "test.tsv")


def test_an_absent_gallery_is_not_a_file_that_does_not_say_whose_it_is(tmp_path, capsys):
    assert main(["identify", "m.pt", "--gallery", str(tmp_path / "no"), "--probe", str(tmp_path / "no")]) == 1
    assert "no: there is no such file, and no WFDB record of that name" in capsys.readouterr().err
