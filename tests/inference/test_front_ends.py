"""What is done with a trained model, of every front end and context, and of a front end of one's own."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from fairseq_signals import ECGModel
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, ConfigError, SignalError
from fairseq_signals.inference.description import lines
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.saliency import saliency
from fairseq_signals.inference.saving import model_card
from fairseq_signals.modules import front_end as front_ends
from fairseq_signals.modules.front_end import FrontEnd, register_front_end

N = 560  #: samples of a segment
PATCH = {"frontend": "patch", "patch_samples": 20, "position": "sincos"}
LEAD_PATCH = {**PATCH, "frontend": "lead_patch", "lead_encoding": "tokens"}
MODELS = {
    "patch": {**PATCH, "input_norm": "joint", "registers": 2, "layer_mix": True, "patch_stem": "side_by_side",
              "conv_feature_layers": "[(4, 3, 2), (4, 9, 2)]"},
    "lead_patch": {**LEAD_PATCH, "position": "sincos_2d", "attention": "cross_pattern", "separators": True,
                   "registers": 1, "input_norm": "lead", "patch_norm": True, "position_every_layer": True},
    "lead": {**LEAD_PATCH, "frontend": "lead", "patch_samples": N, "position": "none", "input_norm": "fixed"},
    "beat": {**LEAD_PATCH, "frontend": "beat", "patch_samples": 96},
    "s4": {**PATCH, "context": "s4", "position": "none"},
    "s4_causal": {"context": "s4", "s4_causal": True, "position": "none"},
    "sums": {"frontend": "sums", "position": "learned", "max_positions": 35},
}  # fmt: skip
each_model = pytest.mark.parametrize("name", list(MODELS))


class Sums(nn.Module):
    """A front end of one's own: sums over stretches of 16 samples; without parameters, if it is `bare`."""

    dim, stride = 12, 16

    def __init__(self, n_leads: int, bare: bool = False):
        super().__init__()
        self.map = nn.Identity() if bare else nn.Linear(n_leads, self.dim)

    def n_frames(self, n_samples):
        return n_samples // self.stride

    def forward(self, x, leads=None):
        return self.map(x.unflatten(2, (-1, self.stride)).sum(dim=3).transpose(1, 2)).transpose(1, 2)


class Stubborn(Sums):
    """One that looks at what its numbers are, which a program cannot."""

    def forward(self, x, leads=None):
        return super().forward(x if x.abs().max() > 1 else -x, leads)


def own(build):
    return FrontEnd(build, weights=lambda cfg, n: 0, width=lambda cfg: 12, normed=lambda cfg: True)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(front_ends, "_FRONT_ENDS", dict(front_ends._FRONT_ENDS))
    register_front_end("sums", own(lambda cfg, n: Sums(n)))
    register_front_end("bare", own(lambda cfg, n: Sums(n, bare=True)))
    register_front_end("stubborn", own(lambda cfg, n: Stubborn(n)))


@pytest.fixture
def load(save_checkpoint, tmp_path):
    """`load(kind, **options)`: a tiny model of segments of 560 samples."""

    def make(kind: str = "classification", **options):
        path = save_checkpoint(tmp_path / "c.pt", kind, {"max_sample_size": N}, **options)
        return ECGModel.load(path, labels=["a", "b", "c"] if kind == "classification" else None)

    return make


def recordings(n_leads: int, n: int = 2, n_samples: int = N) -> np.ndarray:
    return np.random.default_rng(n_leads).normal(size=(n, n_leads, n_samples)).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "s4_causal"])
def test_exported_programs_compute_the_same_with_all_leads_and_with_few(load, name, tmp_path):
    model = load(**MODELS[name])
    if MODELS[name].get("context") == "s4":
        onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        model.export(tmp_path / "m.onnx", frames=True, check=False)
        session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
        taken = [given.name for given in session.get_inputs()]

        def run(given):
            return session.run(None, given)

    else:
        model.export(tmp_path / "m.pt2", frames=True, check=False)
        program = torch.export.load(str(tmp_path / "m.pt2")).module()
        taken = ["source", "lead_present"] if name in ("patch", "lead_patch", "lead", "beat") else ["source"]

        def run(given):
            return [output.detach().numpy() for output in program(*map(torch.from_numpy, given.values()))]

    for leads in (list(model.leads), ["II"], ["V6", "I", "V2"]):
        part, places = recordings(len(leads), 3), [model.leads.index(lead) for lead in leads]
        source, present = np.zeros((3, 12, N), np.float32), np.zeros((3, 12), bool)
        source[:, places], present[:, places] = part, True
        given = {key: value for key, value in (("source", source), ("lead_present", present)) if key in taken}
        embedding, probability, frames = run(given)
        np.testing.assert_allclose(embedding, model.embed(part, 500, leads), atol=1e-5)
        np.testing.assert_allclose(probability, model.predict_proba(part, 500, leads), atol=1e-5)
        np.testing.assert_allclose(frames, np.stack(model.embed(part, 500, leads, frames=True)), atol=1e-4)


