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
    LeadName,
    complete_leads,
    configured_leads,
    derive_limb_leads,
    lead_of,
    leads_of,
    parse_leads,
    signed_leads,
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
def test_case_and_blanks_of_a_name_do_not_matter(lead, case, blank):
    assert lead_of(f"{blank}{case(lead)}{blank}") == LeadName(lead)


@pytest.mark.parametrize(
    ("spelling", "lead"),
    [("MLII", "II"), ("ECG I", "I"), ("lead I", "I"), ("Lead aVR", "aVR"), ("LEAD_V2", "V2"), ("DII", "II"),
     ("v 3", "V3"), ("a-V-F", "aVF"), ("ecg lead II", "II"), ("ECG C1", "V1"), ("D1", "I"), ("L3", "III"),
     ("V5 \xc2\xb5V", "V5"),
     ("I (mV)", "I"), ("V5 [µV]", "V5"), ("aVL, uV", "aVL"), ("MDC_ECG_LEAD_AVF", "aVF"), ("ECG-aVR", "aVR"),
     ("ECG - V4", "V4"), ("V1-Ref", "V1"), ("ECG (II)", "II"), ("Ableitung III", "III"), ("Ⅱ", "II"),
     ("V1 (C1)", "V1"), ("C6 [V6]", "V6"), ("II (MLII)", "II"),
     ("LA-RA", "I"), ("LL-RA", "II"), ("LL-LA", "III"), ("ECG LA-RA", "I"), ("V6 lead", "V6"), ("+II", "II")],
)  # fmt: skip
def test_common_spellings_are_understood(spelling, lead):
    assert lead_of(spelling) == LeadName(lead)


@pytest.mark.parametrize(
    "spelling", ["-aVR", "\u2212aVR", "ECG -aVR", "- avr", "neg aVR", "aVR (inverted)", "aVR_neg"]
)
def test_a_minus_in_front_turns_the_sign(spelling):
    assert lead_of(spelling) == LeadName("aVR", -1)


@pytest.mark.parametrize(
    "name",
    ["vx", "V", "V7", "ECG I filtered", "ECG 1", "ECG1", "ECG", "PLETH", "ABP", "sig 0, fmt 16", "", "IV",
     "aVX", "I-II", "II-I", "I/II", "I II", "I.I", "V1 (V2)",
     "V1-V2", "RA-LA", "aVR-", "I-", "C3", "C3-A2", "C4-M1", "EEG C3-Ref", "lead", "-", "mV"],
)  # fmt: skip
def test_what_is_not_one_of_the_twelve_or_not_clear_is_no_lead(name):
    assert lead_of(name) is None


@pytest.mark.parametrize(
    ("names", "leads"),
    [
        (["I", "II", "C1", "C2"], ["I", "II", "V1", "V2"]),
        (["C1", "C2", "C3"], [None] * 3),
        (["ECG II", "C3", "C4", "F3"], ["II", None, None, None]),
        (["I", "C3-M2", "C4", "LOC"], ["I", None, None, None]),
        (["II", *(f"C{n}" for n in range(1, 9))], ["II"] + [None] * 8),
        (["EEG Fpz-Cz", "C3", "ECG I"], [None, None, "I"]),
        (["I", "-C1"], ["I", "V1"]),
        (["ECG II", "C3", "C4", "LEOG", "Chin EMG"], ["II"] + [None] * 4),
        (["ECG I", "C3", "C4", "Chin1", "Airflow"], ["I", None, None, None, None]),
        (["I", "II", "C1", "C3", "RESP"], ["I", "II", "V1", "V3", None]),
        (["ECG I", "C3-REF", "C4"], ["I", None, None]),
    ],
)
def test_c_electrodes_are_of_the_chest_only_where_the_other_names_say_so(names, leads):
    assert [lead and lead.lead for lead in leads_of(names)] == leads


def test_rows_of_an_array_may_be_leads_negated_but_no_selection_can():
    assert signed_leads("I,-aVR") == [(0, 1), (3, -1)]
    assert signed_leads(["II", "C1"]) == [(1, 1), (6, 1)]
    with pytest.raises(LeadError, match="to select the lead, name aVR"):
        parse_leads("I,-aVR")
    with pytest.raises(LeadError, match=r"electrode of an EEG, or of the chest.*name V3"):
        parse_leads("C3")


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
        (np.array([1, 2]), (1, 2)),
    ],
)
def test_parse_leads_reads_every_form_in_the_order_given(spec, indices):
    assert parse_leads(spec) == indices


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aVX", "unknown lead 'aVX'; did you mean aVR"),
        (["I-II"], r"unknown lead 'I-II'\. The leads"),
        (["I", "V7"], "unknown lead 'V7'; did you mean V"),
        ("I,,II,I", "lead I is given more than once"),
        ([0, "I"], "lead I is given more than once"),
        ([12], "index 12 is outside 0-11"),
        ([-1], "index -1 is outside 0-11"),
        (2, r"leads=2 may .*: write leads='2' for the lead set .*, leads=\[2\] for the index"),
        (np.int64(2), r"write leads='2' for"),
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
