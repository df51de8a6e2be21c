"""Groups of records by what the store tells of them, and what is measured on each."""

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.classification import evaluate_classification
from fairseq_signals.evaluation.groups import read_groups
from fairseq_signals.evaluation.intervals import add_intervals, group_by
from fairseq_signals.evaluation.results import (
    format_table,
    group_cells,
    read_results,
    result_rows,
    table_cells,
    write_results,
)
from fairseq_signals.evaluation.saved_results import SavedEvaluation, read_evaluation, write_evaluation
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.metrics.bootstrap import METHOD
from fairseq_signals.metrics.classification import classification_metrics
from fairseq_signals.store.shards import StoreRow, write_shard

N = 60
AGES = (5, 18, 39.5, 40, 64, 65, 79, 80, None, None)
LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,NSR,426783006\n"
WEIGHTS = ",1,426783006\n1,1.0,0.2\n426783006,0.2,1.0\n"


def name(i):
    return f"{'ab'[i % 2]}/r{i}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty records of twenty patients in two shards; of every tenth the sex is not known."""
    folder = tmp_path_factory.mktemp("groups")
    signal = np.zeros((1, 250), np.int16)
    rows = [
        StoreRow(
            f"r{i}", "ab"[i % 2], 500.0, ("I",), np.ones(1), signal, age=AGES[i % 10],
            sex=None if i % 10 == 0 else ("female", "male")[i % 2], attributes=(("ward", f"w{i % 3}"),),
        )
        for i in range(N)
    ]  # fmt: skip
    for k in (0, 1):
        write_shard(folder / f"shard-{k:05d}.arrow", rows[k * N // 2 : (k + 1) * N // 2])
    lines = [
        Row(
            f"shard-{i // 30:05d}.arrow#{i % 30}:0",
            250,
            f"{'ab'[i % 2]}/r{i}",
            f"x/p{i % 20}",
            0,
            "01"[i % 2],
        )
        for i in range(N)
    ]
    (folder / "test.tsv").write_text("".join(format_manifest(folder, lines)))
    (folder / "labels.csv").write_text(LABELS)
    (folder / "weights.csv").write_text(WEIGHTS)
    return folder


@pytest.fixture
def outcome(folder):
    """Scores that tell the classes apart in part, of two lead sets."""
    rng = np.random.default_rng(0)
    truth = np.arange(N)[:, None] % 2 == [0, 1]
    logits = (truth + rng.normal(size=(2, N, 2))).astype(np.float32)
    return evaluate_classification(lambda _: logits, folder, ("12", "1"), "test", "record", 0.5)


def test_groups_are_in_order_with_unknown_ones_last(folder):
    found = read_groups(folder, "test", ["sex", "age_group", "source", "ward", "fs"])
    assert list(dict.fromkeys(found["sex"].values())) == ["female", "male", "unknown"]
    ages = list(dict.fromkeys(found["age_group"].values()))
    assert ages == ["<18", "18-39", "40-64", "65-79", ">=80", "unknown"]
    by_record = found["age_group"]
    assert [by_record[name(i)] for i in range(10)] == [
        *("<18", "18-39", "18-39", "40-64", "40-64", "65-79", "65-79", ">=80", "unknown", "unknown")
    ]
    assert found["source"]["a/r30"] == "a"
    assert found["ward"]["b/r31"] == "w1"
    assert set(found["fs"].values()) == {"500"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("se", "--by se: the stores tell no such thing of any record, but age_group, .*; did you mean sex"),
        ("record_id", "--by record_id: 60 groups, but at most 50"),
    ],
)
def test_columns_that_make_no_groups_are_refused(folder, column, message):
    with pytest.raises(ConfigError, match=message):
        read_groups(folder, "test", [column])


def test_metrics_of_a_group_are_those_of_its_records_alone(folder, outcome):
    groups = group_by("sex", read_groups(folder, "test", ["sex"])["sex"], outcome, 50)
    assert [(group.name, group.n, group.n_patients) for group in groups] == [
        ("sex=female", 24, 8),
        ("sex=male", 30, 10),
        ("sex=unknown", 6, 2),
    ]
    assert sum(group.n for group in groups) == outcome.n
    wards = group_by("ward", read_groups(folder, "test", ["ward"])["ward"], outcome, 50)
    kept = np.arange(N) % 3 == 0
    labels, probabilities = outcome.arrays["labels"][kept], outcome.arrays["probabilities"][1][kept]
    expected = classification_metrics(labels, probabilities)
    assert wards[0].values["1"]["macro_auroc"] == pytest.approx(expected["auroc"], abs=1e-12)
    assert wards[0].values["1"]["macro_auprc"] == pytest.approx(expected["auprc"], abs=1e-12)
    bounds = wards[0].intervals["1"]["macro_auroc"]
    assert bounds.low < expected["auroc"] < bounds.high


def test_intervals_and_groups_are_in_tables_and_files(folder, outcome, tmp_path):
    bare = list(result_rows(outcome, "m"))
    add_intervals(outcome, 100)
    assert outcome.notes[-1] == f"intervals: {METHOD}, 20 patients, 100 resamples, seed 2021"
    outcome.groups["sex"] = group_by("sex", read_groups(folder, "test", ["sex"])["sex"], outcome, 0)
    rows = list(result_rows(outcome, "m"))
    assert [{key: row[key] for key in bare[0]} for row in rows[:6]] == bare
    assert {row["interval"] for row in rows[:6]} == {METHOD}
    assert all(row["low"] < row["value"] < row["high"] for row in rows[:6])
    assert {row["group"] for row in rows[6:]} == {"sex=female", "sex=male", "sex=unknown"}
    write_results(tmp_path / "r.json", rows)
    assert len(read_results(tmp_path / "r.json")) == 6 + 3 * 6
    row = rows[1]
    cell = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    assert cell in format_table(*table_cells(outcome.values, outcome.intervals)).splitlines()[2]
    header, first, *_ = group_cells("sex", outcome.groups["sex"], outcome.counted)[1]
    assert (header[:4], first[:4]) == (["female", "24", "8", "12"], ["female", "24", "8", "1"])


def test_intervals_survive_saving(outcome, tmp_path):
    add_intervals(outcome, 100)
    write_evaluation(tmp_path / "s.npz", outcome, "m")
    saved = read_evaluation(tmp_path / "s.npz")
    assert saved.intervals == outcome.intervals == SavedEvaluation.of(outcome, "m").intervals
    assert saved.arrays["probabilities"].dtype == np.float32
