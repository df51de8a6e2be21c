"""Lead sets, as `evaluate --leads` names them."""

import pytest

from fairseq_signals.errors import LeadError
from fairseq_signals.evaluation.predict import parse_lead_sets


def test_lead_sets_are_numbers_or_names_joined_with_plus():
    sets = parse_lead_sets(["12,3,v5+i"])
    assert list(sets) == ["12", "3", "V5+I"]
    assert sets["3"] == (0, 1, 7)
    assert sets["V5+I"] == (10, 0)


def test_names_alone_are_one_set_and_the_option_may_be_repeated():
    assert parse_lead_sets(["I,II,V5"]) == {"I+II+V5": (0, 1, 10)}
    assert parse_lead_sets(["I", "V1,2"]) == {"I": (0,), "V1": (6,), "2": (0, 1)}


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["4"], "no lead set 4"),
        (["I+V7"], "V7"),
        (["I+I"], "more than once"),
        ([" , "], "no lead set is given"),
    ],
)
def test_lead_sets_that_do_not_exist_are_refused(specs, message):
    with pytest.raises(LeadError, match=message):
        parse_lead_sets(specs)
