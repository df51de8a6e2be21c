"""`fairseq-signals report`: what is in the file, what it says is not, and what it makes of bad input."""

from __future__ import annotations

import base64
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from fairseq_signals.commands import main as cli
from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.evaluation.saved_results import read_evaluation, write_evaluation
from fairseq_signals.report import page as report_page

pytest.importorskip("matplotlib")


def run_report(*arguments) -> int:
    return cli.main(["report", *map(str, arguments)])


class Elements(HTMLParser):
    """Attributes of each element by its tag, and all text outside of styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_all_of_it_is_in_the_file(full):
    page = Elements(full.read_text(encoding="utf-8"))
    assert [link["href"][1:] for link in page.found["a"]] == [heading["id"] for heading in page.found["h2"]]
    for expected in ("classification model, ", "I, II, III, aVR", "best (auroc)0.75auroc here0.5", "dx",
                     "code_perplexity",
                     "macro AUROC", "Leads outside a lead set are zeros", "most probable"):  # fmt: skip
        assert expected in page.text
    alts = [image["alt"] for image in page.found["img"]]
    beginnings = ["Training of", "ROC", "Calibration", "Confusion", "Recording one on", "Recording one, all"]
    assert [alt.startswith(beginning) for alt, beginning in zip(alts, beginnings)] == [True] * 6
    assert "given to the model: I, II, V2" in alts[4]
    assert "note" not in [p.get("class") for p in page.found["p"]]


def test_it_needs_nothing_else_and_runs_nothing(full):
    html = full.read_text(encoding="utf-8")
    page = Elements(html)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.found)
    elements = [element for same in page.found.values() for element in same]
    attributes = [pair for element in elements for pair in element.items()]
    sources = [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
    assert all(source.startswith(("#", "data:image/")) for source in sources)
    assert not re.search(r"https?:|@import|url\(", html)
    assert not [name for name, _ in attributes if name.startswith("on")]
    svg = base64.b64decode(page.found["img"][4]["src"].partition(",")[2]).decode()
    assert not [link for link in re.findall(r'href="([^"]*)"', svg) if not link.startswith(("#", "data:"))]


def test_text_of_users_is_escaped(full):
    html = full.read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "<img src=x" not in html
    page = Elements(html)
    assert full.parent.name in page.text
    assert "<script>alert(2)</script>" in page.text
    assert 'sinus & "rhythm"' in page.text


def test_a_file_is_complete_or_what_it_was(make_run, monkeypatch, tmp_path):
    run = make_run("pretraining")
    out = tmp_path / "new" / "r.html"
    assert run_report(run, "--out", out) == 0
    before = out.read_text()

    def broken(*arguments):
        yield "half"
        raise RuntimeError("power cut")

    monkeypatch.setattr("fairseq_signals.report.sections.page", broken)
    with pytest.raises(RuntimeError):
        run_report(run, "--out", out)
    assert out.read_text() == before
    assert list(out.parent.iterdir()) == [out]


def test_a_pretraining_says_what_it_cannot_have(make_run, manifests, records, capsys):
    run = make_run("pretraining")
    assert run_report(run, "--manifest", manifests / "dx", "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    printed = capsys.readouterr().out
    for sentence in ("A pre-training has no classes", "Saliency is of one class, and a pretraining model"):
        assert sentence in page.text
        assert sentence in printed
    assert [image["alt"].split(" ")[0] for image in page.found["img"]] == ["Training", "Recording"]


def test_an_identification_is_drawn_from_saved_results(make_run, manifests, tmp_path, capsys):
    run = make_run("identification")
    results = tmp_path / "id.npz"
    call = ["evaluate", run / "checkpoint_best.pt", "--manifest", manifests / "id", "--leads=12,1",
            "--robustness=rate"]  # fmt: skip
    assert cli.main([*map(str, call), "--save", str(results)]) == 0
    printed = capsys.readouterr().out
    assert run_report(run, "--results", results, "--leads=1") == 0
    page = Elements((run / "report.html").read_text())
    robustness, pictures = (image["alt"] for image in page.found["img"][1:])
    assert robustness.startswith("Robustness: a metric over the number of leads, the sampling rate")
    assert "Identification: rank-k" in pictures
    assert "lead set 1" in pictures
    accuracies = [line.split()[1] for line in printed.splitlines() if line.startswith(("12 ", "1 ", "mean "))]
    assert len(accuracies) == 3
    assert all(accuracy in page.text for accuracy in accuracies)
    assert "gallery records of 3 patients" in page.text
    assert run_report(make_run("classification"), "--results", results) == 1
    assert "is of identification, but" in capsys.readouterr().err


def test_results_without_metrics_are_said(make_run, tmp_path):
    labels = np.array([[True, False], [True, False]])
    arrays = {"probabilities": np.full((1, 2, 2), 0.5, np.float32), "labels": labels,
              "record_ids": np.array(["a", "b"]), "patient_ids": np.array(["a", "b"]),
              "names": np.array(["A", "B"]), "threshold": 0.4}  # fmt: skip
    outcome = Evaluation("classification", 2, "records", {"12": {}}, lambda: iter(()), [], arrays)
    write_evaluation(tmp_path / "dx.npz", outcome, "old")
    assert read_evaluation(tmp_path / "dx.npz").values == {}
    run = make_run("classification", log=False)
    assert run_report(run, "--results", tmp_path / "dx.npz") == 0
    page = Elements((run / "report.html").read_text())
    assert "has no table of metrics" in page.text
    assert "no class has records with and without it" in page.text
    assert "no losses are in it" in page.text
    assert "--log FILE" in page.text


def test_a_training_without_a_checkpoint_is_shown(make_run, records, tmp_path, capsys):
    run = make_run("pretraining")
    (run / "checkpoint_best.pt").unlink()
    assert run_report(run, "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    assert "There is no checkpoint in the folder yet" in page.text
    assert len(page.found["img"]) == 2
    assert run_report(run, "--manifest", tmp_path) == 1
    assert "there is no checkpoint to test on" in capsys.readouterr().err


def test_without_matplotlib_the_numbers_remain(make_run, manifests, records, monkeypatch):
    run = make_run("classification")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_report(run, "--manifest", manifests / "dx", "--leads=12", "--record", records / "one") == 0
    page = Elements((run / "report.html").read_text())
    assert "img" not in page.found
    assert page.text.count("pip install 'fairseq-signals[plot]'") == 4
    assert "macro AUROC" in page.text
    assert "most probable" in page.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent: there is no such folder"),
        (
            ["empty"],
            "empty: neither a checkpoint (final.pt, checkpoint_best.pt, checkpoint_last.pt) nor the log",
        ),
        (["several"], "holds several trainings (a, b); name the folder of one"),
        (["RUN", "--log=empty"], "empty (of 0 .log files in it): no losses are in it"),
        (["RUN", "--record=absent.hea"], "absent"),
        (["RUN", "--manifest=empty"], "there is no such manifest"),
        (["RUN", "--results=absent.npz"], "absent.npz: there is no such file"),
        (["RUN", "--leads=7"], "there is no lead set 7"),
        (["RUN", "--device=nowhere"], "--device nowhere"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, message, make_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / "several" / name).mkdir(parents=True)
        (tmp_path / "several" / name / "checkpoint_last.pt").touch()
    run = make_run("classification", log=False)
    assert run_report(*[run if argument == "RUN" else argument for argument in arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_a_record_without_the_leads_is_named_and_the_others_are_shown(
    make_run, write_wfdb, ecg_adu, tmp_path, capsys
):
    v5 = write_wfdb(tmp_path, "v5", ecg_adu(1, 5000), leads=("V5",))
    short = write_wfdb(tmp_path, "short", ecg_adu(12, 10))
    whole = write_wfdb(tmp_path, "whole", ecg_adu(12, 5000))
    run = make_run("classification")
    records = [f"--record={path}" for path in (v5, short, whole)]
    assert run_report(run, *records, "--leads=2") == 0
    printed = capsys.readouterr().out
    text = Elements((run / "report.html").read_text()).text
    for message in ("record v5 has none of the leads I, II", "record short: 10 samples"):
        assert message in text
        assert message in printed
    assert "most probable" in text


def test_a_dollar_in_a_name_is_no_formula(make_run, write_wfdb, ecg_adu, tmp_path):
    record = write_wfdb(tmp_path, "a$b^$c", ecg_adu(12, 5000))
    run = make_run("classification", "run $_{$")
    assert run_report(run, "--record", record) == 0
    assert "a$b^$c" in Elements((run / "report.html").read_text()).text


def test_what_looks_wrong_in_a_recording_is_said(make_run, write_wfdb, ecg_adu, tmp_path):
    record = write_wfdb(tmp_path, "loud", ecg_adu(12, 5000), gain=1)
    run = make_run("classification")
    assert run_report(run, "--record", record) == 0
    assert "Warning: record loud" in Elements((run / "report.html").read_text()).text


def test_checkpoints_and_log_may_lie_in_different_folders(make_run, tmp_path):
    run = make_run("pretraining")
    (run / "checkpoints").mkdir()
    (run / "checkpoint_best.pt").rename(run / "checkpoints" / "checkpoint_3_100.pt")
    assert run_report(run / "checkpoints", "--log", run, "--out", tmp_path / "r.html") == 0
    assert "checkpoint_3_100.pt: pretraining model" in Elements((tmp_path / "r.html").read_text()).text
    (run / "checkpoints" / "checkpoint_3_100.pt").rename(run / "checkpoints" / "checkpoint_last.pt")
    assert run_report(run) == 0
    assert "checkpoint_last.pt: pretraining model" in Elements((run / "report.html").read_text()).text


def test_a_drawing_that_is_large_as_svg_becomes_png(monkeypatch):
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    assert report_page.data_uri(figure).startswith("data:image/svg+xml;base64,")
    monkeypatch.setattr(report_page, "LARGEST_SVG", 10)
    assert report_page.data_uri(figure).startswith("data:image/png;base64,iVBOR")
