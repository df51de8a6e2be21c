"""Leads with names from `fairseq-hydra-train` to evaluation and ECGModel; and in the other methods."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.evaluation.lead_sets import parse_lead_sets
from fairseq_signals.evaluation.predict import predict
from fairseq_signals.inference.description import lines
from fairseq_signals.manifest.table import read_manifest

FORMS = {
    "flags": ("+model.lead_encoding=flags",),
    "tokens": ("+model.lead_encoding=tokens", "+model.lead_mixer=message"),
}
ADDED = {"flags": "encoder.lead_flags.weight", "tokens": "encoder.lead_names.vectors"}
each_form = pytest.mark.parametrize("form", list(FORMS))


@pytest.fixture(scope="module")
def start(start_training, corpus, tiny_pretraining):
    """`start(form, save_dir, updates)`: a pre-training of the quickstart, with random lead masking."""

    def train(form: str, save_dir: Path, updates: int):
        options = (*tiny_pretraining, *FORMS[form], "model.feature_grad_mult=1.0")
        return start_training(
            "pretrain", corpus.pretrain, save_dir, f"optimization.max_update={updates}", *options
        )

    return train


@pytest.fixture(scope="module")
def pretrain(start, tmp_path_factory):
    """`pretrain(form)`: a training of four updates; each form trains once."""
    done = {}

    def train(form: str):
        if form not in done:
            done[form] = start(form, tmp_path_factory.mktemp(form), 4)
            done[form].wait()
        return done[form]

    return train


@pytest.fixture(scope="module")
def fine_tune(pretrain, start_training, corpus, tmp_path_factory):
    """`fine_tune(form)`: two updates of classification that say nothing of how leads are encoded."""
    done = {}

    def train(form: str):
        if form not in done:
            model_path = f"model.model_path={pretrain(form).save_dir / 'checkpoint_last.pt'}"
            options = ("dataset.batch_size=4", "optimization.max_update=2", "dataset.disable_validation=true")
            folder = tmp_path_factory.mktemp(f"{form}-classification")
            done[form] = start_training("classification", corpus.classification, folder, model_path, *options)
            done[form].log_text = done[form].wait()
        return done[form]

    return train


@each_form
def test_a_resumed_training_ends_as_an_unbroken_one_bit_for_bit(form, start, pretrain, tmp_path):
    start(form, tmp_path, 2).wait()
    resumed = start(form, tmp_path, 4)
    assert "@ 2 updates)" in resumed.wait()
    whole, resumed = (run.checkpoint()["model"] for run in (pretrain(form), resumed))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    assert ADDED[form] in whole


@each_form
def test_fine_tuning_takes_how_leads_are_encoded_from_the_checkpoint(form, pretrain, fine_tune):
    tuned = fine_tune(form)
    before, checkpoint = pretrain(form).checkpoint()["model"], tuned.checkpoint()
    assert checkpoint["cfg"]["model"]["lead_encoding"] == form
    loaded = re.search(
        r"encoder: loaded (\d+) parameters from \S+; missing: (.*); unused: (.*)", tuned.log_text
    )
    of_encoder = {key for key in before if key.startswith("encoder.") and key != "encoder.mask_emb"}
    assert (int(loaded[1]), loaded[2]) == (len(of_encoder), "none")
    key = ADDED[form]
    assert not torch.equal(checkpoint["model"][key], before[key])  # it trains further
    model = ECGModel.load(tuned.save_dir / "checkpoint_last.pt")
    told = {"flags": "flags", "tokens": "tokens, mixed by message, 2 rounds"}[form]
    assert f"lead_encoding            {told}" in "\n".join(lines(model.describe(), "m"))


@each_form
def test_evaluation_leaves_leads_out_as_naming_the_others_does(form, fine_tune, corpus):
    path = fine_tune(form).save_dir / "checkpoint_last.pt"
    lead_sets = parse_lead_sets(["12", "2", "1"])
    assert len(evaluate(path, corpus.classification, lead_sets).values) == 3
    model, manifest = ECGModel.load(path), read_manifest(corpus.classification / "test.tsv")
    logits = torch.from_numpy(predict(model.network, manifest, lead_sets, 8, "cpu", model.form))
    signal = SegmentReader(manifest).read(0)
    for leads, expected in zip(lead_sets.values(), torch.sigmoid(logits)):
        found = model.predict_proba(signal[list(leads)], 500, [LEADS[i] for i in leads])
        np.testing.assert_allclose(found, expected[0], atol=1e-5)
    assert not torch.allclose(logits[0], logits[1], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "mixer"),
    [("simclr/config/pretraining/simclr_rlm", "mean"), ("crlc/config/pretraining/crlc", "attention")],
)
def test_contrastive_methods_train_on_leads_with_names(
    method, mixer, start_training, tiny_pretraining, repo_dir, corpus, tmp_path
):
    of_quantizer = ("latent_vars", "num_negatives")
    tiny = [option for option in tiny_pretraining if not any(name in option for name in of_quantizer)]
    options = ("+model.lead_encoding=tokens", f"+model.lead_mixer={mixer}", "optimization.max_update=3")
    file = repo_dir / "examples" / f"{method}_demo.yaml"
    run = start_training(file, corpus.pretrain, tmp_path, *tiny, *options)
    losses = [float(loss) for loss in re.findall(r" loss=([\d.naif]+)", run.wait())]
    assert len(losses) == 3
    assert all(0 < loss < 100 for loss in losses)
    history = run.checkpoint()["last_optimizer_state"]["state"]
    assert all(torch.isfinite(state["exp_avg"]).all() for state in history.values())
