"""What `ecg_contrastive` has beside a projection: teacher, predictor, prototypes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.ecg_contrastive import ECGContrastiveConfig, ECGContrastiveModel
from fairseq_signals.models.finetuning import FinetuningConfig, build_encoder
from fairseq_signals.modules.mlp_head import WorkerBatchNorm

BYOL = {"projection": "mlp_norm", "projection_hidden": 24, "teacher": True, "predictor_hidden": 16}


@pytest.fixture
def make(tiny):
    """`make(**options)`: a tiny model, in training mode."""

    def build(**options: object) -> ECGContrastiveModel:
        torch.manual_seed(0)
        return ECGContrastiveModel(ECGContrastiveConfig(**{**tiny, "final_dim": 8, **options}))

    return build


def test_without_options_there_is_nothing_more_than_there_was(make, ecg_batch):
    plain = make(projection="mlp")
    assert {name.split(".")[0] for name in plain.state_dict()} == {"encoder", "projection"}
    out = plain(ecg_batch(2))
    assert out.predicted is out.g
    assert out.teacher is out.scores is out.local is out.teacher_x is None


def test_the_teacher_gives_what_the_student_gives_until_that_changes(make, ecg_batch):
    model = make(**{**BYOL, "projection": "mlp"}).eval()
    found = model(ecg_batch(4))
    assert torch.allclose(found.teacher, found.g, atol=1e-6)
    assert torch.allclose(found.teacher_x, found.x, atol=1e-6)
    assert not found.teacher.requires_grad
    assert torch.equal(found.predicted, model.predictor(found.g))
    with torch.no_grad():
        model.projection[2].bias.add_(1.0)
    assert torch.equal(model(ecg_batch(4)).teacher, found.teacher)


def test_it_follows_every_parameter_once_an_update(make):
    model = make(**BYOL, ema_momentum=0.9, ema_schedule="cosine", ema_updates=10)
    before = {name: p.clone() for name, p in model.teacher.named_parameters()}
    assert before.keys() == {
        name for name, _ in model.named_parameters() if name.startswith(("encoder.", "projection."))
    }
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)
    for _ in range(3):  # micro-batches of one update
        model.set_num_updates(1)
    for name, parameter in model.teacher.named_parameters():
        assert torch.allclose(parameter, before[name] + 0.1, atol=1e-5), name
    model.set_num_updates(11)  # the momentum of update 10 is 1
    for name, parameter in model.teacher.named_parameters():
        assert torch.allclose(parameter, before[name] + 0.1, atol=1e-5), name


def test_it_is_without_dropout_and_stochastic_depth(make, ecg_batch):
    model = make(**{**BYOL, "projection": "linear"}, dropout=0.3, drop_path=0.5)
    one, other = model(ecg_batch(4)), model(ecg_batch(4))
    assert torch.equal(one.teacher, other.teacher)
    assert not torch.equal(one.g, other.g)


def test_it_sees_what_is_masked_for_its_student(make, ecg_batch):
    model = make(**BYOL, apply_mask=True, mask_prob=0.5, mask_length=3).eval()
    found = model(ecg_batch(4))
    assert found.span_mask.any()
    model.cfg.mask_prob = 0.0
    assert torch.equal(model(ecg_batch(4)).teacher_x, found.teacher_x)


def test_heads_have_the_layers_that_they_say(make):
    def kinds(head: torch.nn.Module) -> list:
        return [type(layer).__name__ for layer in head]

    layer = ["Linear", "WorkerBatchNorm", "ReLU"]
    byol = make(**BYOL)
    assert kinds(byol.projection) == kinds(byol.predictor) == [*layer, "Linear"]
    assert (byol.projection[0].out_features, byol.predictor[0].out_features) == (24, 16)
    moco = make(**BYOL, projection_layers=3, projection_last_norm=True)
    assert kinds(moco.projection) == [*layer, *layer, "Linear", "WorkerBatchNorm"]
    assert kinds(moco.predictor) == [*layer, "Linear", "WorkerBatchNorm"]
    assert [module.affine for module in moco.projection if isinstance(module, WorkerBatchNorm)] == [
        True,
        True,
        False,
    ]


def test_scores_are_cosines_with_prototypes_that_can_stay_for_a_while(make, ecg_batch):
    model = make(projection="mlp", prototypes=5, freeze_prototypes_updates=3)
    for update in (0, 2, 3):
        model.set_num_updates(update)
        model.zero_grad()
        found = model(ecg_batch(4))
        expected = F.cosine_similarity(found.g[:, None], model.prototypes.weight[None], dim=2)
        assert torch.allclose(found.scores, expected, atol=1e-6)
        found.scores[:, 0].sum().backward()
        assert bool(model.prototypes.weight.grad.any()) == (update == 3)
        assert bool(model.projection[2].weight.grad.any())


def test_fine_tuning_takes_the_encoder_of_student_or_teacher(make, tiny, tmp_path):
    model = make(**BYOL, prototypes=5)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1.0)
    cfg = {"model": {"_name": "ecg_contrastive", **tiny, **BYOL, "prototypes": 5}, "task": {"data": "x"}}
    torch.save({"model": model.state_dict(), "cfg": cfg}, tmp_path / "byol.pt")
    assert load_checkpoint(tmp_path / "byol.pt").kind == "pretraining"
    options = {**tiny, "num_labels": 3, "model_path": str(tmp_path / "byol.pt")}
    for part, encoder in (("student", model.encoder), ("teacher", model.teacher.encoder)):
        found = build_encoder(FinetuningConfig(**options, pretrained_part=part)).state_dict()
        assert all(torch.equal(value, found[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predictor_hidden": 8}, r"model\.predictor_hidden is of a teacher's student, but model\.teacher"),
        ({"teacher": True, "ema_schedule": "cosine"}, r"model\.ema_schedule=cosine .* model\.ema_updates"),
        ({"teacher": True, "ema_momentum": 1.1}, r"model\.ema_momentum must be"),
        ({"prototypes": -1}, r"model\.prototypes must be"),
        ({"projection_layers": 0}, r"model\.projection_layers must be"),
    ],
)
def test_options_that_contradict_each_other_are_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)
