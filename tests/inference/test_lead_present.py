"""Models that are told which leads are present: those of the recording, in any order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.saliency import saliency
from fairseq_signals.inference.sources import Opener

FORMS = [
    {"lead_encoding": "flags"},
    {"lead_encoding": "tokens", "lead_mixer": "mean"},
    {"lead_encoding": "tokens", "lead_mixer": "attention"},
    {"lead_encoding": "tokens", "lead_mixer": "message"},
]


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: "-".join(form.values()))
def model(request, save_checkpoint, tmp_path_factory) -> ECGModel:
    folder = tmp_path_factory.mktemp("model")
    path = save_checkpoint(folder / "c.pt", "classification", {"segment_s": 5.0}, **request.param)
    return ECGModel.load(path, labels=["a", "b", "c"])


def test_leads_are_known_by_name_in_whatever_order_they_come(model, recording):
    order = [5, 1, 8, 0]
    names = [LEADS[i] for i in order]
    given = recording.mv[order].astype(np.float32)
    expected = model.embed(given, 500, names)
    back = np.argsort(order)
    assert np.array_equal(model.embed(given[back], 500, [names[i] for i in back]), expected)
    chosen = model.embed(recording.wfdb, leads=names)
    np.testing.assert_allclose(chosen, expected, atol=1e-4)


def test_a_lead_of_zeros_is_flat_and_not_absent(model, recording):
    padded = recording.mv.astype(np.float32).copy()
    padded[2:] = 0
    named = model.embed(padded[:2], 500, ["I", "II"])
    assert not np.allclose(model.embed(padded, 500), named, atol=1e-3)


def test_a_batch_of_recordings_with_other_leads_is_what_each_is_alone(model, recording):
    signal = recording.mv.astype(np.float32)
    counts = (1, 6, 12)
    read = [Opener(500, LEADS[:n]).read(signal[:n]) for n in counts]
    together = model.embed(read)
    for n, one in zip(counts, together):
        np.testing.assert_allclose(one, model.embed(signal[:n], 500, LEADS[:n]), atol=1e-5)


@pytest.mark.parametrize(("form", "suffix"), [(0, ".pt2"), (2, ".onnx"), (3, ".pt2"), (3, ".onnx")])
def test_a_program_takes_which_leads_are_present(save_checkpoint, recording, tmp_path, form, suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnxscript")
    path = save_checkpoint(tmp_path / "c.pt", "classification", {"segment_s": 5.0}, **FORMS[form])
    model = ECGModel.load(path, labels=["a", "b", "c"])
    model.export(tmp_path / f"m{suffix}")  # compares both where a lead is absent
    if suffix == ".onnx":
        return
    program = torch.export.load(str(tmp_path / "m.pt2")).module()
    source = torch.from_numpy(recording.mv[None, :, :2500].astype(np.float32))
    present = torch.tensor([[lead in ("II", "V5") for lead in LEADS]])
    noise = torch.where(present[..., None], source, 7.0)
    embedding, _ = program(noise, present)
    expected = model.embed(source[0][present[0]].numpy(), 500, ["II", "V5"])
    np.testing.assert_allclose(embedding[0].numpy(), expected, atol=1e-5)


def test_saliency_is_of_present_leads(model, recording):
    given = Opener(500, ["II", "V5"]).read(recording.mv[[1, 10]].astype(np.float32))
    found = saliency(model, given, "a")
    assert found.gradient.any(axis=1).nonzero()[0].tolist() == [1, 10]


def test_a_saved_model_is_told_the_same(model, recording, tmp_path):
    model.save(tmp_path / "saved")
    again = ECGModel.load(tmp_path / "saved")
    signal = recording.mv[:1].astype(np.float32)
    assert np.array_equal(again.embed(signal, 500, ["I"]), model.embed(signal, 500, ["I"]))
