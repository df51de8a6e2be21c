"""The teacher that follows its student: closed forms, precision, when it steps."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from fairseq_signals.modules.ema import EMATeacher, momentum_at
from fairseq_signals.modules.mlp_head import MLPHead


class Student(nn.Module):
    """A part with weights, biases, a norm and a free parameter, and one that no teacher has."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Dropout(0.5))
        self.encoder.mask_emb = nn.Parameter(torch.randn(4))
        self.head = MLPHead([4, 6, 2], norm=True)
        self.predictor = nn.Linear(2, 2)


def teacher_of(student: nn.Module, momentum: float = 0.996) -> EMATeacher:
    return EMATeacher(student, ("encoder", "head"), lambda update: momentum)


@pytest.mark.parametrize(
    ("schedule", "update", "expected"),
    [
        ("constant", 7, 0.996),
        *(("linear", *known) for known in ((0, 0.996), (5, 0.998), (10, 1.0), (99, 1.0))),
        *(("cosine", *known) for known in ((0, 0.996), (5, 0.998), (10, 1.0), (99, 1.0))),
    ],
)
def test_the_momentum_follows_its_schedule_to_one(schedule, update, expected):
    assert momentum_at(update, 0.996, schedule, total=10) == pytest.approx(expected, abs=1e-12)


def test_a_teacher_at_zero_comes_towards_a_student_at_one_by_its_closed_form():
    student = Student()
    teacher = teacher_of(student)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        for parameter in student.parameters():
            parameter.fill_(1.0)
    for update in (1, 2, 3):
        assert teacher.follow(student, update)
    for name, parameter in teacher.named_parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, 1 - 0.996**3), rtol=1e-5), name
        assert parameter.flatten()[0].item() == pytest.approx(0.011952, abs=1e-6)


def test_each_step_has_the_momentum_of_its_update():
    student, momenta = Student(), (0.9, 0.95, 1.0)
    teacher = EMATeacher(student, ("encoder", "head"), lambda update: momenta[update])
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        for parameter in student.parameters():
            parameter.fill_(1.0)
    for update in (1, 2, 3):
        teacher.follow(student, update)
    assert all(torch.allclose(p, torch.full_like(p, 0.145)) for p in teacher.parameters())


def test_every_parameter_of_the_students_parts_is_one_of_the_teachers_without_gradient():
    student = Student()
    teacher = teacher_of(student)
    names = {name for name, _ in student.named_parameters() if not name.startswith("predictor.")}
    assert names == {name for name, _ in teacher.named_parameters()}
    x = torch.randn(5, 3)
    student.train()
    teacher.train()
    target = teacher("head", teacher("encoder", x))
    assert not target.requires_grad
    (student.head(student.encoder(x)) - target).pow(2).sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(p.grad is not None for n, p in student.named_parameters() if n in names - {"encoder.mask_emb"})


def test_it_is_in_evaluation_mode_but_for_batch_normalisation():
    teacher = teacher_of(Student())
    teacher.train()
    assert {type(m).__name__ for m in teacher.modules() if m.training} == {"WorkerBatchNorm"}
    teacher.eval()
    assert not any(module.training for module in teacher.modules())


def test_a_momentum_of_zero_is_the_student_itself_but_for_the_statistics_of_what_each_was_given():
    student = Student().train()
    teacher = teacher_of(student, momentum=0.0).train()
    student.head(torch.randn(5, 4))
    teacher("head", torch.randn(5, 4) + 7)
    given = teacher.head[1].running_mean.clone()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter))
    teacher.follow(student, 1)
    own = dict(student.named_parameters())
    assert all(torch.equal(value, own[name]) for name, value in teacher.named_parameters())
    assert torch.equal(teacher.head[1].running_mean, given)
    assert not torch.equal(student.head[1].running_mean, given)


def test_it_steps_once_an_update_however_often_it_is_told_and_after_a_restart_too():
    student = Student()
    teacher = teacher_of(student, momentum=0.5)
    stepped = [teacher.follow(student, update) for update in (0, 0, 1, 1, 1, 2, 3, 3)]
    assert stepped == [False, False, True, False, False, True, True, False]
    again = teacher_of(Student())
    again.load_state_dict(teacher.state_dict())
    assert int(again.last_update) == 3
    assert [again.follow(student, update) for update in (3, 3, 4)] == [False, False, True]
    # another run that begins with these parameters counts from 0
    assert [again.follow(student, update) for update in (0, 0, 1, 1)] == [False, False, True, False]


def test_momentum_is_that_of_the_update_it_follows():
    asked = []
    teacher = EMATeacher(Student(), ("head",), lambda update: asked.append(update) or 0.5)
    for update in (0, 1, 1, 2):
        teacher.follow(Student(), update)
    assert asked == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_stays_in_float32_where_the_student_does_not(dtype):
    student = Student()
    teacher = teacher_of(student)
    exact = {key: value.clone() for key, value in teacher.state_dict().items()}
    student.to(dtype)
    teacher.to(dtype)
    assert all(torch.equal(value, exact[key]) for key, value in teacher.state_dict().items())
    with torch.no_grad():
        student.encoder[0].weight.fill_(1.0)
        teacher.encoder[0].weight.fill_(1.25)
    teacher.follow(student, 1)  # a step of 0.001, which bfloat16 would not see
    assert torch.allclose(teacher.encoder[0].weight, torch.tensor(1.249))
    assert teacher_of(student).encoder[0].weight.dtype == torch.float32


def test_a_part_that_is_compiled_or_checkpointed_is_copied_with_its_own_parameters():
    student = Student()
    eager = student.encoder.forward
    student.encoder.forward = lambda *args: eager(*args)  # as `compile_in_place` does
    layer = student.encoder[0]
    layer.forward = functools.partial(nn.Linear.forward, layer)
    teacher = teacher_of(student)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert teacher("encoder", torch.ones(2, 3)).abs().sum() > 0
