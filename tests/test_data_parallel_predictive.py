"""Masked, predictive and joint-embedding objectives on two data-parallel processes against the joint batch.

Masks and negatives are given, as random ones would differ. Loss and gradients agree within 3e-5 of the
largest entry of each gradient, in float32; running statistics and prototypes within 1e-6.
"""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from torch import Tensor

import fairseq_signals  # noqa: F401
from tests.sizes import TINY

TOLERANCE = 3e-5
ITEMS, FIRST, N_SAMPLES, FRAMES = 5, 12, 320, 20  # of four rows each; the first worker has three items
PATIENTS = (4, 1, 4, 0, 1)
SMALL = {**TINY, "encoder_layers": 1, "dropout": 0.0, "attention_dropout": 0.0, "layer_norm_first": True}
TOKENS = {**SMALL, "patch_samples": 16, "frontend": "patch", "position": "sincos"}
DECODER = {"decoder_dim": 16, "decoder_layers": 1, "decoder_heads": 2}
PREDICTOR = {"predictor_dim": 16, "predictor_layers": 1, "predictor_heads": 2, "ema_momentum": 0.5}
S4 = {**SMALL, "context": "s4", "s4_state": 4, "position": "none"}
VIEWS = {**SMALL, "projection": "mlp_norm", "projection_hidden": 16, "final_dim": 8}
TEACHER = {**VIEWS, "teacher": True, "ema_momentum": 0.5}
#: By name: the model, the criterion, and what is given of masks, negatives and views.
SCENARIOS = {
    "mae": (("ecg_mae", {**TOKENS, **DECODER}), ("masked_reconstruction", {}), "keep"),
    "mae of leads": (
        ("ecg_mae", {**TOKENS, **DECODER, "frontend": "lead_patch", "lead_encoding": "tokens",
                     "mask_unit": "token_of_lead", "decoder": "per_lead"}),
        ("masked_reconstruction", {"loss": "l1"}),
        "keep_of_leads",
    ),
    "mae of all leads": (
        ("ecg_mae", {**TOKENS, **DECODER, "frontend": "conv", "lead_encoding": "flags", "projection": "mlp",
                     "final_dim": 8}),
        ("masked_reconstruction", {"hidden_weight": 0.5, "cmsc_weight": 0.1, "detach_norm": False}),
        "students",
    ),
    "jepa": (("ecg_jepa", {**TOKENS, **PREDICTOR}), ("latent_prediction", {}), "keep"),
    "s4_jepa": (
        ("ecg_jepa", {**S4, **PREDICTOR, "frontend": "conv", "apply_mask": True, "mask_unit": "targets"}),
        ("latent_prediction", {"loss": "smooth_l1"}),
        "keep",
    ),
    "cpc": (("ecg_cpc", {**S4, "step": 5}), ("cpc", {}), "negatives"),
    "hubert": (
        ("ecg_hubert", {**SMALL, "num_clusters": 7, "final_dim": 8, "cluster_momentum": 0.5,
                        "ema_momentum": 0.5}),
        ("masked_cluster_prediction", {"masked_weight": 0.75}),
        "spans",
    ),
    "vicreg": (("ecg_contrastive", VIEWS), ("vicreg", {}), ""),
    "byol": (("ecg_contrastive", {**TEACHER, "predictor_hidden": 16}), ("byol", {}), ""),
    "moco_v3": (("ecg_contrastive", {**TEACHER, "predictor_hidden": 16}), ("moco_v3", {}), ""),
    "swav": (("ecg_contrastive", {**VIEWS, "prototypes": 7}), ("swav", {}), ""),
    "simdino": (("ecg_contrastive", {**TEACHER, "apply_mask": True}), ("simdino", {}), "spans and crops"),
}  # fmt: skip
SEPARABLE = ("mae", "mae of leads", "jepa", "s4_jepa", "cpc")
each = pytest.mark.parametrize("name", list(SCENARIOS))


def model_of(name: str):
    (kind, options), _, _ = SCENARIOS[name]
    torch.manual_seed(0)
    model = MODEL_REGISTRY[kind](MODEL_DATACLASS_REGISTRY[kind](**options))
    if getattr(model, "teacher", None) is not None:  # as after some updates: not what the student is
        with torch.no_grad():
            for parameter in model.teacher.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.train()


def criterion_of(name: str):
    _, (kind, options), _ = SCENARIOS[name]
    return CRITERION_REGISTRY[kind](CRITERION_DATACLASS_REGISTRY[kind](**options), None)


def kept(b: int, n: int, k: int, generator: torch.Generator) -> Tensor:
    """k of the first n indices, sorted, (b, k)."""
    return torch.rand(b, n, generator=generator).argsort(dim=1)[:, :k].sort(dim=1).values


