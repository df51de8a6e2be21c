"""Reports by stock fairseq: the configuration trains, and what fairseq-generate writes is scored."""

import importlib
import json
import sys

import fairseq  # noqa: F401  # first: it registers our components
import numpy as np
import pytest
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task

from fairseq_signals.evaluation.results import Evaluation
from fairseq_signals.evaluation.saved_results import write_evaluation
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.manifest.texts import read_texts
from fairseq_signals.text.findings import read_findings

TINY = [
    *("model.encoder.embed_dim=8", "model.decoder.embed_dim=8", "model.decoder.ffn_embed_dim=8"),
    *("model.decoder.layers=1", "optimization.max_update=2"),
]


@pytest.fixture(scope="module")
def scorer(repo_dir):
    """`score_reports.py` as a module."""
    folder = str(repo_dir / "examples" / "text")
    sys.path.insert(0, folder)
    yield importlib.import_module("score_reports")
    sys.path.remove(folder)
    del sys.modules["score_reports"]


@pytest.fixture
def score(scorer, tokens, tmp_path, capsys):
    """`score(reports, *options)`: exit code, output and figures by row and metric of generated reports."""

    def call(reports: list, *options: object) -> tuple:
        lines = (
            f"S-{i}\t<I> a\nT-{i}\tb\nH-{i}\t-0.5\t{text}\nD-{i}\t-0.5\t{text}\n"
            for i, text in enumerate(reports)
        )
        (tmp_path / "generate-test.txt").write_text(
            "".join([*lines, "Generate test with beam=1: BLEU = 1\n"])
        )
        arguments = (
            tmp_path / "generate-test.txt",
            "--manifest",
            tokens,
            "--json",
            tmp_path / "s.json",
            *options,
        )
        code = scorer.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        rows = json.loads((tmp_path / "s.json").read_text()) if code == 0 else []
        return (
            code,
            captured.out + captured.err,
            {(row["method"], row["metric"]): row["value"] for row in rows},
        )

    return call


@pytest.fixture(scope="module")
def truth(tokens):
    """The test reports."""
    texts = read_texts(tokens / "texts.tsv").texts
    return [texts[int(target)] for target in read_manifest(tokens / "test.tsv").targets]


def test_stock_fairseq_trains_and_writes_a_report_of_each_recording(
    start_training, start_fairseq, tokens, repo_dir, tmp_path, truth, score
):
    config = repo_dir / "examples" / "text" / "config" / "report_generation.yaml"
    more = ["model.encoder.layers=1"] if sys.version_info < (3, 11) else []  # fairseq 0.12.2 cannot without
    start_training(config, tokens, tmp_path / "run", *TINY, *more).wait()
    start_fairseq(
        "generate",
        tmp_path / "generate",
        *(str(tokens), "--path", str(tmp_path / "run" / "checkpoint_best.pt")),
        *("--task", "translation", "--source-lang", "ecg", "--target-lang", "text", "--dataset-impl", "raw"),
        *("--gen-subset", "test", "--beam", "1", "--max-len-b", "9", "--post-process", "sentencepiece"),
        *("--required-batch-size-multiple", "1", "--max-source-positions", "4096", "--cpu"),
        *("--results-path", str(tmp_path)),
    ).wait()
    written = (tmp_path / "generate-test.txt").read_text()
    hypotheses = [line.split("\t")[2] for line in written.splitlines() if line.startswith("H-")]
    assert len(hypotheses) == len(truth)
    assert score(hypotheses)[0] == 0
    models, _, task = load_model_ensemble_and_task([str(tmp_path / "run" / "checkpoint_best.pt")])
    task.load_dataset("valid")
    batch = task.dataset("valid").collater([task.dataset("valid")[0]])["net_input"]
    before = models[0].eval()(**batch)[0]
    batch["prev_output_tokens"][:, -1] = 3
    after = models[0](**batch)[0]
    assert torch.equal(before[:, :-1], after[:, :-1])  # a word sees those before it alone
    assert not torch.equal(before[:, -1], after[:, -1])
    batch["src_tokens"][:, 0] += 1
    assert not torch.equal(after[:, 0], models[0](**batch)[0][:, 0])  # and all of the ECG


def test_true_reports_have_all_findings_and_those_of_others_do_not(score, truth):
    _, out, figures = score(truth)
    assert figures["written", "macro_f1"] == figures["written", "exact_match"] == 1
    assert figures["written", "bleu"] == pytest.approx(100)
    assert figures["written for others", "micro_f1"] < 0.8
    assert figures["commonest", "macro_f1"] < 0.5
    assert f"{len(truth)} recordings" in out


def test_other_words_have_the_same_findings(score, truth):
    words = {"sinus rhythm": "regular sinus rhythm", "atrial fibrillation": "vorhofflimmern"}
    others = [text.replace("sinus rhythm", words["sinus rhythm"]).upper() for text in truth]
    _, _, figures = score(others)
    assert figures["written", "macro_f1"] == 1
    assert figures["written", "bleu"] < 50


def test_a_classifier_is_scored_on_the_same_findings_of_the_same_recordings(score, tokens, truth, tmp_path):
    findings, records = read_findings(), read_manifest(tokens / "test.tsv").record_ids
    of_record = dict(zip(records, findings.table(truth)))
    names = ["AF", "CLBBB|LBBB", "no finding"]
    places = [findings.names.index(name) for name in ("AF", "LBBB", "AF")]
    predicted = np.array([each[places] for each in of_record.values()])
    arrays = {
        "probabilities": predicted[None].astype(np.float32),
        "labels": predicted,
        "record_ids": np.array(list(of_record)),
        "patient_ids": np.array(list(of_record)),
        "names": np.array(names),
        "threshold": 0.5,
    }
    outcome = Evaluation(
        "classification", len(predicted), "records", {"12": {}}, lambda: iter(()), [], arrays
    )
    write_evaluation(tmp_path / "c.npz", outcome, "m")
    there = [name for name, column in zip(("AF", "LBBB"), predicted.T) if column.any()]
    without_af = [text.replace("atrial fibrillation", "") for text in truth]
    _, out, figures = score(without_af, "--classifier", tmp_path / "c.npz")
    assert "AF" in there
    assert f"findings in their reports: {', '.join(there)}" in out
    assert figures["classifier", "macro_f1"] == 1
    assert ("classifier", "bleu") not in figures
    assert figures["written", "macro_f1"] == pytest.approx((len(there) - 1) / len(there))
    arrays["record_ids"][0] = "other"
    write_evaluation(tmp_path / "c.npz", outcome, "m")
    code, out, _ = score(truth, "--classifier", tmp_path / "c.npz")
    assert code == 1
    assert "has no result of" in out


def test_recordings_without_a_report_are_told_with_the_option_that_keeps_them(score, truth):
    code, out, _ = score(truth[:-1])
    assert code == 1
    assert f"reports of {len(truth) - 1} recordings, but there are {len(truth)}" in out
    assert "--required-batch-size-multiple 1" in out
