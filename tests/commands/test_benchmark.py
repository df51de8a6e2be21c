"""`fairseq-signals benchmark`: what stops it before anything runs."""

from __future__ import annotations

import sys

import pytest
import yaml

from fairseq_signals.benchmark.settings import FILE
from fairseq_signals.commands.main import main

SETTINGS = {
    "corpora": {"mine": {"path": "raw", "script": "wfdb_folder"}},
    "tasks": {"age": {"kind": "regression", "corpora": "mine"}},
    "methods": {"theirs": {"model": "folder"}},
}


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "raw").mkdir()
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


def test_without_snakemake_it_says_how_to_get_it(settings, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "snakemake", None)
    assert main(["benchmark", str(settings)]) == 1
    assert "pip install 'fairseq-signals[paper]'" in capsys.readouterr().err


def test_a_mistake_in_the_settings_is_one_line_and_nothing_is_written(settings, tmp_path, capsys):
    pytest.importorskip("snakemake")
    settings.write_text(yaml.safe_dump({**SETTINGS, "seedz": [1]}))
    assert main(["benchmark", str(settings), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "no key seedz; did you mean seeds" in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_measured_where_no_method_is_trained(settings, tmp_path, capsys):
    pytest.importorskip("snakemake")
    assert main(["benchmark", str(settings), "--out", str(tmp_path / "out"), "--measure"]) == 1
    assert "no method of these is trained" in capsys.readouterr().err
    assert (tmp_path / "out" / FILE).is_file()
