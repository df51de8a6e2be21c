"""Exported programs compute what the network does, for any number of segments."""

import json

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.ecg.normalize import AS_IT_IS
from fairseq_signals.errors import CheckpointError, ConfigError, MissingLibraryError
from fairseq_signals.inference import export, provenance
from tests.ecg_text import save_ecg_text


@pytest.fixture(scope="module")
def classifier(save_checkpoint, tmp_path_factory):
    """A classifier whose position convolution goes through Fourier space outside of exports."""
    path = tmp_path_factory.mktemp("export") / "c.pt"
    save_checkpoint(path, "classification", {"max_sample_size": 800}, conv_pos=32, encoder_layers=1)
    return ECGModel.load(path, labels=["a", "b", "c"])


def segments(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 12, 800)).astype(np.float32)


def check_outputs(classifier, source, outputs):
    embedding, probability, frames = outputs
    np.testing.assert_allclose(embedding, classifier.embed(source, fs=500), atol=1e-5)
    np.testing.assert_allclose(probability, classifier.predict_proba(source, fs=500), atol=1e-5)
    np.testing.assert_allclose(frames, np.stack(classifier.embed(source, fs=500, frames=True)), atol=1e-4)


def test_torch_program_computes_the_same_without_a_fourier_transform(classifier, tmp_path):
    classifier.export(tmp_path / "m.pt2", frames=True)
    files = {"fairseq_signals": ""}
    exported = torch.export.load(str(tmp_path / "m.pt2"), extra_files=files)
    called = {str(node.target) for node in exported.graph.nodes}
    assert not [name for name in called if "fft" in name]
    assert json.loads(files["fairseq_signals"])["outputs"] == ["embedding", "probability", "frames"]
    program = exported.module()
    for n in (1, 2, 5):
        source = segments(n)
        check_outputs(classifier, source, [o.detach().numpy() for o in program(torch.from_numpy(source))])


def test_onnx_program_computes_the_same(classifier, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    classifier.export(tmp_path / "m.onnx", frames=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model)
    described = {prop.key: prop.value for prop in model.metadata_props}["fairseq_signals"]
    assert [entry["label"] for entry in json.loads(described)["labels"]] == ["a", "b", "c"]
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert [output.name for output in session.get_outputs()] == ["embedding", "probability", "frames"]
    assert session.get_inputs()[0].shape[1:] == [12, 800]
    for n in (1, 2, 5):
        source = segments(n)
        check_outputs(classifier, source, session.run(None, {"source": source}))


def test_exporting_leaves_the_model_as_it_was(classifier, tmp_path):
    source = segments(2)
    before, fingerprint = classifier.embed(source, fs=500), classifier.fingerprint
    classifier.export(tmp_path / "m", format="torch", check=False)
    np.testing.assert_array_equal(classifier.embed(source, fs=500), before)
    assert provenance.fingerprint(classifier.state(), classifier.form) == fingerprint


@pytest.mark.filterwarnings("ignore:.*constant leads are taken as absent")
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_program_scales_segments_where_the_model_does(checkpoints, tmp_path, format):
    model = ECGModel.load(checkpoints["classification"], normalize=True, segment_s=1.6)
    source = segments(3) * np.linspace(0.1, 3, 12, dtype=np.float32)[:, None] + np.float32(0.4)
    source[1, 2:] = 0.1  # constant
    path = tmp_path / f"m.{format}"
    if format == "pt2":
        model.export(path, frames=True)
        program = torch.export.load(str(path)).module()
        outputs = [output.detach().numpy() for output in program(torch.from_numpy(source))]
    else:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(name)
        model.export(path, frames=True)
        session = __import__("onnxruntime").InferenceSession(str(path))
        outputs = session.run(None, {"source": source})
    check_outputs(model, source, outputs)


def test_a_program_that_does_not_scale_as_the_model_does_is_not_written(checkpoints, tmp_path, monkeypatch):
    model = ECGModel.load(checkpoints["classification"], normalize=True, segment_s=1.6)
    made = export.Program
    monkeypatch.setattr(
        export, "Program", lambda network, names, _, head: made(network, names, AS_IT_IS, head)
    )
    with pytest.raises(CheckpointError, match="outputs differ from the model's"):
        model.export(tmp_path / "m.pt2")


def test_a_program_holds_what_the_configuration_of_the_saved_model_does(classifier, tmp_path):
    classifier.save(tmp_path / "model")
    classifier.export(tmp_path / "m.pt2", check=False)
    files = {"fairseq_signals": ""}
    torch.export.load(str(tmp_path / "m.pt2"), extra_files=files)
    held = json.loads(files["fairseq_signals"])
    assert held.pop("outputs") == ["embedding", "probability"]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert held == {name: value for name, value in config.items() if name != "weights_sha256"}


def test_embeddings_of_an_identification_model_have_length_one(models, tmp_path):
    models["identification"].export(tmp_path / "m.pt2")
    program = torch.export.load(str(tmp_path / "m.pt2")).module()
    (embedding,) = program(torch.from_numpy(np.tile(segments(3), 4)[:, :, :2500]))
    np.testing.assert_allclose(embedding.norm(dim=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_program_of_ecgs_and_texts_gives_what_is_compared_with_texts(tmp_path, format):
    model = ECGModel.load(save_ecg_text(tmp_path / "clip.pt", {"segment_s": 1.6}))
    source, path = segments(3), tmp_path / f"m.{format}"
    if format == "onnx":
        for name in ("onnx", "onnxscript"):
            pytest.importorskip(name)
        onnxruntime = pytest.importorskip("onnxruntime")
        model.export(path)
        session = onnxruntime.InferenceSession(str(path))
        assert [output.name for output in session.get_outputs()] == ["embedding", "joint"]
        embedding, joint = session.run(None, {"source": source})
    else:
        model.export(path)
        exported = torch.export.load(str(path))
        assert not [name for name in exported.state_dict if "text" in name or "tokenizer" in name]
        program = exported.module()
        embedding, joint = (output.detach().numpy() for output in program(torch.from_numpy(source)))
    np.testing.assert_allclose(embedding, model.embed(source, fs=500), atol=1e-5)
    expected = [done.joint for done in model.stream(source, fs=500, outputs=("joint",))]
    np.testing.assert_allclose(joint, expected, atol=1e-5)


def test_a_program_that_computes_something_else_is_not_written(classifier, tmp_path, monkeypatch):
    def wrong(path):
        return lambda source: [np.zeros((len(source), 16)), np.zeros((len(source), 3))]

    monkeypatch.setattr(export, "_load_torch", wrong)
    with pytest.raises(CheckpointError, match="outputs differ from the model's"):
        classifier.export(tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(classifier, tmp_path):
    for path, options in (("m.tflite", {}), ("m.onnx", {"format": "tflite"})):
        with pytest.raises(ConfigError, match=r"the format must be torch \(\.pt2\) or onnx \(\.onnx\)"):
            classifier.export(tmp_path / path, **options)


def test_missing_libraries_are_named(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingLibraryError, match=r"onnx.*pip install 'fairseq-signals\[export\]'"):
        classifier.export(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
