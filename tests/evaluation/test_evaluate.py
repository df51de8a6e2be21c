"""What `evaluate` says of manifests and options that are not the model's."""

import pytest
import torch

from fairseq_signals.errors import LabelError
from fairseq_signals.evaluation.evaluate import evaluate
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
