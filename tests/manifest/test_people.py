"""Which records are of one person, whatever names they go by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_signals.manifest.people import People, acquisition, patient_key, same_person


@pytest.mark.parametrize(
    "name",
    [
        "ptb-xl/HR00042",
        "physionet2021/HR00042",
        "HR00042",
        "ptbxl/00042_hr",
        "ptb_xl/records100/00000/00042_lr",
        "PTB-XL/42",
        "ptbxl/00042",
    ],
)
def test_all_published_names_of_a_ptb_xl_record_are_one(name):
    assert acquisition(name) == "PTB-XL/42"


@pytest.mark.parametrize(
    "name", ["georgia/E00042", "ecgid/42", "ptb/00042", "a/HR42", "a/00042_x", "ptb/S0042"]
)
def test_other_records_keep_their_names(name):
    assert acquisition(name) == name


def test_a_record_stands_in_for_a_patient_that_is_not_known():
    assert patient_key("ptbxl", "1", "77") == "ptbxl/77"
    assert patient_key("georgia", "E1", None) == patient_key("georgia", "E1", "") == "georgia/record/E1"


def test_records_of_one_patient_are_of_one_person_and_others_are_not():
    people = People()
    people.link_all([("a/1", "a/p"), ("a/2", "a/p"), ("a/3", "a/q")])
    assert people.of_record("a/1") == people.of_record("a/2") != people.of_record("a/3")
    assert people.of_record("a/unheard-of") not in {people.of_record("a/1"), people.of_record("a/3")}


def test_a_patient_known_from_one_publication_is_known_in_the_other():
    people = People()
    facts = {"ptb-xl/HR00001": "ptb-xl/record/HR00001", "ptb-xl/HR00002": "ptb-xl/record/HR00002"}
    people.link_all(facts.items())
    assert people.of_record("ptb-xl/HR00001") != people.of_record("ptb-xl/HR00002")
    people.link_all([("ptbxl/00001_hr", "ptbxl/77"), ("ptbxl/00002_hr", "ptbxl/77")])
    assert people.of_record("ptb-xl/HR00001") == people.of_record("ptb-xl/HR00002")
    both = {**facts, "ptbxl/00001_hr": "ptbxl/77"}
    assert set(people.patient_names(both).values()) == {"ptbxl/77"}
    assert set(people.patient_names(facts).values()) == {"ptbxl/77"}  # nobody is named by a stand-in


@given(facts=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("PQRSTU"))), shuffle=st.randoms())
def test_people_do_not_depend_on_the_order_of_facts(facts, shuffle):
    records = {record: patient for record, patient in facts}
    one, other = People(), People()
    one.link_all(facts)
    shuffle.shuffle(facts)
    other.link_all(facts)
    for a in records:
        assert one.of_record(a) == other.of_record(a)
        for b in records:  # the slow twin: walk from record to record over patients
            assert (one.of_record(a) == one.of_record(b)) == (b in _reachable(a, facts))


def _reachable(record, facts):
    found = {record}
    while True:
        patients = {p for r, p in facts if r in found}
        more = {r for r, p in facts if p in patients} | found
        if more == found:
            return found
        found = more


def test_persons_of_ptb_are_the_same_in_the_lead_i_variability_database():
    ours, ptb = "lead1_variability/subject_2/2_01", "ptbdb/patient019/s0070lre"
    patients = {ours: "lead1_variability/ptb019", ptb: "ptbdb/patient019"}
    people = People()
    people.link_all({**patients, "ptbdb/patient020/x": "ptbdb/patient020"}.items())
    assert people.of_record(ours) == people.of_record(ptb) != people.of_record("ptbdb/patient020/x")
    assert len(set(people.patient_names(patients).values())) == 1
    assert people.patient_names({ptb: "ptbdb/patient019"}) == {ptb: "ptbdb/patient019"}  # as it was


@pytest.mark.parametrize(
    "patient",
    [
        "lead1_variability/ptb019",
        "ptbdb/patient019",
        "ptbdb_10s/ptb019",
        "ptb/ptb19",  # of PhysioNet 2021, by its --patients
        "cinc2021/ptb019",
        "ptbdb_10s/record/patient019/s0070lre",  # of a store that knows no patients
        "wfdb/record/ptbdb/patient019/s0202are",
        "any/record/patient019/s0010_re",
    ],
)
def test_a_person_of_ptb_is_found_by_each_of_the_names(patient):
    assert same_person(patient) == same_person("ptbdb/patient019") == "person of PTB/19"
    assert same_person(same_person(patient)) == same_person(patient)


@pytest.mark.parametrize(
    "patient",
    [
        "ptb-xl/patient019",
        "ptb-xl/19",
        "a/patient019",
        "a/ptb0190",
        "a/record/ptb019",
        "a/record/patient019/x",
    ],
)
def test_other_people_of_a_like_name_are_not_those_of_ptb(patient):
    assert same_person(patient) == patient
