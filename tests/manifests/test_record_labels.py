"""Classes from a table of one's own."""

import re

import pytest

from fairseq_signals.manifest.labels import read_labels


def test_each_distinct_label_is_a_class(targets, tmp_path):
    lines = [
        f"r{i},{('sick|old', 'sick; old')[i % 2] if i % 3 == 0 else 'well' if i % 3 == 1 else ''}"
        for i in range(19)
    ]
    found, out = targets(table="\n".join(["record_id,labels", *lines]))
    assert found["r0"] == {"old", "sick"}
    assert found["r1"] == {"well"}
    assert found["r2"] == set()
    assert read_labels(tmp_path / "m" / "labels.csv").abbreviations == ("old", "sick", "well")
    assert "kept 19 of 20 records; left out 1: 1 not in mine.csv" in out
    assert "6 records of none of the classes are kept" in out


@pytest.mark.parametrize("name", ["r{}.hea", "r{}", "data/p/r{}"])
def test_records_may_be_named_by_their_files_alone(targets, name):
    """As in a table that was written by hand; a folder before the name is not the store's."""
    records = [(f"p{i // 2}/r{i}", {}) for i in range(20)]
    lines = [f"{name.format(i)},{'ab'[i % 2]}" for i in range(18)]
    found, out = targets(table="\n".join(["record_id,label", *lines, "gone,a"]), records=records)
    assert found == {records[i][0]: {"ab"[i % 2]} for i in range(18)}
    assert "mine.csv names 18 records by the names of their files" in out
    assert "1 of 19 names in mine.csv are of no record here (first: gone)" in out
    assert "left out 2: 2 not in mine.csv" in out


def test_columns_of_ones_and_zeros_are_a_class_each_in_their_order(targets, tmp_path):
    """As in CODE-15%'s `exams.csv`, here of patients."""
    lines = [f"p{i},{i % 2},{'True' if i > 5 else 'False'},x" for i in range(10)]
    table = "\n".join(["patient_id,RBBB,1dAVb,other", *lines])
    found, _ = targets("--class-columns", "RBBB", "1dAVb", table=table)
    assert found["r0"] == found["r1"] == set()
    assert found["r2"] == {"RBBB"}
    assert found["r15"] == {"RBBB", "1dAVb"}
    assert read_labels(tmp_path / "m" / "labels.csv").names == ("RBBB", "1dAVb")


def test_one_column_of_ones_and_zeros_is_one_class(targets):
    table = "\n".join(["record_id,af", *(f"r{i},{i % 2}" for i in range(20))])
    found, _ = targets("--class-columns", "af", table=table)
    assert {name for name, classes in found.items() if classes == {"af"}} == {
        f"r{i}" for i in range(1, 20, 2)
    }


def test_labels_are_of_records_where_a_table_names_both(targets):
    lines = [f"p{i // 2},r{i},{'odd' if i % 2 else 'even'}" for i in range(20)]
    found, _ = targets(table="\n".join(["patient_id,record_id,label", *lines]))
    assert found["r2"] == {"even"}
    assert found["r3"] == {"odd"}


def test_a_column_of_labels_is_named(targets):
    table = "\n".join(["record_id,labels,rhythm", *(f"r{i},x,{'AF' if i % 2 else 'SR'}" for i in range(20))])
    found, _ = targets("--label-column", "rhythm", table=table)
    assert found["r1"] == {"AF"}


def test_labels_of_a_table_can_be_the_codes_of_a_label_table(targets):
    table = "\n".join(["record_id,labels", *(f"a/r{i},{'IMI' if i % 2 else 'SR|LVH'}" for i in range(20))])
    found, _ = targets("--labels", "ptbxl_superclass", table=table)
    assert found["r0"] == {"HYP"}
    assert found["r1"] == {"MI"}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (
            "record,labels\nr1,x\n",
            "",
            "mine.csv:1: needs a column patient_id or record_id, but has record, labels",
        ),
        (
            "record_id,lables\nr1,x\n",
            "",
            "mine.csv:1: no column labels among record_id, lables; did you mean lables?",
        ),
        ("record_id,labels\nr1,\n", "", "mine.csv: its column labels is empty"),
        (
            "record_id,labels\nx/r1,a\ny/r1.hea,b\n",
            "",
            "'r1' is the name of several files (x/r1, y/r1.hea); name records as the store does",
        ),
        (
            "record_id,labels,patient_id\nr0,a,p\na/r0,a,q\n",
            "",
            "'a/r0' and 'r0' are one record_id; name it in one way",
        ),
        (
            "record_id,labels\nx,y\n",
            "",
            "its record_id column names none of the 20 records ('x' there, 'a/r0' in",
        ),
        (
            "record_id,labels\nr1,x\nr1,y\n",
            "",
            "mine.csv:3: record_id r1 has other labels than in a line before",
        ),
        (
            "record_id,a\nr1,2\n",
            "--class-columns a",
            "mine.csv:2: a must be 1 or 0 (or true, false, yes, no)",
        ),
        ("record_id,a\nr1,\n", "--class-columns a", "but is ''. Remove rows that are not labelled."),
        ("record_id,a|b\nr1,1\n", "--class-columns a|b", "column 'a|b' cannot name a class"),
        ("record_id,a\nr1,1\n", "--class-columns record_id", "no column record_id among record_id, a"),
        (None, "", "name the classes with --labels (cinc2021, code15, ptbxl_all,"),
        (None, "--labels cinc2021 --label-column a", "are of a table; name it with --record-labels"),
        (
            "record_id,labels\nr1,x\n",
            "--min-likelihood 50",
            "--min-likelihood is about codes, but --record-labels",
        ),
        (None, "--labels ptbxl_all --min-likelihood 101", "--min-likelihood: must be a number from 0 to 100"),
        (
            None,
            "--labels ptbxl_all --min-likelihood 50",
            "no record has the attribute scp_codes; there is none",
        ),
        (None, "--labels cinc2021 --split-by fold", "no record has the attribute fold; there is none"),
    ],
)
def test_what_does_not_fit_is_refused(classify, tmp_path, table, options, message, fails):
    assert message in fails(*classify(*options.split(), table=table))
    assert not (tmp_path / "m").exists()


