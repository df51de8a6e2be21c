"""`--where` of the manifest scripts: which records are left, and what is said of the others."""

import json
import re

import pytest

from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.manifest.where import FIELDS, Where

RECORDS = [
    ("young", {"age": 12.0, "sex": "male"}),
    ("old", {"age": 80.0, "sex": "female", "codes": ("1", "2")}),
    ("other", {"age": 50.0, "sex": "male", "source": "b"}),
    ("long", {"age": 50.0, "seconds": 30}),
    ("unknown", {"sex": "female"}),
    ("noisy", {"age": 40.0, "sex": "female", "attributes": (("static_noise", "V1"),)}),
]


@pytest.fixture
def kept(make_store, succeed, tmp_path):
    """The records of a pre-training manifest under a condition, what is printed, and `manifest.json`."""

    def call(expression, records=RECORDS):
        dest = tmp_path / "m"
        store = tmp_path / "s" if (tmp_path / "s").exists() else make_store("s", records, n_shards=3)
        options = ("--dest", dest, "--no-exclusions", "--valid-fraction", 0)
        out = succeed("pretrain", store, *options, "--where", expression)
        records = {record.split("/")[1] for record in read_manifest(dest / "train.tsv").record_ids}
        return records, out, json.loads((dest / "manifest.json").read_text())

    return call


@pytest.mark.parametrize(
    ("expression", "records"),
    [
        ("age >= 18", {"old", "other", "long", "noisy"}),
        ("not age >= 18", {"young"}),
        ("age is None or sex is None", {"unknown", "long"}),
        ("'1' in codes", {"old"}),
        ("source == 'b'", {"other"}),
        ("duration_s > 10", {"long"}),
        ("attributes['static_noise'] is None and sex == 'female'", {"old", "unknown"}),
        ("n_leads == 2 and fs == 10 and record_id != 'old'", {name for name, _ in RECORDS} - {"old"}),
    ],
)
def test_only_records_for_which_it_is_true_are_listed(kept, expression, records):
    assert kept(expression)[0] == records


def test_what_is_left_out_is_counted_as_false_or_as_missing(kept):
    _, out, info = kept("age >= 18")
    assert (
        "kept 4 of 6 records; left out 2: 1 not as --where asks, 1 without a value that --where asks for"
        in out
    )
    assert info["arguments"]["where"] == "age >= 18"
    assert sum(info["left_out"].values()) == 2


def test_a_code_that_no_record_has_is_mentioned(kept):
    records, out, _ = kept("not '3' in codes")
    assert len(records) == len(RECORDS)
    assert "note: --where asks for code '3', which no record has" in out


def test_faults_are_those_that_preprocessing_noted(kept, make_store, fails):
    store = make_store("s", RECORDS)
    assert "lead_faults.tsv: there is no such file, so n_faults is not known" in fails(
        "pretrain", store, "--no-exclusions", "--where", "n_faults == 0"
    )
    noted = "a/old\tV1\tflat\na/old\tV2\tflat\na/long\tvx\tis not one of the twelve\n"
    noted += "a/long\tII\tkept, but its amplitude is 30 mV\n"
    for damaged in ("", noted, f"record\tlead\treason\n{noted[:-5]}"):
        (store / "lead_faults.tsv").write_text(damaged)
        said = fails("pretrain", store, "--no-exclusions", "--where", "n_faults == 0")
        assert "lead_faults.tsv: cannot be read (it does not begin or end as it was written" in said
    (store / "lead_faults.tsv").write_text(f"record\tlead\treason\n{noted}")
    assert kept("n_faults == 2")[0] == {"old"}
    assert len(kept("n_faults == 0")[0]) == len(RECORDS) - 1


@pytest.mark.parametrize("script", ["pretrain", "classification", "identification"])
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("agee > 3", "ConfigError: --where, character 1: there is no field agee"),
        ("source == 'c'", "ConfigError: --where, character 1: source has no 'c' among a, b"),
        ("age > 1000", "ManifestError: no record is left of 6"),
        ("", "ConfigError: --where, character 1: the expression is empty"),
        ("__import__('os')", "ConfigError: --where, character 11: there are no calls"),
    ],
)
def test_every_script_tells_a_mistake_in_one_line(make_store, tmp_path, script, expression, message, fails):
    more = {"pretrain": ["--no-exclusions"], "classification": ["--labels", "cinc2021"], "identification": []}
    store = make_store("s", RECORDS)
    err = fails(script, store, "--where", expression, *more[script])
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_whom_a_record_is_of_is_known_from_records_that_are_not_asked_for(
    make_store, succeed, tmp_path, read
):
    """A patient's records stay together, also where only some of them pass."""
    records = [(f"0000{i}_hr", {"patient_id": "7", "source": "ptb-xl"}) for i in (1, 2)]
    copies = [(f"HR0000{i}", {"source": "challenge", "codes": ("x",)}) for i in (1, 2, 3, 4)]
    store = make_store("s", [*records, *copies])
    succeed("pretrain", store, "--no-exclusions", "--where", "'x' in codes", "--valid-fraction", 0.4)
    manifests = read().values()
    patients = [set(manifest.patient_ids) for manifest in manifests]
    together = next(m for m in manifests if "challenge/HR00001" in m.record_ids)
    assert "challenge/HR00002" in together.record_ids
    assert sum(map(len, patients)) == 3


def test_the_readme_lists_the_fields_and_its_expressions_are_understood(repo_dir):
    text = (repo_dir / "manifests" / "README.md").read_text(encoding="utf-8")
    assert not {name for name in FIELDS if f"`{name}`" not in text and f"`{name}[" not in text}
    examples = re.findall(r'--where "(.*)"', text)
    examples += re.findall(r"`((?:age|not age|18|'\d+') [^`]*\d[^`]*)`", text)
    assert len(examples) > 5
    for expression in examples:
        Where(re.sub(r", also .*", "", expression))
