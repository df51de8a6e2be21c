"""What a user says about the names of channels."""

import pytest

from fairseq_signals.ecg.lead_names import FoundLead, LeadNames, parse_lead_names
from fairseq_signals.errors import LeadError


def test_without_a_word_leads_are_found_by_name_in_their_order_with_every_position():
    found = LeadNames().find(["V1", "vx", "ii", "MLII", "I", "-aVR"])
    assert found == {
        "I": (FoundLead(4),),
        "II": (FoundLead(2), FoundLead(3)),
        "aVR": (FoundLead(5, -1),),
        "V1": (FoundLead(0),),
    }


@pytest.mark.parametrize(
    "spec", ["ECG=II, ecg2 = V5,x=-aVR,I=none", {"ECG": "II", "ecg2": "V5", "x": "-avr", "I": "none"},
             ["ECG=II", "ecg2=V5", "x=-aVR", "I="]],
)  # fmt: skip
def test_the_word_of_the_user_goes_before_the_name(spec):
    found = parse_lead_names(spec).find(["ecg", "ECG2", "X", "I", "V1"])
    assert found == {
        "II": (FoundLead(0, 1, True),),
        "aVR": (FoundLead(2, -1, True),),
        "V1": (FoundLead(4),),
        "V5": (FoundLead(1, 1, True),),
    }


def test_leads_can_be_named_in_the_order_of_the_channels():
    names = parse_lead_names("I,none,-V1")
    assert names.find(["a", "b", "c"]) == {"I": (FoundLead(0, 1, True),), "V1": (FoundLead(2, -1, True),)}
    with pytest.raises(LeadError, match=r"3 lead names are given for its 2 signals \('a', 'b'\)"):
        names.find(["a", "b"])


def test_names_can_be_in_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff# of our Holters\r\nCH=1=V5\r\n\r\nECG, left=I\r\n".encode())
    assert parse_lead_names(str(path)).by_name == (("CH=1", "V5"), ("ECG, left", "I"))


def test_an_electrode_named_by_the_user_tells_what_c_means():
    assert list(parse_lead_names("ECG=II").find(["ECG", "C1"])) == ["II", "V1"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [("ECG=X", "'X' is not a lead"), ("ECG=I,II", "'II' is not NAME=LEAD"), ("a=I,A=II", "more than once"),
     ("names.csv", "'names.csv' is not a lead")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(spec, message):
    with pytest.raises(LeadError, match=message):
        parse_lead_names(spec)


@pytest.mark.parametrize("column", ["ECG (mV)", "ecg_uV", "ECG [\u00b5V]", "ECG"])
def test_the_unit_behind_a_name_need_not_be_said(column):
    said = parse_lead_names("ECG=V5")
    assert list(said.find(["time", column])) == ["V5"]
    assert said.names(column)
    assert said.unused([column]) == []
    assert said.find(["ECG V"]) == {}
    assert list(parse_lead_names({column: "V5"}).find([column])) == ["V5"]


def test_a_name_with_its_unit_goes_before_the_one_without():
    said = parse_lead_names({"ECG": "II", "ECG (uV)": "V5"})
    assert {lead: found[0].position for lead, found in said.find(["ECG (uV)", "ECG (mV)"]).items()} == {
        "II": 1,
        "V5": 0,
    }
