"""A mistake in one line, in the commands of fairseq alone."""

import sys

import pytest

from fairseq_signals.errors import ConfigError, FairseqSignalsError
from fairseq_signals.safety.one_line import show_in_one_line


@pytest.fixture
def end(monkeypatch, capsys):
    """`end(command, error)`: what is shown of the error that a command ends with."""

    def shown(command, error) -> str:
        monkeypatch.setattr(sys, "argv", [command])
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        show_in_one_line(FairseqSignalsError)
        try:
            raise error
        except type(error):
            sys.excepthook(*sys.exc_info())
        return capsys.readouterr().err

    return shown


@pytest.mark.parametrize("command", ["/env/bin/fairseq-train", "/env/site-packages/fairseq_cli/train.py"])
def test_a_users_mistake_is_a_line_and_how_to_see_more(end, command):
    assert end(command, ConfigError("wrong")) == (
        "ConfigError: wrong\n\nSet HYDRA_FULL_ERROR=1 to see where it was raised.\n"
    )


def test_all_of_it_is_shown_on_request(end, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in end("fairseq-train", ConfigError("wrong"))


@pytest.mark.parametrize(
    ("command", "error"), [("mine.py", ConfigError("wrong")), ("fairseq-train", KeyError(1))]
)
def test_other_programs_and_other_errors_are_left_alone(end, command, error):
    assert "Traceback" in end(command, error)
