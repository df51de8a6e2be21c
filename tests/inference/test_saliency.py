"""Saliency of a class: gradients agree with differences, leads that are not given have none."""

import numpy as np
import pytest
from scipy.special import logit

from fairseq_signals.commands import main as cli
from fairseq_signals.errors import CheckpointError, ConfigError, LabelError, SignalError
from fairseq_signals.inference.model import ECGModel
from fairseq_signals.inference.recording import Recording
from fairseq_signals.inference.saliency import find_class, per_sample, saliency
from fairseq_signals.report import figures

LABELS = ["AF", "NSR", "PVC"]


@pytest.fixture(scope="module")
def classifier(checkpoints):
    return ECGModel.load(checkpoints["classification"], labels=LABELS)


def recording(n_samples: int, leads=("I", "II")) -> Recording:
    rng = np.random.default_rng(0)
    return Recording(rng.standard_normal((len(leads), n_samples)) * 0.3, 500.0, leads, "r")


def test_the_gradient_is_the_change_of_the_logit_with_a_sample(classifier):
    given = recording(2000)
    found = saliency(classifier, given, "NSR")
    assert found.probability == pytest.approx(classifier.predict(given)["NSR"], abs=1e-6)
    step = 0.05
    for row, lead, sample in ((0, 0, 700), (1, 1, 1200)):
        ends = []
        for sign in (1, -1):
            moved = given.signal_mv.copy()
            moved[row, sample] += sign * step
            ends.append(logit(classifier.predict(Recording(moved, 500.0, given.leads, "r"))["NSR"]))
        assert abs(ends[0] - ends[1]) / (2 * step) == pytest.approx(found.gradient[lead, sample], rel=0.05)


def test_leads_that_are_not_given_have_no_gradient(classifier):
    found = saliency(classifier, recording(2500, ("I", "V5")), "AF")
    assert np.flatnonzero(found.gradient.any(axis=1)).tolist() == [0, 10]


@pytest.mark.parametrize("attention", ["rollout", "last"])
def test_attention_sums_to_one_over_each_segment(classifier, attention):
    found = saliency(classifier, recording(5000), "AF", attention)
    assert found.segment_starts_s == (0, 5)
    assert found.attention.shape == (5000,)
    np.testing.assert_allclose([found.attention[:2500].sum(), found.attention[2500:].sum()], 1)


def test_the_probability_is_the_largest_of_segments_where_a_prediction_is(checkpoints):
    model = ECGModel.load(checkpoints["classification"], labels=LABELS, aggregate_max=["AF"])
    given = recording(7600)
    for label in ("AF", "NSR"):
        expected = model.predict(given)[label]
        assert saliency(model, given, label).probability == pytest.approx(expected, abs=1e-6)
        assert (model.predict(given, aggregate="mean")[label] == expected) == (label == "NSR")


def test_a_remainder_is_what_a_segment_of_its_own_ends_with(classifier):
    given = recording(3200)
    found = saliency(classifier, given, "AF")
    assert found.segment_starts_s == (0, 5)
    last = saliency(classifier, Recording(given.signal_mv[:, 700:], 500.0, given.leads, "r"), "AF")
    np.testing.assert_array_equal(found.gradient[:, 2500:], last.gradient[:, 1800:])
    assert found.probability == pytest.approx(classifier.predict(given)["AF"], abs=1e-6)


def test_the_probability_is_put_together_as_the_model_does(checkpoints):
    model = ECGModel.load(checkpoints["classification"], labels=LABELS, aggregate_max=["AF"])
    given = recording(5000)
    for label in LABELS:
        assert saliency(model, given, label).probability == pytest.approx(
            model.predict(given)[label], abs=1e-6
        )


def test_frames_share_their_weight_among_their_samples():
    np.testing.assert_allclose(per_sample(np.array([0.4, 0.6]), 2, 5), [0.2, 0.2, 0.2, 0.2, 0.2])


def test_a_class_is_found_by_label_name_or_code(classifier, checkpoints, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,NSR,2|3\n2,x,Y,4\n"
    )
    classes = ECGModel.load(checkpoints["classification"], labels=table).classes
    assert [find_class(classes, text) for text in ("AF", "Sinus Rhythm", "3", "y")] == [0, 1, 1, 2]
    with pytest.raises(LabelError, match=r"no class 'AFib'; did you mean AF.*They are AF, NSR, Y"):
        find_class(classes, "AFib")


def test_a_recording_that_is_too_short_is_refused_as_in_predict(classifier):
    with pytest.raises(SignalError, match="record r: 10 samples at 500 Hz are less than one frame"):
        saliency(classifier, recording(10), "NSR")


def test_what_has_no_classes_has_no_saliency(checkpoints, classifier):
    with pytest.raises(CheckpointError, match=r"no classes"):
        saliency(ECGModel.load(checkpoints["pretraining"]), recording(2500), "AF")
    with pytest.raises(ConfigError, match="rollout, last"):
        saliency(classifier, recording(2500), "AF", "first")


def test_the_command_draws_it(checkpoints, write_wfdb, ecg_adu, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(figures, "DPI", 30)
    record = write_wfdb(tmp_path, "r1", ecg_adu(12, 3000))
    names = tmp_path / "labels.csv"
    names.write_text("index,name,abbreviation,codes\n0,a,AF,1\n1,b,NSR,2\n2,c,PVC,4\n")
    out = tmp_path / "s.png"
    call = ["plot", "saliency", str(checkpoints["classification"]), str(record), "--labels", str(names)]
    assert cli.main([*call, "--label", "NSR", "--leads", "2", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert cli.main([*call, "--label", "ABC", "--out", str(out)]) == 1
    assert "there is no class 'ABC'" in capsys.readouterr().err
