"""`fairseq-signals zeroshot` and `retrieve`: tables, files and texts, and what they refuse."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from fairseq_signals.commands import retrieve, zeroshot
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.evaluation.results import read_results
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from tests.ecg_text import WORDS, save_ecg_text

N, T = 6, 320
LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,SR,2\n2,block,B,3\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> SimpleNamespace:
    """A store of six records of three patients with reports, its manifests, and a model."""
    root = tmp_path_factory.mktemp("data")
    (root / "store").mkdir()
    rng = np.random.default_rng(0)
    rows = [
        StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01),
                 rng.integers(-90, 90, (12, T)).cumsum(axis=1).astype(np.int16),
                 patient_id=f"p{i // 2}", codes=(str(i % 2 + 1),), report=WORDS[i % 2])
        for i in range(N)
    ]  # fmt: skip
    write_shard(root / "store" / "shard-00000.arrow", rows)
    for name in ("classes", "texts"):
        (root / name).mkdir()
        lines = [
            Row(f"shard-00000.arrow#{i}:0", T, f"x/r{i}", f"x/p{i // 2}", 0, str(1 - i % 2)) for i in range(N)
        ]
        (root / name / "test.tsv").write_text("".join(format_manifest(root / "store", lines)))
    (root / "classes" / "labels.csv").write_text(LABELS)
    (root / "texts" / "manifest.json").write_text('{"kind": "ecg_text"}')
    texts = "".join(f"{i}\t{text}\t3\ttest\n" for i, text in enumerate(WORDS[1::-1]))
    (root / "texts" / "texts.tsv").write_text(f"text_id\ttext\tn\tsplit\n{texts}")
    model = save_ecg_text(root / "clip.pt", {"segment_s": T / 500})
    return SimpleNamespace(root=root, store=root / "store", model=model)


def test_scores_are_printed_by_row_and_class_and_written_by_row(data, tmp_path, capsys):
    given = [data.model, "--manifest", data.root / "classes", "--texts", data.root / "texts"]
    given += ["--leads", "12,2,each", "--intervals", "20", "--json", tmp_path / "out.json", "--seed", "3"]
    assert zeroshot.main([str(each) for each in given]) == 0
    out = capsys.readouterr().out
    assert "zero-shot classification of 6 records" in out
    for row in ("trained", "untrained", "shuffled pairs"):
        assert re.search(rf"^{row} +12 +\d\.\d{{3}}", out, re.MULTILINE), row
    assert re.search(r"^text only +texts +\d", out, re.MULTILINE)
    assert re.search(r"^trained +each worst +\d", out, re.MULTILINE)
    assert re.search(r"^AF +3 +\d\.\d{3}", out, re.MULTILINE)
    assert re.search(r"^B +0 +n/a", out, re.MULTILINE)
    assert re.search(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", out)
    assert "note: macro AUROC is the mean over 2 of 3 classes; without both outcomes: B" in out
    rows = read_results(tmp_path / "out.json")
    methods = {row["method"] for row in rows}
    assert methods == {"clip", "clip, untrained", "clip, shuffled pairs", "clip, text only"}
    found = {(row["method"], row["leads"], row["metric"]): row for row in rows}
    assert found["clip", "2", "macro_auroc"]["n"] == N
    assert found["clip", "12", "macro_auroc"]["seed"] == 3
    classes = [found["clip", "12", f"auroc_{name}"]["value"] for name in ("AF", "SR")]
    assert found["clip", "12", "macro_auroc"]["value"] == pytest.approx(np.mean(classes))
    assert found["clip", "12", "auroc_B"]["value"] is None
    assert "auroc_AF" not in {row["metric"] for row in rows if row["method"] == "clip, untrained"}
    assert {"recall_at_1", "median_rank"} <= {row["metric"] for row in rows}


def test_another_model_is_refused_with_what_to_do(data, tmp_path, tiny):
    import torch

    from fairseq_signals.errors import CheckpointError

    state = {k: v for k, v in torch.load(data.model)["model"].items() if k.startswith("encoder.")}
    torch.save({"model": state, "cfg": {"model": tiny}}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="train model ecg_text_clip"):
        zeroshot.main([str(tmp_path / "m.pt"), "--manifest", str(data.root / "classes")])


@pytest.fixture
def ask(data, capsys):
    """`ask(*options)`: the exit code and the output of a query of the store by itself."""

    def call(*options: object) -> tuple:
        given = [data.model, "--base", data.store, "--query", data.store, *options]
        code = retrieve.main([str(each) for each in given])
        return code, capsys.readouterr()

    return call


def test_others_recordings_are_retrieved_with_reports_and_votes(ask):
    code, printed = ask("--k", 4, "--format", "json")
    assert code == 0
    found = json.loads(printed.out)
    assert [one["query"] for one in found] == [f"x/r{i}" for i in range(N)]
    for i, one in enumerate(found):
        assert sorted(n["record"] for n in one["neighbours"]) == [
            f"x/r{j}" for j in range(N) if j // 2 != i // 2
        ]
        assert one["votes"] == {"1": 0.5, "2": 0.5}
        similarities = [n["similarity"] for n in one["neighbours"]]
        assert similarities == sorted(similarities, reverse=True)
        for neighbour in one["neighbours"]:
            j = int(neighbour["record"][-1])
            assert (neighbour["report"], neighbour["patient"]) == (WORDS[j % 2], f"x/p{j // 2}")


def test_prompts_and_texts_are_written_for_each_query(ask, data, tmp_path):
    labels = data.root / "classes" / "labels.csv"
    assert ask("--format=prompt", "--labels", labels, "--out", tmp_path / "prompts.txt")[0] == 0
    text = (tmp_path / "prompts.txt").read_text()
    assert text.count("You read electrocardiograms.") == N
    assert "Consider each of these: atrial fibrillation, sinus rhythm, block." in text
    assert ask("--labels", labels)[1].out.count("vote: ") == N


def test_queries_of_nobody_known_are_told_of_and_may_be_named(data, tmp_path, capsys):
    query = f"{data.store}#x/r0"
    given = [str(data.model), "--base", str(data.store), "--query", query, "--k", "6", "--format", "json"]
    assert retrieve.main(given) == 0
    printed = capsys.readouterr()
    assert "of 1 of 1 queries nothing says whose they are" in printed.err
    (found,) = json.loads(printed.out)
    assert "x/r1" in {n["record"] for n in found["neighbours"]}
    (tmp_path / "patients.csv").write_text(f"record,patient\n{query},x/p0\n")
    assert retrieve.main([*given, "--patients", str(tmp_path / "patients.csv")]) == 0
    printed = capsys.readouterr()
    assert "nothing says" not in printed.err
    (found,) = json.loads(printed.out)
    assert "x/p0" not in {n["patient"] for n in found["neighbours"]}


def test_embeddings_of_other_models_do_as_well(data, tmp_path, tiny, capsys):
    import torch

    state = {k: v for k, v in torch.load(data.model)["model"].items() if k.startswith("encoder.")}
    torch.save({"model": state, "cfg": {"model": tiny}}, tmp_path / "m.pt")
    assert retrieve.main([str(tmp_path / "m.pt"), "--base", str(data.store), "--query", str(data.store)]) == 0
    assert capsys.readouterr().out.count("vote: ") == N


def test_a_base_without_a_usable_recording_is_told(data, tmp_path, capsys):
    (tmp_path / "base.csv").write_text("I\n1\n2\n")
    given = [str(data.model), "--base", str(tmp_path / "base.csv"), "--query", str(data.store)]
    assert retrieve.main(given) == 1
    assert "no recording of the base could be used" in capsys.readouterr().err
