"""Lead names, lead sets and limb-lead relations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import (
    CHEST_LEADS,
    INDEPENDENT_LEADS,
    LEAD_SETS,
    LEADS,
    LIMB_LEADS,
    by_canonical_lead,
    canonical_lead,
    complete_leads,
    configured_leads,
    derive_limb_leads,
    parse_leads,
)
from fairseq_signals.errors import LeadError


def test_leads_are_in_the_order_of_the_data_contract():
    assert tuple(["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]) == LEADS
    assert LIMB_LEADS + CHEST_LEADS == LEADS


def test_lead_sets_are_those_of_the_paper():
    assert {key: len(names) for key, names in LEAD_SETS.items()} == {"12": 12, "6": 6, "3": 3, "2": 2, "1": 1}
    assert LEAD_SETS["3"] == ("I", "II", "V2")


@given(
    st.sampled_from(LEADS), st.sampled_from([str.lower, str.upper, str.title, str]), st.sampled_from("  \t")
)
def test_canonical_lead_does_not_mind_case_and_blanks(lead, case, blank):
    assert canonical_lead(f"{blank}{case(lead)}{blank}") == lead


@pytest.mark.parametrize(
    ("spelling", "lead"),
    [("MLII", "II"), ("ECG I", "I"), ("lead I", "I"), ("Lead aVR", "aVR"), ("LEAD_V2", "V2"), ("DII", "II"),
     ("v 3", "V3"), ("a-V-F", "aVF"), ("ecg lead II", None), ("c1", "V1")],
)  # fmt: skip
def test_canonical_lead_knows_the_listed_spellings(spelling, lead):
    assert canonical_lead(spelling) == lead


@pytest.mark.parametrize(
    "name",
    ["vx", "V", "V7", "ECG I filtered", "ECG 1", "ECG", "PLETH", "ABP", "sig 0, fmt 16", "", "IV", "aVX"],
)
def test_canonical_lead_is_none_for_what_is_not_one_of_the_twelve(name):
    assert canonical_lead(name) is None


@pytest.mark.parametrize(
    ("spec", "indices"),
    [
        (None, tuple(range(12))),
        ("12", tuple(range(12))),
        ("6", (0, 1, 2, 3, 4, 5)),
        ("3", (0, 1, 7)),
        ("2", (0, 1)),
        ("1", (0,)),
        ("I,II,V2", (0, 1, 7)),
        ("V2, I", (7, 0)),
        ("[0, 1]", (0, 1)),
        ("[I, V2]", (0, 7)),
        ("['I', 1]", (0, 1)),
        ("avr", (3,)),
        ("0,1", (0, 1)),
        (["I", "V2"], (0, 7)),
        (["I", 7], (0, 7)),
        ((11, 0), (11, 0)),
        (3, (3,)),
        (np.array([1, 2]), (1, 2)),
    ],
)
def test_parse_leads_reads_every_form_in_the_order_given(spec, indices):
    assert parse_leads(spec) == indices


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aVX", "unknown lead 'aVX'; did you mean aVR"),
        (["I", "V7"], "unknown lead 'V7'; did you mean V"),
        ("I,,II,I", "lead I is given more than once"),
        ([0, "I"], "lead I is given more than once"),
        ([12], "index 12 is outside 0-11"),
        ([-1], "index -1 is outside 0-11"),
        (12, "Lead sets .* are given as a string"),
        ("4", "there is no lead set '4'"),
        ("", "no lead is selected"),
        ([], "no lead is selected"),
        ("[I", "the bracket is not closed"),
        (1.5, "must be names, indices or a lead set"),
        ([1.5], "neither a lead name nor an index"),
        (True, "must be names, indices or a lead set"),
        ([True], "neither a lead name nor an index"),
        ({"I"}, "must be names, indices or a lead set"),
    ],
)
def test_parse_leads_says_what_is_wrong(spec, message):
    with pytest.raises(LeadError, match=message):
        parse_leads(spec)


@given(st.lists(st.sampled_from(range(12)), min_size=1, unique=True))
def test_parse_leads_inverts_writing_them_as_names_or_indices(indices):
    names = [LEADS[i] for i in indices]
    assert parse_leads(names) == parse_leads(",".join(names)) == parse_leads(str(indices)) == tuple(indices)


def test_the_index_of_a_lead_is_its_position_on_the_lead_axis():
    assert [parse_leads(name) for name in LEADS] == [(position,) for position in range(12)]


def test_by_canonical_lead_orders_by_lead_and_keeps_every_position():
    assert by_canonical_lead(["V1", "vx", "ii", "MLII", "I"]) == {"I": [4], "II": [2, 3], "V1": [0]}


@given(st.integers(0, 2**32 - 1))
def test_derived_limb_leads_obey_einthoven_and_goldberger(seed):
    i, ii = np.random.default_rng(seed).normal(size=(2, 20))
    limb = dict(zip(LIMB_LEADS, derive_limb_leads(i, ii)))
    np.testing.assert_allclose(limb["I"] + limb["III"], limb["II"], atol=1e-12)
    np.testing.assert_allclose(limb["aVR"] + limb["aVL"] + limb["aVF"], 0, atol=1e-12)
    np.testing.assert_allclose(limb["aVL"], (limb["I"] - limb["III"]) / 2, atol=1e-12)
    np.testing.assert_allclose(limb["aVF"], (limb["II"] + limb["III"]) / 2, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_twelve_leads_are_completed_from_the_independent_eight(seed):
    independent = np.random.default_rng(seed).normal(size=(8, 20))
    leads = complete_leads(independent)
    assert np.array_equal(leads[[LEADS.index(name) for name in INDEPENDENT_LEADS]], independent)
    assert np.array_equal(leads[:6], derive_limb_leads(independent[0], independent[1]))
    assert complete_leads(independent[:, 0]).shape == (12,)  # one value a lead


@pytest.mark.parametrize("key", ["12", "6", "3", "2", "1"])
def test_lead_set_that_yaml_made_an_integer_is_still_a_lead_set(key):
    assert configured_leads(int(key)) == configured_leads(key) == parse_leads(key)


def test_configured_leads_reads_a_list_of_integers_as_indices():
    assert configured_leads([6]) == (6,)
