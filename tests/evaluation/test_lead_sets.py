"""Lead sets, as `evaluate --leads` names them."""

from itertools import combinations

import pytest

from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import LeadError
from fairseq_signals.evaluation.lead_sets import parse_lead_sets


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
        (["random"], r"random:K, K leads drawn 10 times, or random:K:R"),
        (["each2"], "each2"),
        (["random:13"], "random:13: K must be 1 to 12, the leads that the model takes"),
        (["random:0"], "K must be 1 to 12"),
        (["random:4:0"], "R above 0"),
    ],
)
def test_lead_sets_that_do_not_exist_are_refused(specs, message):
    with pytest.raises(LeadError, match=message):
        parse_lead_sets(specs)


def test_each_is_every_lead_alone_beside_other_sets():
    sets = parse_lead_sets(["12,each,I"])
    assert list(sets) == ["12", *LEADS]
    assert [sets[name] for name in LEADS] == [(i,) for i in range(12)]
    assert sets.families == {"each": LEADS}


def test_a_degradation_stands_behind_lead_sets_and_families():
    sets = parse_lead_sets(["2@100Hz,V1@emg6dB,each@62.50Hz"])
    assert list(sets)[:3] == ["2@100Hz", "V1@emg6dB", "I@62.5Hz"]
    assert sets["2@100Hz"] == (0, 1)
    assert sets.families == {"each@62.5Hz": tuple(f"{lead}@62.5Hz" for lead in LEADS)}


def test_families_are_of_the_leads_that_a_model_takes():
    form = InputFormat(leads=(7, 1, 0))
    sets = parse_lead_sets(["2,each,random:2"]).of_model(form)
    assert sets.families["each"] == ("I", "II", "V2")
    assert sorted(sets.families["random:2"]) == ["random:2 I+II", "random:2 I+V2", "random:2 II+V2"]
    with pytest.raises(LeadError, match="random:4: K must be 1 to 3"):
        parse_lead_sets(["random:4"]).of_model(form)


def test_random_sets_are_different_sets_of_different_leads_the_same_each_time():
    sets = parse_lead_sets(["random:4:20"])
    assert len(sets) == len({frozenset(leads) for leads in sets.values()}) == 20
    assert all(len(set(leads)) == 4 and leads == tuple(sorted(leads)) for leads in sets.values())
    assert parse_lead_sets(["random:4:20"]) == sets
    fewer = list(parse_lead_sets(["random:4"]).values())
    assert fewer == list(sets.values())[:10]  # the first of many
    assert len({lead for leads in sets.values() for lead in leads}) == 12


def test_there_are_no_more_random_sets_than_sets():
    assert list(parse_lead_sets(["random:12"]).values()) == [tuple(range(12))]
    assert sorted(parse_lead_sets(["random:11:99"]).values()) == sorted(combinations(range(12), 11))
