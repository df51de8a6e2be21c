"""Numbers of recordings: in their units, by name, wherever a regression is used."""

import csv
import json
import pickle

import numpy as np
import pytest

from fairseq_signals import ECGModel, read_recording
from fairseq_signals.commands.main import main
from fairseq_signals.errors import CheckpointError, ConfigError, LabelError, ManifestError
from fairseq_signals.evaluation.regression import evaluate_regression
from fairseq_signals.evaluation.results import result_rows, table_cells
from fairseq_signals.evaluation.saved_results import ResultsError, read_evaluation, write_evaluation
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.manifest.targets import TargetTable
from fairseq_signals.report.run import Run
from fairseq_signals.report.sections import model_section, recordings_section, results_section

TABLE = TargetTable(("LVEF", "potassium"), ("%", ""), (55.0, 4.2), (12.0, 0.4))


@pytest.fixture(scope="module")
def save(save_checkpoint, tmp_path_factory):
    """`save(name, noted, n=2)`: a checkpoint whose task noted this table."""
    folder = tmp_path_factory.mktemp("regression")

    def make(name: str, noted: dict | None, n: int = 2):
        task, extra = {"_name": "ecg_regression"}, {"task_state": {"targets": noted} if noted else {}}
        return save_checkpoint(folder / f"{name}.pt", "regression", task, n, extra=extra)

    return make


@pytest.fixture(scope="module")
def path(save):
    return save("one", TABLE.to_plain())


@pytest.fixture(scope="module")
def model(path) -> ECGModel:
    return ECGModel.load(path)


def test_an_estimate_is_the_mean_over_segments_in_the_targets_units(model, recording):
    (done,) = model.stream([recording.wfdb], outputs=["logit"])
    assert len(done.windows) == 2
    found = model.predict(recording.wfdb)
    expected = done.values["logit"].astype(float).mean(axis=0) * [12, 0.4] + [55, 4.2]
    assert found == pytest.approx({"LVEF": expected[0], "potassium": expected[1]})
    assert (model.kind, model.targets, model.classes, model.labels) == ("regression", TABLE, None, ())
    assert repr(found) == f"Estimate(one: LVEF {expected[0]:.4g} %, potassium {expected[1]:.4g})"
    assert [*model.predict([recording.wfdb] * 2)[1].values()] == pytest.approx([*found.values()])
    with pytest.raises(KeyError, match="'age' is none of LVEF, potassium"):
        found["age"]


def test_a_regression_has_no_classes_and_nothing_of_theirs(model, path, recording):
    with pytest.raises(CheckpointError, match="a regression model has no classes; use predict"):
        model.predict_proba(recording.wfdb)
    with pytest.raises(ConfigError, match="a regression's numbers are averaged"):
        model.predict(recording.wfdb, aggregate="max")
    with pytest.raises(ConfigError, match="averaged over segments, but aggregate is max; leave it out"):
        ECGModel.load(path, aggregate="max")
    with pytest.raises(LabelError, match="labels are for classifiers, but this is a regression model"):
        ECGModel.load(path, labels=["a", "b"])


@pytest.mark.parametrize(
    ("noted", "message"),
    [
        (None, "does not say what its 2 outputs are"),
        ({**TABLE.to_plain(), "stds": [1.0]}, "its targets are not as many as the model's 2 outputs"),
        ({**TABLE.to_plain(), "stds": [1.0, 0.0]}, "target potassium: mean and std must be numbers"),
        ({**TABLE.to_plain(), "means": ["x", 1]}, "targets must be a dictionary"),
    ],
)
def test_a_checkpoint_that_does_not_say_its_targets_is_refused(noted, message, save):
    with pytest.raises(CheckpointError, match=message):
        ECGModel.load(save("bad", noted))


def test_a_saved_and_a_pickled_model_know_their_targets(model, recording, tmp_path):
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(recording.wfdb) == model.predict(recording.wfdb)
    model.save(tmp_path / "m")
    loaded = ECGModel.load(tmp_path / "m")
    assert loaded.targets == TABLE
    assert loaded.predict(recording.wfdb) == model.predict(recording.wfdb)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["targets"] == TABLE.to_plain()
    assert "| 0 | LVEF | % | 55 | 12 |" in (tmp_path / "m" / "README.md").read_text()


def test_the_command_writes_a_column_a_target(path, model, recording, save, tmp_path, capsys):
    call = ["predict", str(path), str(recording.wfdb), "--out", str(tmp_path / "p.csv")]
    assert main(call) == 0
    (row,) = csv.DictReader((tmp_path / "p.csv").read_text().splitlines())
    assert list(row) == ["record", "LVEF", "potassium"]
    assert float(row["LVEF"]) == pytest.approx(model.predict(recording.wfdb)["LVEF"])
    assert "1 recording, 2 targets" in capsys.readouterr().out
    assert main([*call, "--aggregate=max"]) == 1
    taken = save("taken", TargetTable(("record",), ("",), (0.0,), (1.0,)).to_plain(), 1)
    assert main(["predict", str(taken), *call[2:]]) == 1
    assert "a target is called 'record', but so is another column" in capsys.readouterr().err


