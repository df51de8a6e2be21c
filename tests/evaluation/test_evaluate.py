"""What `evaluate` says of manifests and options that are not the model's."""

import numpy as np
import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.input_format import InputFormat
from fairseq_signals.errors import ConfigError, LabelError
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.inference.classes import classes_of
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier

LENGTH = "most segments have 250 samples, but the model takes 2500"
RESAMPLED = "its records were resampled polyphase, but the model expects linear"


@pytest.fixture
def test(tmp_path, write_store, tiny):
    """`test(**given)`: a classifier on two records of two segments of half a second each."""
    write_store(tmp_path, "ab")
    rows = [
        Row(f"s/shard-00000.arrow#{i}:{250 * k}", 250, f"x/{name}", f"x/p{name}", k, str(i))
        for i, name in enumerate("ab")
        for k in (0, 1)
    ]
    (tmp_path / "test.tsv").write_text("".join(format_manifest(".", rows)))
    model, path = ECGClassifier(ECGEncoder(EncoderConfig(**tiny)), 2), tmp_path / "c.pt"
    torch.save({"model": model.state_dict(), "cfg": {"model": dict(tiny), "task": {}}}, path)

    def run(preset=None, **given):
        return evaluate(path, tmp_path, {"12": tuple(range(12))}, given={"preset": preset, **given})

    return run


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, set()),
        ({"preset": "ecg-fm"}, {LENGTH, RESAMPLED}),
        ({"preset": "ecg-fm", "segment_s": 0.5, "resampler": "polyphase"}, set()),
        ({"resampler": "linear"}, {RESAMPLED}),
        ({"segment_s": 5}, {LENGTH}),
    ],
)
def test_segments_that_are_not_as_the_model_expects_them_are_told_of(test, given, told, caplog):
    test(**given)
    assert {text for text in (LENGTH, RESAMPLED) if text in caplog.text} == told


def test_the_maximum_of_a_class_that_is_not_there_is_refused(test):
    with pytest.raises(LabelError, match="aggregate_max: the model has no class 'AFL'"):
        test(aggregate_max=["AFL"])


@pytest.fixture
def saved(tmp_path, write_store, tiny):
    """`saved(labels)`: a saved classifier of a, b and c, and manifests of two records with `labels`."""
    write_store(tmp_path, "pq")
    network, classes = ECGClassifier(ECGEncoder(EncoderConfig(**tiny)), 3), classes_of("abc", [0.5] * 3)
    ECGModel(network, "classification", InputFormat(), classes).save(tmp_path / "model")

    def make(labels):
        rows = [
            Row(f"s/shard-00000.arrow#{i}:0", 500, f"x/{name}", f"x/p{name}", 0, str(i))
            for i, name in enumerate("pq")
        ]
        (tmp_path / "test.tsv").write_text("".join(format_manifest(".", rows)))
        table = [f"{i},{name},,{name}\n" for i, name in enumerate(labels)]
        (tmp_path / "labels.csv").write_text("".join(["index,name,abbreviation,codes\n", *table]))
        return evaluate(tmp_path / "model", tmp_path, {"1": (0,)})

    return make


def test_a_saved_classifier_is_tested_on_those_of_its_classes_that_manifests_have(saved):
    whole, part = saved("abc"), saved("ca")
    expected = whole.arrays["probabilities"][..., [2, 0]]
    np.testing.assert_array_equal(part.arrays["probabilities"], expected)
    assert part.arrays["names"].tolist() == ["c", "a"]
    assert part.notes[-1] == "1 classes of the model are none of the manifests': left out"
    with pytest.raises(LabelError, match="the checkpoint has 3 classes"):
        saved("cd")


def test_embeddings_of_a_classifier_are_compared_where_manifests_are_of_identification(saved, tmp_path):
    saved("abc")
    for side in ("gallery", "probe"):
        (tmp_path / f"test_{side}.tsv").write_text((tmp_path / "test.tsv").read_text())
    (tmp_path / "manifest.json").write_text('{"kind": "identification"}')
    outcome = evaluate(tmp_path / "model", tmp_path, {"1": (0,)})
    assert (outcome.task, outcome.n) == ("identification", 2)
    with pytest.raises(ConfigError, match="--features class_cosine is for identification"):
        evaluate(tmp_path / "model", tmp_path, {"1": (0,)}, features="class_cosine")
