"""What messages about a user's input share."""

from importlib import import_module

import pytest

from fairseq_signals.errors import MissingLibraryError, did_you_mean, optional_library


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sexes", "; did you mean sex?"),
        ("AGE", "; did you mean age?"),  # though "ages" is near as well
        ("ag", "; did you mean age or ages?"),
        ("height", ""),
    ],
)
def test_the_nearest_names_are_offered_whatever_their_capitals(name, hint):
    assert did_you_mean(name, ("age", "ages", "sex")) == hint
    assert did_you_mean(name, ("age", "ages", "sex"), " ({})") == (f" ({hint[2:]})" if hint else "")


def test_a_missing_library_is_named_with_what_needs_it_and_the_extra_that_brings_it():
    with pytest.raises(
        MissingLibraryError,
        match=r"^Tape needs the library notapelib, which .* 'fairseq-signals\[tapes\]', now$",
    ):
        optional_library("notapelib.reels", "Tape", "tapes", ", now")
    assert optional_library("json", "Tape", "tapes") is import_module("json")
