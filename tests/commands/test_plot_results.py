"""`fairseq-signals plot record|classification|identification|training`: files, messages, real recordings."""

import numpy as np
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.commands import plot
from fairseq_signals.evaluation.results import Evaluation, write_results
from fairseq_signals.evaluation.saved_results import write_evaluation
from fairseq_signals.report import figures
from fairseq_signals.report.training_log import read_training_log

pytest.importorskip("matplotlib")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def coarse(monkeypatch, tmp_path):
    """Few pixels, which are drawn fast; and files land in a folder of the test."""
    monkeypatch.setattr(figures, "DPI", 30)
    monkeypatch.chdir(tmp_path)


def run(*arguments) -> int:
    return cli.main(["plot", *map(str, arguments)])


@pytest.fixture
def record(write_wfdb, ecg_adu, tmp_path):
    """A record of 6 s at 250 Hz with II and V5."""
    return write_wfdb(tmp_path / "raw", "r1", ecg_adu(2, 1500), leads=("V5", "II"), fs=250)


@pytest.fixture
def classification(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.random((40, 2)) < 0.5
    arrays = {
        "probabilities": rng.random((2, 40, 2)).astype(np.float32),
        "labels": labels,
        "record_ids": np.arange(40).astype(str),
        "patient_ids": np.arange(40).astype(str),
        "names": np.array(["AF", "NSR"]),
        "threshold": 0.5,
        "weights": np.eye(2),
    }
    outcome = Evaluation("classification", 40, "records", {"12": {}, "1": {}}, lambda: iter(()), [], arrays)
    write_evaluation(tmp_path / "dx.npz", outcome, "W2V")
    return tmp_path / "dx.npz"


@pytest.fixture
def identification(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "gallery": rng.random((1, 5, 3)).astype(np.float32),
        "probe": rng.random((1, 5, 3)).astype(np.float32),
        "gallery_ids": np.arange(5).astype(str),
        "probe_ids": np.arange(5).astype(str),
        "normalize": True,
    }
    outcome = Evaluation("identification", 5, "probe records", {"12": {}}, lambda: iter(()), [], arrays)
    write_evaluation(tmp_path / "id.npz", outcome, "W2V")
    return tmp_path / "id.npz"


def test_a_record_is_drawn_from_where_it_is_asked(record, tmp_path, capsys):
    assert run("record", record, "--start=2", "--leads=2") == 0
    assert capsys.readouterr().out == "wrote r1_record.png\n"
    assert (tmp_path / "r1_record.png").read_bytes().startswith(PNG)
    assert run("record", record, "--start=6") == 1
    assert "record r1 has 6 s, so it cannot be drawn from 6 s on" in capsys.readouterr().err


def test_a_classification_gives_three_pictures_of_one_lead_set(classification, capsys, tmp_path):
    assert run("classification", classification) == 0
    names = ["dx_curves.png", "dx_calibration.png", "dx_confusion.png"]
    assert capsys.readouterr().out.splitlines() == [f"wrote {name}" for name in names]
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in names)
    assert run("classification", classification, "--leads=1", "--threshold=0.2", "--out=new/a.svg") == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "a_curves.svg",
        "a_calibration.svg",
        "a_confusion.svg",
    }
    assert run("classification", classification, "--leads=2") == 1
    assert "lead set '2' was not evaluated" in capsys.readouterr().err


def test_an_identification_gives_one(identification, classification, capsys, tmp_path):
    assert run("identification", identification) == 0
    assert (tmp_path / "id_identification.png").read_bytes().startswith(PNG)
    assert run("identification", classification) == 1
    assert "is of classification" in capsys.readouterr().err


def test_robustness_is_drawn_from_several_results(tmp_path, capsys):
    about = {"task": "regression", "metric": "mae", "n": 9}
    for method in ("a", "b"):
        rows = [{"method": method, "leads": name, "value": 5, **about} for name in ("12@100Hz", "12@50Hz")]
        write_results(tmp_path / f"{method}.json", rows)
    assert run("robustness", "a.json", "b.json") == 0
    assert capsys.readouterr().out == "wrote a_robustness.png\n"
    assert (tmp_path / "a_robustness.png").read_bytes().startswith(PNG)
    assert run("robustness", "a.json", "--metric=rmse") == 1
    assert "no robustness curve of rmse: make one with" in capsys.readouterr().err
    rows = [{**about, "method": "c", "metric": "r2", "leads": "12@100Hz", "value": 0.5}]
    write_results(tmp_path / "c.json", rows)
    assert run("robustness", "a.json", "c.json") == 1
    assert "no robustness curve of mae of c: make one with" in capsys.readouterr().err


def test_models_of_one_name_are_told_apart_by_their_files(tmp_path, monkeypatch):
    about = {"method": "checkpoint_best", "task": "regression", "metric": "mae", "n": 9}
    for i, file in enumerate(("a.json", "b.json")):
        rows = [{"leads": name, "value": i, **about} for name in ("12@100Hz", "12@50Hz")]
        write_results(tmp_path / file, rows)
    drawn, draw = {}, plot.robustness_figure
    monkeypatch.setattr(
        plot, "robustness_figure", lambda lines, metric: drawn.update(lines) or draw(lines, metric)
    )
    assert run("robustness", "a.json", "b.json", "a.json") == 0
    assert {method: [line.values["mae"] for line in lines] for method, lines in drawn.items()} == {
        "checkpoint_best, a.json": [0, 0],
        "checkpoint_best, b.json": [1, 1],
    }


def test_a_training_is_drawn_from_what_has_most_entries(tmp_path, capsys):
    lines = [f"[t][train_inner][INFO] - epoch 001:  {u:5d} / 99 loss=1, num_updates={u}\n" for u in (1, 2, 3)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hydra_train.log").write_text(
        "".join(lines) + "[t][train][INFO] - epoch 001 | loss 9 | num_updates 3\n"
    )
    assert run("training", "run") == 0
    assert (tmp_path / "run_training.png").read_bytes().startswith(PNG)
    series = read_training_log(tmp_path / "run")
    (axes,) = figures.training_figure(series, "run").axes
    assert axes.lines[0].get_ydata().tolist() == [1, 1, 1]
    assert run("training", tmp_path / "raw") == 1
    assert "there is no such log" in capsys.readouterr().err


def test_a_training_without_losses_is_said(tmp_path, capsys):
    (tmp_path / "a.log").write_text("[t][train][INFO] - epoch 001 | ups 9 | num_updates 3\n")
    assert run("training", "a.log") == 1
    assert "neither losses nor scores" in capsys.readouterr().err


@pytest.mark.parametrize(
    "picture",
    ["record", "transforms", "saliency", "classification", "identification", "robustness", "training"],
)
def test_every_picture_explains_itself(picture, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["plot", picture, "--help"])
    assert stopped.value.code == 0
    assert "--out FILE" in capsys.readouterr().out


@pytest.mark.shared
def test_real_records_of_every_source_are_drawn(shared_dir, tmp_path):
    folders = ("cinc2021", "ptb_xl", "ludb", "ecgid", "code15_samitrop", "brugada_huca")
    found = [min((shared_dir / "real_ecg" / folder).rglob("*.hea"), default=None) for folder in folders]
    headers = [header for header in found if header is not None]
    if not headers:
        pytest.skip(f"no recordings below {shared_dir / 'real_ecg'}")
    for i, header in enumerate(headers):
        assert run("record", header, "--out", f"{i}.png", "--leads=2") == 0
        assert (tmp_path / f"{i}.png").read_bytes().startswith(PNG)
