"""Argument types: their messages name what is expected, whatever the argument."""

import argparse

import pytest

from fairseq_signals.commands.arguments import integer_from, number, positive, share


@pytest.mark.parametrize(
    ("convert", "texts", "expected"),
    [
        (positive, ("x", "0", "-2", "nan", "inf"), "a number > 0"),
        (number(0, 1), ("x", "-0.1", "1.5", "nan"), "a number from 0 to 1"),
        (number(0, 30, low_included=False), ("long", "0", "31"), "a number above 0 and at most 30"),
        (share, ("x", "-0.1", "1", "nan"), "a number from 0 to below 1"),
        (integer_from(1), ("0", "-1", "1.5", "many", "1_0"), "an integer from 1"),
        (integer_from(None), ("1.5", "many", "", "9" * 5000), "an integer"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(convert, texts, expected, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--fs", type=convert)
    for text in texts:
        with pytest.raises(SystemExit):
            parser.parse_args([f"--fs={text}"])
        assert f"--fs: must be {expected}, but is {text!r}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (positive, "0.5", 0.5),
        (number(0, 1), "0", 0),
        (number(0, 1), "1", 1),
        (share, "0", 0),
        (integer_from(1), "12", 12),
        (integer_from(None), "-3", -3),
    ],
)
def test_a_value_within_the_limits_is_taken(convert, text, value):
    assert convert(text) == value
