"""What a recording is, whatever file it came from."""

import ast

import pytest

from fairseq_signals.ecg.record import parse_codes


def test_codes_may_be_separated_by_commas_or_bars():
    assert parse_codes("1|2,3") == ("1", "2", "3")


@pytest.mark.parametrize("name", ["record", "leads", "units", "resample", "vcg"])
def test_what_an_ecg_is_does_not_depend_on_how_files_are_read(repo_dir, name):
    allowed = {"leads", "record", "units"}
    source = (repo_dir / "fairseq_signals" / "ecg" / f"{name}.py").read_text(encoding="utf-8")
    imported = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    ours = {module.rpartition("fairseq_signals.ecg.")[2] for module in imported if ".ecg." in str(module)}
    assert ours <= allowed
