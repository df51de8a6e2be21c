"""ECGs from reports: codes of segments beside their texts, stock fairseq, and scores of what it makes."""

import importlib
import json
import sys

import fairseq  # noqa: F401  # first: it registers our components
import numpy as np
import pytest
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task

from fairseq_signals.errors import CheckpointError, SignalError
from fairseq_signals.inference.codes import ECGCodes
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.manifest.checking import check_sets
from fairseq_signals.manifest.folder import read_set
from fairseq_signals.models.ecg_vq import ECGVQConfig, ECGVQModel
from tests.examples.test_text import TINY
from tests.sizes import TINY as ENCODER

N_CODES, PATCH = 64, 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of an `ecg_vq` of random weights."""
    options = {**ENCODER, "frontend": "patch", "patch_samples": PATCH, "codes": N_CODES, "code_dim": 8}
    options |= {"code_momentum": 0.9, "code_patience": 0}
    options |= {"decoder_dim": 16, "decoder_layers": 1, "decoder_conv": 0, "in_d": 12}
    torch.manual_seed(0)
    state = ECGVQModel(ECGVQConfig(**options)).state_dict()
    path = tmp_path_factory.mktemp("vq") / "codes.pt"
    torch.save({"model": state, "cfg": {"model": {"_name": "ecg_vq", **options}, "task": {}}}, path)
    return path


@pytest.fixture(scope="module")
def scripts(repo_dir):
    """`segment_codes` and `score_ecgs` as modules."""
    folder = str(repo_dir / "examples" / "text")
    sys.path.insert(0, folder)
    names = ("segment_codes", "score_ecgs", "score_reports")
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(folder)
    for name in names:
        del sys.modules[name]


@pytest.fixture(scope="module")
def codes(scripts, tokens, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes") / "codes"
    assert scripts["segment_codes"].main([str(tokens), "--model", str(model), "--dest", str(folder)]) == 0
    return folder


class Judge:
    """In place of a classifier: its embedding is of each lead's range, its classes of that of lead I."""

    labels = ("NSR", "AF", "no finding")

    def embed(self, ecgs_mv, fs):
        halves = np.concatenate(np.split(ecgs_mv, 2, axis=2), axis=1)
        return np.ptp(halves, axis=2)

    def predict_proba(self, ecgs_mv, fs):
        return 1 / (1 + np.exp(-ecgs_mv[:, :3].mean(axis=2)))


@pytest.fixture
def score(scripts, codes, model, tmp_path, capsys, monkeypatch):
    """`score(lines)`: exit code, output, and figures by row and metric of generated codes."""
    monkeypatch.setattr(ECGModel, "load", lambda path: Judge())

    def call(lines: list) -> tuple:
        generated, figures = tmp_path / "generate-test.txt", tmp_path / "s.json"
        generated.write_text("".join(f"H-{i}\t-0.5\t{line}\n" for i, line in enumerate(lines)))
        places = ("--manifest", codes, "--model", model, "--classifier", "x", "--json", figures)
        saved = ("--save", tmp_path / "ecgs.npz")
        code = scripts["score_ecgs"].main([str(each) for each in (generated, *places, *saved)])
        captured = capsys.readouterr()
        rows = json.loads(figures.read_text()) if code == 0 else []
        return (
            code,
            captured.out + captured.err,
            {(row["method"], row["metric"]): row["value"] for row in rows},
        )

    return call


def lines(folder, name: str) -> list:
    return (folder / name).read_text().splitlines()


def test_codes_stand_beside_the_texts_that_they_are_of(tokens, codes, model):
    assert check_sets([read_set(codes)]) == []
    for name in ("train.tsv", "texts.tsv", "dict.text.txt", "train.ecg-text.text", "test.ecg-text.text"):
        assert (codes / name).read_bytes() == (tokens / name).read_bytes()
    rows = lines(codes, "test.ecg-text.ecg")
    assert len(rows) == len(lines(tokens, "test.ecg-text.ecg"))
    assert {len(row.split()) for row in rows} == {1000 // PATCH}
    known = {line.split()[0] for line in lines(codes, "dict.ecg.txt")}
    assert known == {f"c{i}" for i in range(N_CODES)} >= {code for row in rows for code in row.split()}


def test_codes_come_back_as_segments_in_millivolts(model):
    coder = ECGCodes.load(model)
    ecgs = np.random.default_rng(0).normal(size=(3, 12, 110)).astype(np.float32)
    found = coder.encode(ecgs)
    assert found.shape == (3, 5)
    drawn = coder.decode(found)
    assert drawn.shape == (3, 12, 100)
    with pytest.raises(SignalError, match="numbers from 0 to 63"):
        coder.decode(found + N_CODES)
    raw = torch.load(model, weights_only=True)
    raw["cfg"]["task"] = {"input_scale": 1000.0}
    torch.save(raw, model.with_name("microvolts.pt"))
    scaled = ECGCodes.load(model.with_name("microvolts.pt"))
    np.testing.assert_array_equal(scaled.encode(ecgs / 1000), found)
    np.testing.assert_allclose(scaled.decode(found), drawn / 1000, rtol=1e-5)


def test_the_encoder_of_codes_is_a_model_as_any_other(model, tmp_path):
    ecg = np.random.default_rng(1).normal(size=(12, 2500)).astype(np.float32)
    loaded = ECGModel.load(model)
    embedding = loaded.embed(ecg, 500)
    assert embedding.shape == (16,)
    loaded.save(tmp_path / "saved")
    np.testing.assert_array_equal(ECGModel.load(tmp_path / "saved").embed(ecg, 500), embedding)


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("task", "normalize", "segment", "task.normalize=segment"),
        ("model", "codes", None, "makes no codes of segments"),
    ],
)
def test_who_makes_no_codes_in_millivolts_is_refused(model, tmp_path, section, key, value, told):
    raw = torch.load(model, weights_only=True)
    raw["cfg"][section][key] = value
    if value is None:
        del raw["cfg"][section][key]
    torch.save(raw, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=told):
        ECGCodes.load(tmp_path / "other.pt")


