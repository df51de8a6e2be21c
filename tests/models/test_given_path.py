"""Where a relative path of a configuration is looked for."""

import json
import os

import pytest

from fairseq_signals.models import given_path as module
from fairseq_signals.models.given_path import given_path, missing_path

WORKER = """
import json, os
os.chdir(FOLDER)
from fairseq_signals.models.given_path import started_in
with open("answer.json", "w") as file:
    json.dump(str(started_in()), file)
"""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folder where the user stood and the one of the run, which is the working directory."""
    stood, run = tmp_path / "stood", tmp_path / "run"
    for folder in (stood, run):
        folder.mkdir()
    monkeypatch.chdir(run)
    monkeypatch.setattr(module, "started_in", lambda: stood)
    return stood, run


def test_a_path_is_found_in_the_folder_of_the_run_first_then_where_the_user_stood(folders):
    stood, run = folders
    (stood / "both").touch()
    (run / "both").touch()
    (stood / "one").touch()
    assert given_path("both").absolute() == run / "both"
    assert given_path("one") == stood / "one"
    assert given_path(stood / "one") == stood / "one"
    assert str(given_path("none")) == "none"


def test_the_message_about_a_missing_path_names_every_folder_where_it_was_looked_for(folders, monkeypatch):
    stood, run = folders
    assert f"a.pt is neither in {stood}, where the command was started, nor in {run}" in missing_path("a.pt")
    assert missing_path("/a.pt") == "there is no /a.pt"
    monkeypatch.undo()
    assert missing_path("a.pt") == f"there is no a.pt in {os.getcwd()}"


def test_a_worker_that_starts_in_the_folder_of_the_run_knows_where_the_user_stood(forked, tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    stood = os.getcwd()
    worker = forked(tmp_path / "worker.py", FOLDER=str(tmp_path))
    worker.join(timeout=60)
    assert json.loads((tmp_path / "answer.json").read_text()) == stood
