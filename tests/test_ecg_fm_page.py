"""All that docs/ecg-fm.md has a user type runs, in its order, with a tiny look-alike of the weights."""

from __future__ import annotations

import csv
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from fairseq_signals.commands.main import main
from tests.checkpoints import lookalikes

#: Labels of recordings that the page's table names, and of twelve others.
LABELS = {2: "NORM", 39: "CD|MI", **{i: ("NORM", "CD", "MI")[i % 3] for i in range(101, 113)}}
#: In addition to what the page says of trainings: two updates in a second.
TINY = ("common.cpu=true", "dataset.num_workers=0", "dataset.batch_size=4", "optimization.update_freq=[1]",
        "optimization.max_update=2", "optimization.max_epoch=1")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, write_wfdb, repo_dir):
    """A folder with what the page presumes: both files, recordings at 400 Hz, their table, the examples."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    for number in LABELS:
        adu = np.cumsum(rng.integers(-9, 10, (12, 4000)), axis=1).astype(np.int16)
        write_wfdb(folder / "recordings" / "00000", f"{number:05}_hr", adu, fs=400)
    rows = [f"00000/{i:05}_hr,{10_000 + i},{label}" for i, label in LABELS.items()]
    (folder / "mine.csv").write_text("\n".join(["record_id,patient_id,labels", *rows]))
    lookalikes.pretrained(folder / "mimic_iv_ecg_physionet_pretrained.pt")
    lookalikes.finetuned(folder / "mimic_iv_ecg_finetuned.pt")
    (folder / "examples").symlink_to(repo_dir / "examples")
    return folder


@pytest.fixture(scope="module")
def done(place, repo_dir, start_fairseq):
    """What the page left behind in `place`: `names` of its snippets, `printed` by command, `ran` commands."""
    page = (repo_dir / "docs" / "ecg-fm.md").read_text(encoding="utf-8")
    names, ran = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
            if language == "python":
                exec(compile(block, "docs/ecg-fm.md", "exec"), names)
            elif not language:
                for line in block.replace("\\\n", " ").splitlines():
                    words = shlex.split(line.replace("$PWD", str(place)))
                    run(words, patch, repo_dir, start_fairseq)
                    ran.append(" ".join(words[:2]))
    return SimpleNamespace(names=names, ran=ran, place=place)


def run(words: list[str], patch: pytest.MonkeyPatch, repo_dir: Path, start_fairseq) -> None:
    """One command of the page, in this process where that can be."""
    program, *arguments = words
    if program == "fairseq-signals":
        assert not exit_code(lambda: main(arguments)), words
    elif program == "python":
        script = Path(arguments[0])
        patch.setattr(sys, "argv", [*arguments, "--leads", "12"])  # one lead set is quicker than five
        patch.syspath_prepend(str(script.parent))
        assert not exit_code(lambda: runpy.run_path(str(script), run_name="__main__")), words
    else:
        assert program == "fairseq-hydra-train"
        told = dict(word.split("=", 1) for word in arguments if "=" in word)
        ours = f"common.user_dir={repo_dir / 'fairseq_signals'}"
        arguments = [ours if word.startswith("common.user_dir") else word for word in arguments]
        start_fairseq("hydra_train", Path(told["checkpoint.save_dir"]), *arguments, *TINY).wait()


def exit_code(call: Callable[[], object]) -> object:
    """What a command ends with, returned or raised."""
    try:
        return call()
    except SystemExit as end:
        return end.code


def test_every_command_runs(done):
    assert done.ran.count("fairseq-hydra-train --config-dir") == 2
    wanted = ("info", "embed", "predict", "preprocess", "manifest", "evaluate")
    assert {f"fairseq-signals {name}" for name in wanted} <= set(done.ran)


def test_embeddings_of_the_command_are_those_of_the_snippet(done):
    snippet = np.load(done.place / "embeddings.npz")
    table = pq.read_table(done.place / "embeddings.parquet").to_pydict()
    assert table["record"] == snippet["names"].tolist()
    np.testing.assert_allclose(table["embedding"], snippet["vectors"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(done.names["z"], snippet["vectors"][0])


def test_predictions_have_the_published_labels(done):
    with (done.place / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(LABELS)
    assert list(rows[0])[:3] == ["record", "positive", "Poor data quality"]
    assert len(rows[0]) == 2 + 17
    assert float(rows[0]["Atrial fibrillation"]) == pytest.approx(done.names["p"]["Atrial fibrillation"])


def test_what_was_fine_tuned_keeps_the_input_and_tells_where_it_comes_from(done):
    model = done.names["ECGModel"].load(done.place / "my-model")
    assert (model.labels, model.leads[0], model.form.normalize) == (("CD", "MI", "NORM"), "I", "record")
    assert (model.form.resampler, model.form.last_segment, model.form.zero_frames) == (
        "linear",
        "drop",
        "skip",
    )
    card = (done.place / "my-model" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "wanglab/ecg-fm"
    assert "- Fine-tuned from: ECG-FM, McKeen" in card
    assert (
        "- File of the weights it was fine-tuned from: `mimic_iv_ecg_physionet_pretrained.pt`, SHA-256"
        in card
    )
    assert "- Licence of the weights it was fine-tuned from: MIT" in card
    two = done.names["ECGModel"].load(done.place / "two" / "checkpoint_best.pt")
    assert two.provenance["training"]["task"]["leads_to_load"] == 2
