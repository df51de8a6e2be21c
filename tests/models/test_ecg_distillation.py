"""A student with its teacher: options that make none, half precision, other lead encodings."""

from __future__ import annotations

import pytest
import torch

from fairseq_signals import ECGModel
from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.ecg_distillation import ECGDistillationConfig, ECGDistillationModel
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder

HEADS = {"distill_dim": 8, "distill_hidden": 16, "prototypes": 7}
ROWS = torch.arange(6) % 3 == 0


def model_of(options: dict) -> ECGDistillationModel:
    torch.manual_seed(0)
    return ECGDistillationModel(ECGDistillationConfig(**{**HEADS, **options}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distill_level": "none"}, r"model\.distill_level must be segment or frames, but is none"),
        ({"distill_level": "leads"}, r"model\.distill_level must be one of none, segment, frames"),
        ({"distill_loss": "mse"}, r"model\.distill_loss must be one of cosine, dino"),
        ({"prototypes": 1}, r"model\.prototypes must be an integer from 2"),
        ({"ema_momentum": 1.5}, r"model\.ema_momentum must be a number from 0 to 1"),
        ({"ema_schedule": "cosine"}, r"model\.ema_schedule=cosine .* model\.ema_updates, which is 0"),
    ],
)
def test_options_that_make_no_teacher_are_refused_by_name(options, message, tiny):
    with pytest.raises(ConfigError, match=message):
        model_of({**tiny, **options})


def test_a_batch_without_a_teachers_rows_is_refused(tiny, ecg_batch):
    with pytest.raises(ConfigError, match=r"set task\.student_views"):
        model_of(tiny)(ecg_batch(4))


@pytest.mark.parametrize("lead_encoding", ["zeros", "flags", "tokens"])
def test_students_with_few_leads_learn_whatever_encodes_them(lead_encoding, tiny, ecg_batch):
    model = model_of({**tiny, "lead_encoding": lead_encoding}).train()
    present = torch.ones(6, 12, dtype=torch.bool)
    present[~ROWS, 2:] = False
    source = ecg_batch(6).masked_fill(~present[..., None], 0.0)
    out = model(source, lead_present=present, is_teacher=ROWS)
    assert out.student.shape == (4, 8)
    assert out.teacher.shape == (2, 8)
    assert not out.teacher.requires_grad
    out.student.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.requires_grad)


def test_the_momentum_of_a_schedule_is_taken_from_the_options(tiny):
    options = {"ema_momentum": 0.5, "ema_schedule": "linear", "ema_updates": 2}
    model = model_of({**tiny, **options})
    bias = model.encoder.layer_norm.bias
    for update, expected in ((1, 0.5), (1, 0.5), (2, 0.625), (3, 0.625)):  # m = 0.5, 0.75, 1
        with torch.no_grad():
            bias.fill_(1.0)
        model.set_num_updates(update)
        assert torch.allclose(model.teacher.encoder.layer_norm.bias, torch.tensor(expected))


def test_the_teacher_is_exact_beside_a_student_in_half_precision(tiny, ecg_batch):
    model = model_of(tiny).train()
    exact = model.teacher("encoder", ecg_batch(2)).x
    model.bfloat16()
    assert torch.equal(model.teacher("encoder", ecg_batch(2)).x, exact)
    out = model(ecg_batch(6).bfloat16(), is_teacher=ROWS)
    assert out.student.dtype == torch.bfloat16
    assert out.teacher.dtype == torch.float32
    out.student.float().sum().backward()


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """A checkpoint in which teacher and student differ, as fairseq writes it, and its model."""
    model = model_of(tiny)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1.0)
    cfg = {"model": {"_name": "ecg_distillation", **tiny, **HEADS}, "task": {"data": "x"}}
    torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "distilled.pt")
    return tmp_path / "distilled.pt", model


@pytest.mark.parametrize("part", ["student", "teacher"])
def test_fine_tuning_takes_the_encoder_of_either(part, checkpoint, tiny):
    path, model = checkpoint
    options = {**tiny, "num_labels": 3, "model_path": str(path)}
    found = build_encoder(FinetuningConfig(**options, pretrained_part=part)).state_dict()
    encoder = model.encoder if part == "student" else model.teacher.encoder
    assert all(torch.equal(value, found[key]) for key, value in encoder.state_dict().items())


def test_student_and_teacher_begin_with_a_pretrained_encoder(tiny, checkpoint):
    path, pretrained = checkpoint
    model = model_of({**tiny, "model_path": str(path)})
    for encoder in (model.encoder, model.teacher.encoder):
        found = encoder.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in pretrained.encoder.state_dict().items())
    with pytest.raises(CheckpointError, match="another architecture"):
        model_of({**tiny, "model_path": str(path), "encoder_embed_dim": 32})


def test_a_part_that_is_not_there_is_refused(tiny, checkpoint, tmp_path):
    path, _ = checkpoint
    options = {**tiny, "num_labels": 3, "model_path": str(path)}
    with pytest.raises(
        ConfigError, match=r"model\.pretrained_part must be student or teacher, but is 'both'"
    ):
        build_encoder(FinetuningConfig(**options, pretrained_part="both"))
    ECGModel.load(path).save(tmp_path / "saved")
    with pytest.raises(CheckpointError, match=r"saved: has no encoder of a teacher"):
        load_checkpoint(tmp_path / "saved", teacher=True)