@pytest.fixture
def manifests(tmp_path, recording):
    """`manifests(targets)`: a test split of three records of these targets, one with two segments."""

    def write(targets=("50,4", "60,5", "40,4.5")):
        rows = [Row(f"shard-00000.arrow#{i}:{2500 * k}", 2500, f"corpus/{name}", f"p{i}", k, targets[i])
                for i, name, k in ((0, "zero", 0), (0, "zero", 1), (1, "one", 0), (2, "two", 0))]  # fmt: skip
        (tmp_path / "test.tsv").write_text("".join(format_manifest(recording.store, rows)))
        (tmp_path / "targets.csv").write_text(TABLE.to_csv())
        return tmp_path

    return write


def outputs(*values) -> np.ndarray:
    """What a model gives whose numbers in units are `values`, for one lead set."""
    return TABLE.standardised(np.array([values]))


RIGHT = [(48, 4), (52, 4), (60, 5), (40, 4.5)]  # of the two segments of the first record, on average


def test_evaluate_averages_the_segments_of_a_record_and_measures_each_target(manifests, tmp_path):
    folder = manifests()
    given = outputs(*RIGHT[:2], (66, 5), (40, 4.2))
    outcome = evaluate_regression(lambda _: given, folder, ["12"], "test", "record", TABLE)
    found = outcome.values["12"]
    assert found["mae_LVEF"] == pytest.approx(2)
    assert found["rmse_potassium"] == pytest.approx(np.sqrt(0.09 / 3))
    assert found["r2_LVEF"] == pytest.approx(1 - 36 / 200)
    assert list(found) == [f"{m}_{t}" for m in ("mae", "rmse", "r2", "pearson") for t in TABLE.names]
    assert (outcome.n, outcome.counted, outcome.notes) == (3, "records", ["MAE and RMSE of LVEF in %"])
    header, first, *_ = outcome.predictions()
    assert header[3:] == ["predicted_LVEF", "target_LVEF", "predicted_potassium", "target_potassium"]
    assert first == ["12", "corpus/zero", "p0", "50", "50", "4", "4"]
    assert len(list(result_rows(outcome, "m"))) == 8
    assert table_cells(outcome.values)[0][:2] == ["leads", "mae_LVEF"]
    write_evaluation(tmp_path / "r.npz", outcome, "m")
    saved = read_evaluation(tmp_path / "r.npz", "regression")
    np.testing.assert_allclose(saved.arrays["predicted"][0, 1], [66, 5])
    with pytest.raises(ResultsError, match=r"is of regression, but classification was asked for$"):
        read_evaluation(tmp_path / "r.npz", "classification")
    section = results_section(saved, "")
    assert "regression of 3 records" in str(vars(section))


def test_classes_are_not_taken_for_numbers(manifests):
    folder = manifests()
    (folder / "targets.csv").unlink()
    (folder / "manifest.json").write_text('{"kind": "classification"}')
    with pytest.raises(ManifestError, match=r"holds classification manifests, but .* is of regression"):
        evaluate_regression(lambda _: outputs(*RIGHT), folder, ["12"], "test", "record", TABLE)


def test_a_report_names_the_targets_and_gives_the_estimates_of_recordings(model, path, recording):
    pytest.importorskip("matplotlib")
    run = Run("run", path, model, {})
    assert 'LVEF</th><td>%</td><td class="number">55</td>' in model_section(run).html()
    shown = recordings_section(run, [read_recording(recording.wfdb)], range(12)).html()
    estimates = model.predict(recording.wfdb)
    for (name, value), unit in zip(estimates.items(), TABLE.units):
        assert f">{name}</th>" in shown
        assert f">{value:.4g}</td>" in shown
        assert f">{unit}</td>" in shown


def test_segments_are_counted_by_themselves_when_asked(manifests):
    outcome = evaluate_regression(lambda _: outputs(*RIGHT), manifests(), ["12"], "test", "segment", TABLE)
    assert outcome.n == 4
    assert outcome.values["12"]["mae_LVEF"] == pytest.approx(1)


def test_manifests_of_other_targets_are_refused(manifests):
    folder = manifests()
    (folder / "targets.csv").write_text(TABLE.to_csv().replace("LVEF", "age"))
    with pytest.raises(LabelError, match=r"gives LVEF, potassium, but .*targets\.csv has age, potassium"):
        evaluate_regression(lambda _: outputs(*RIGHT), folder, ["12"], "test", "record", TABLE)
    (folder / "targets.csv").unlink()
    manifests(("50,4", "60", "40,4.5"))
    with pytest.raises(ManifestError, match=r"test\.tsv:4: target must be 2 numbers"):
        evaluate_regression(lambda _: outputs(*RIGHT), folder, ["12"], "test", "record", TABLE)