@each_model
def test_a_saved_model_is_the_same_and_says_what_it_is(load, name, tmp_path):
    model, source = load("pretraining", **MODELS[name]), recordings(12)
    model.save(tmp_path / "saved")
    again = ECGModel.load(tmp_path / "saved")
    for layer in (None, 0, 1):
        np.testing.assert_array_equal(
            again.embed(source, 500, layer=layer), model.embed(source, 500, layer=layer)
        )
    told = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert told["format_version"] == 3
    text = "\n".join(lines(model.describe(), "m"))
    assert re.search(rf"^  frontend +{MODELS[name].get('frontend', 'conv')}$", text, re.MULTILINE)
    assert ("s4_state" in text) == ("S4" in model_card(told)) == (MODELS[name].get("context") == "s4")
    assert ("mixed by" in text, "conv_pos" in text) == (False, False)


def test_models_that_older_software_reads_are_written_for_it(load, tmp_path):
    load(lead_encoding="tokens").save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["format_version"] == 2


@pytest.mark.parametrize(
    ("name", "n_samples", "message"),
    [
        ("lead", 300, r"patch_samples is 560, but a lead of a segment has 300 samples"),
        ("sums", 576, r"max_positions is 35, but segments have 36 frames"),
    ],
)
@pytest.mark.filterwarnings("ignore:record .* is .* s long")
def test_lengths_that_a_model_does_not_take_are_refused_before_and_by_record(
    load, save_checkpoint, name, n_samples, message, tmp_path
):
    path = save_checkpoint(tmp_path / "c.pt", "pretraining", {"max_sample_size": N}, **MODELS[name])
    with pytest.raises(ConfigError, match=f"c.pt: model.{message}; pass another segment_s"):
        ECGModel.load(path, segment_s=n_samples / 500)
    model, whole = load("pretraining", **MODELS[name]), recordings(12)
    if name == "lead":  # of a shorter recording there is one shorter segment
        short = recordings(12, 1, n_samples)[0]
        with pytest.raises(SignalError, match=f"shorter than the model takes: model.{message}"):
            model.embed(short, 500)
        done = list(model.stream([whole[0], short, whole[1]], fs=500))
        assert [isinstance(one, SignalError) for one in done] == [False, True, False]


@pytest.mark.parametrize("layers", [1, 2])
def test_the_middle_layer_is_what_it_gives_without_later_positions(load, layers):
    model = load("pretraining", **MODELS["lead_patch"], encoder_layers=layers)
    source = recordings(12)
    noted = [done.middle for done in model.stream(source, fs=500, outputs=("middle",))]
    np.testing.assert_allclose(np.stack(noted), model.embed(source, 500, layer=layers // 2), atol=1e-6)


@pytest.mark.parametrize("attention", ["rollout", "last"])
@pytest.mark.parametrize("name", ["patch", "lead_patch", "lead", "sums"])
def test_saliency_is_over_time_and_of_present_leads(load, name, attention):
    model = load(**MODELS[name])
    given = Recording(recordings(2, 1)[0].astype(float), 500.0, ("V1", "II"), "r")
    found = saliency(model, given, "b", attention)
    assert found.probability == pytest.approx(model.predict(given)["b"], abs=1e-6)
    assert found.attention.shape == (N,)
    assert found.attention.sum() == pytest.approx(1)
    assert np.flatnonzero(found.gradient.any(axis=1)).tolist() == [1, 6]


def test_state_spaces_have_no_attention_to_show(load):
    with pytest.raises(ConfigError, match=r"no attention: its model\.context is s4"):
        saliency(load(**MODELS["s4"]), Recording(recordings(12, 1)[0], 500.0, LEADS, "r"), "b")


def test_a_front_end_without_parameters_is_a_front_end(load):
    assert load("pretraining", frontend="bare", position="sincos").embed(recordings(12), 500).shape == (2, 16)


def test_a_front_end_that_no_program_can_be_made_of_is_refused_by_name(load, tmp_path):
    with pytest.raises(ConfigError, match="whose front end is stubborn, cannot be written as torch"):
        load(frontend="stubborn").export(tmp_path / "m.pt2")
    assert not (tmp_path / "m.pt2").exists()


def test_a_checkpoint_of_a_front_end_that_is_not_registered_says_what_to_import(load, tmp_path):
    load(frontend="sums")
    del front_ends._FRONT_ENDS["sums"]
    with pytest.raises(
        CheckpointError, match=r"c\.pt: .*'sums'.*import the module that calls register_front_end"
    ):
        ECGModel.load(tmp_path / "c.pt")