def test_stock_fairseq_learns_codes_from_texts_and_draws_an_ecg_for_each(
    start_training, start_fairseq, codes, repo_dir, tmp_path, score
):
    config = repo_dir / "examples" / "text" / "config" / "text_to_ecg.yaml"
    start_training(config, codes, tmp_path / "run", *TINY).wait()
    n, results = str(1000 // PATCH), tmp_path / "results"
    start_fairseq(
        "generate",
        tmp_path / "generate",
        *(str(codes), "--path", str(tmp_path / "run" / "checkpoint_best.pt")),
        *("--task", "translation", "--source-lang", "text", "--target-lang", "ecg", "--dataset-impl", "raw"),
        *("--gen-subset", "test", "--beam", "1", "--sampling", "--sampling-topk", "20", "--seed", "1"),
        *("--min-len", n, "--max-len-a", "0", "--max-len-b", n, "--unkpen", "100"),
        *("--required-batch-size-multiple", "1", "--cpu", "--results-path", str(results)),
    ).wait()
    written = [line for line in lines(results, "generate-test.txt") if line.startswith("H-")]
    made = dict(line.removeprefix("H-").split("\t")[::2] for line in written)
    assert len(made) == len(lines(codes, "test.ecg-text.ecg"))
    code, out, _ = score([made[str(i)] for i in range(len(made))])
    assert code == 0, out
    with np.load(tmp_path / "ecgs.npz") as saved:
        assert saved["ecgs_mv"].shape == (len(made), 12, 1000)
    models, _, task = load_model_ensemble_and_task([str(tmp_path / "run" / "checkpoint_best.pt")])
    task.load_dataset("valid")
    given = task.dataset("valid").collater([task.dataset("valid")[0]])["net_input"]
    drawn = models[0].eval()(**given)[0]
    given["prev_output_tokens"][:, 20] = 7 + (given["prev_output_tokens"][:, 20] == 7).long()
    changed = (models[0](**given)[0] != drawn).any(dim=2)[0]
    assert not changed[:20].any()  # a code depends on those before it alone
    assert changed[20:].any()


def test_the_codes_of_the_test_ecgs_are_those_redrawn_and_others_are_told_from_them(score, codes, model):
    code, out, figures = score(lines(codes, "test.ecg-text.ecg"))
    assert code == 0, out
    metrics = [metric for row, metric in figures if row == "made"]
    assert len(metrics) == 11
    for metric in metrics:
        assert figures["made", metric] == figures["redrawn", metric], metric
    assert figures["made for others", "distance"] > figures["made", "distance"]
    assert figures["made for others", "residual"] == pytest.approx(figures["made", "residual"])
    assert figures["real", "residual"] < 0.002  # rounding
    assert figures["made", "residual"] > 0.01
    assert figures["real", "measured"] > 0.5
    assert "findings: NSR, AF" in out


def test_codes_that_are_none_or_too_few_are_told_with_the_options_that_give_them(score, codes):
    rows = lines(codes, "test.ecg-text.ecg")
    for wrong in ("c1 c2", "<unk> " + rows[0], rows[0].replace("c", "c9")):
        code, out, _ = score([wrong, *rows[1:]])
        assert code == 1
        assert "--min-len 50 --max-len-a 0 --max-len-b 50" in out


def test_a_real_ecg_of_the_same_findings_is_chosen_and_each_as_seldom_as_can_be(scripts):
    there = np.array([[1, 0], [0, 1], [1, 0]])
    wanted = np.array([[1, 0], [1, 0], [0, 1], [1, 1]])
    chosen = scripts["score_ecgs"].alike(wanted, there)
    assert sorted(chosen[:2]) == [0, 2]
    assert chosen[2] == 1