def batch_of(name: str, rows: slice) -> dict:
    """A batch of these rows: two views each of two segments of five items, some of them padded."""
    given, generator = SCENARIOS[name][2], torch.Generator().manual_seed(5)
    b = 4 * ITEMS
    row = torch.arange(b)
    padding_mask = torch.zeros(b, N_SAMPLES, dtype=torch.bool)
    padding_mask[row // 2 % 3 == 1, 240:] = True  # leaves 15 frames
    inputs = {"source": torch.randn(b, 12, N_SAMPLES, generator=generator), "padding_mask": padding_mask}
    if given == "keep":
        inputs["keep"] = kept(b, 12, 7, generator)
    elif given == "keep_of_leads":
        inputs["keep"] = (kept(b, 12, 7, generator)[:, None] + FRAMES * torch.arange(12)[:, None]).flatten(1)
    elif given == "negatives":
        inputs["negatives"] = torch.randint(15, (b, 15, 6), generator=generator)
    elif given.startswith("spans"):
        inputs["spans"] = torch.rand(b, FRAMES, generator=generator) < torch.linspace(0.2, 0.8, b)[:, None]
        inputs["spans"] &= ~padding_mask[:, ::16]
    if given.endswith("crops"):  # two short views of each segment
        inputs["local_source"] = torch.randn(b, 12, N_SAMPLES // 2, generator=generator)
    if given == "students":
        inputs["is_teacher"] = row % 2 == 0
        inputs["lead_present"] = inputs["is_teacher"][:, None] | (
            torch.rand(b, 12, generator=generator) < 0.5
        )
        inputs["source"][1::2] = inputs["source"][::2] * inputs["lead_present"][1::2, :, None]
        inputs["keep"] = kept(b, 12, 7, generator)
    patients = torch.tensor(PATIENTS).repeat_interleave(4)
    batch = {"id": row // 4, "patient_id": patients, "segment": row // 2 % 2, "segment_row": row // 2}
    batch["view"] = row % 2
    inputs, batch = ({key: value[rows] for key, value in part.items()} for part in (inputs, batch))
    if given == "students":
        inputs["keep"] = inputs["keep"][1::2]
    return {**batch, "net_input": inputs}


PARTS = (slice(0, FIRST), slice(FIRST, None))


@pytest.fixture(scope="module")
def workers(forked, repo_dir, tmp_path_factory):
    """What two workers computed, in every scenario."""
    scenarios = {}
    for name, (model, criterion, _) in SCENARIOS.items():
        common = {"model": model, "criterion": criterion, "state": model_of(name).state_dict(), "train": True}
        parts = [batch_of(name, rows) for rows in PARTS]
        scenarios[f"{name} joint"] = {**common, "batches": parts, "ignored": []}
        # fairseq repeats a batch on workers that have none left
        scenarios[f"{name} repeated"] = {**common, "batches": [parts[0], parts[0]], "ignored": [1]}
    folder = tmp_path_factory.mktemp("data_parallel")
    torch.save(scenarios, folder / "scenarios.pt")
    given = {"MEETING": str(folder / "meeting"), "SCENARIOS": str(folder / "scenarios.pt")}
    script = repo_dir / "tests" / "data_parallel_worker.py"
    processes = [forked(script, RANK=rank, RESULTS=str(folder / f"{rank}.pt"), **given) for rank in range(2)]
    for process in processes:
        process.join(timeout=300)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def one_process(name: str, *batches: dict) -> dict:
    """The sum of what a single process computes of each batch."""
    model, criterion = model_of(name), criterion_of(name)
    loss = n = 0
    for batch in batches:
        one, size, _ = criterion(model, batch)
        one.backward()
        loss, n = loss + float(one.detach()), n + int(size)
    grads = {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    buffers = {f"own.{n}": buffer for n, buffer in model.named_buffers()}
    return {"loss": loss, "sample_size": n, **grads, **buffers}


def check(found: dict, expected: dict) -> None:
    """Loss, sample size, every gradient and what is kept of a batch agree."""
    assert found["sample_size"] == expected["sample_size"]
    assert float(found["loss"]) == pytest.approx(expected["loss"], rel=TOLERANCE)
    grads, buffers = ([key for key in expected if key.startswith(kind)] for kind in ("grad.", "own."))
    largest = max(float(expected[key].abs().max()) for key in grads)
    assert largest > 0.01
    for key in grads:
        # what a norm takes off again has no gradient but rounding
        scale = max(float(expected[key].abs().max()), 0.1 * largest)
        assert float((found[key] - expected[key]).abs().max()) <= TOLERANCE * scale, key
    for key in buffers:
        if key != "own.first_std":  # the mean over workers of their deviations
            assert torch.allclose(found[key], expected[key], rtol=1e-5, atol=1e-6), key


@each
@pytest.mark.parametrize(("scenario", "rows"), [("joint", slice(None)), ("repeated", PARTS[0])])
def test_two_workers_have_loss_gradients_and_statistics_of_the_joint_batch(name, scenario, rows, workers):
    expected = one_process(name, batch_of(name, rows))
    for worker in workers:
        check(worker[f"{name} {scenario}"], expected)


def test_two_workers_know_of_one_collapse(workers):
    first, second = (worker["jepa joint"]["own.first_std"] for worker in workers)
    assert first == second  # both stop, or neither
    joint = one_process("jepa", batch_of("jepa", slice(None)))["own.first_std"]
    assert float(first) == pytest.approx(float(joint), rel=0.05)


@pytest.mark.parametrize("name", SEPARABLE)
def test_micro_batches_have_the_loss_and_the_gradients_of_the_joint_batch(name):
    parts = [batch_of(name, rows) for rows in PARTS]
    check(one_process(name, *parts), one_process(name, batch_of(name, slice(None))))


@pytest.mark.parametrize("name", ["jepa", "s4_jepa", "hubert", "byol", "simdino"])
def test_a_teacher_steps_once_an_update_whatever_its_micro_batches(name):
    model = model_of(name)
    parts = dict(model.teacher.named_children())
    before = {key: value.clone() for key, value in model.teacher.named_parameters()}
    for update in (0, 0, 1, 1, 1):  # fairseq says it before every micro-batch
        model.set_num_updates(update)
    for part, module in parts.items():
        for key, value in module.named_parameters():
            student = getattr(model, part).get_parameter(key)
            assert torch.allclose(value, (before[f"{part}.{key}"] + student) / 2, atol=1e-6), key
    assert int(model.teacher.last_update) == 1