def test_several_stores_are_one_set_of_manifests(make_store, succeed, tmp_path, rows):
    """Corpora of different codes under one label table."""
    labels = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,AF|AFIB|164889003\n"
    (tmp_path / "af.csv").write_text(labels)
    stores = [
        make_store(name, [(f"{name}{i}", {"source": name, "codes": (code,)}) for i in range(10)])
        for name, code in (("code15", "AF"), ("ptb-xl", "AFIB"), ("georgia", "164889003"))
    ]
    for name, order in (("a", stores), ("b", stores[::-1])):
        succeed("classification", *order, "--dest", tmp_path / name, "--labels", tmp_path / "af.csv")
    files = [{p.name: p.read_text() for p in (tmp_path / name).glob("*.tsv")} for name in "ab"]
    assert files[0] == files[1]
    listed = rows("a")
    assert {row.target for row in listed} == {"0"}
    assert {row.path.split("/")[0] for row in listed} == {"code15", "ptb-xl", "georgia"}
    assert len({row.record_id for row in listed}) == 30
    assert "no violations" in succeed("check", tmp_path / "a")


# whose the records are


RECORDS_OF_PEOPLE = "\n".join(
    ["record_id,patient_id,labels", *(f"r{i},{i // 2}.0,{'x' if i % 3 else 'y'}" for i in range(20))]
)


def test_patients_of_the_table_are_not_divided_where_the_store_knows_none(classify, run, tmp_path, succeed):
    """Neither by what the table labels, nor by a pre-training that leaves out what it holds out."""
    records = [(f"r{i}", {}) for i in range(20)]
    out = succeed(*classify(table=RECORDS_OF_PEOPLE, records=records))
    assert "16 records         8 patients" in out
    assert "not known" not in out
    pretrain = ("pretrain", tmp_path / "s", "--dest", tmp_path / "pre", "--exclude", tmp_path / "m")
    out = succeed(*pretrain, "--valid-fraction", 0.5)
    assert "8 records         4 patients" in out
    assert run("check", tmp_path / "m", tmp_path / "pre")[1].endswith("no violations\n")


@pytest.mark.parametrize("script", ["classification", "pretrain", "identification"])
def test_records_of_unknown_patients_are_counted_when_made_and_when_checked(
    make_store, succeed, tmp_path, script, rows, twenty_records
):
    store = make_store("s", [*twenty_records, *((f"u{i}", {}) for i in range(30))])
    options = {"classification": ["--labels", "cinc2021"], "pretrain": ["--no-exclusions"]}.get(
        script, ["--within-record", "--valid-fraction", 0.1, "--test-fraction", 0.2]
    )
    out = succeed(script, store, *options)
    kept = int(re.search(r"kept (\d+) of 50", out)[1])
    said = re.search(
        r"^patients are not known for (\d+) of (\d+) records: each counts as its own$", out, re.M
    )
    assert int(said[2]) == kept
    assert f"  {said[0]}\n" in succeed("check", tmp_path / "m")
    assert int(said[1]) == len({row.record_id for row in rows() if row.record_id.startswith("a/u")})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("record_id,patient_id,labels\nr1,p0,x\na/r2,p0,x\n",
         "mine.csv:3: patient_id of record a/r2 is 'p0', but the store has 'a/p1'. Correct the table, "
         "or leave that column out"),
        ("record_id,patient_id,labels\nr1,p0,x\nr1,,x\nr1,p1,x\n",
         "mine.csv:4: patient_id of record r1 is 'p1', but 'p0' in "),
    ],
)  # fmt: skip
def test_patients_that_contradict_the_store_or_the_table_are_refused(
    classify, tmp_path, table, message, fails
):
    assert message in fails(*classify(table=table))
    assert not (tmp_path / "m").exists()


def test_a_patient_that_the_store_knows_for_some_records_is_one_with_the_tables(
    classify, succeed, rows, twenty_records
):
    records = [*twenty_records, ("u", {})]
    succeed(
        *classify(table="record_id,patient_id,labels\nr2,,x\nr9,p4,x\nr4,p2,y\nu,a/p4,y\n", records=records)
    )
    assert {row.record_id: row.patient_id for row in rows()} == {
        "a/r2": "a/p1", "a/r9": "a/p4", "a/r4": "a/p2", "a/u": "a/p4",
    }  # fmt: skip
