"""Masked, predictive and joint-embedding objectives on tiny models: batches and masks are given."""

from __future__ import annotations

import fairseq  # noqa: F401  # first: it registers our components
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from torch import Tensor

import fairseq_signals  # noqa: F401
from tests.sizes import TINY

ITEMS, FIRST, N_SAMPLES, FRAMES = 5, 12, 320, 20  # of four rows each; the first worker has three items
PATIENTS = (4, 1, 4, 0, 1)
TEXT = torch.tensor([[0, 7, 9, 2], [0, 8, 2, 1], [0, 5, 6, 2], [0, 9, 7, 2]])
SMALL = {**TINY, "encoder_layers": 1, "dropout": 0.0, "attention_dropout": 0.0, "layer_norm_first": True}
TOKENS = {**SMALL, "patch_samples": 16, "frontend": "patch", "position": "sincos"}
DECODER = {"decoder_dim": 16, "decoder_layers": 1, "decoder_heads": 2}
PREDICTOR = {"predictor_dim": 16, "predictor_layers": 1, "predictor_heads": 2, "ema_momentum": 0.5}
S4 = {**SMALL, "context": "s4", "s4_state": 4, "position": "none"}
VIEWS = {**SMALL, "projection": "mlp_norm", "projection_hidden": 16, "final_dim": 8}
TEACHER = {**VIEWS, "teacher": True, "ema_momentum": 0.5}
TEXTS = {**SMALL, "vocab_size": 12, "joint_dim": 8}
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
    "clip": (("ecg_text_clip", TEXTS), ("clip", {"uni_modal_weight": 0.5}), "texts"),
    "fusion": (
        ("ecg_text_fusion", {**TOKENS, **DECODER, **{k: TEXTS[k] for k in ("vocab_size", "joint_dim")}}),
        ("ecg_text_masked", {}),
        "changed texts",
    ),
    "clip by sigmoids": (
        ("ecg_text_clip", {**TEXTS, "initial_scale": 10.0}), ("clip", {"contrast": "sigmoid"}), "texts"
    ),
}  # fmt: skip


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
    if given == "changed texts":
        inputs["keep"] = kept(b, 12, 7, generator)
    if given.endswith("texts"):  # the second and the fourth item have one
        inputs["text"] = TEXT[[0, 1, 2, 1, 3]].repeat_interleave(4, dim=0)
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
    batch["label"] = torch.tensor((0, 1, 2, 1, 3)).repeat_interleave(4)
    batch["text_id"] = batch["label"].roll(6)
    batch["asked"] = torch.where(torch.rand(b, 4, generator=generator) < row[:, None] / b, 7, 1)
    inputs, batch = ({key: value[rows] for key, value in part.items()} for part in (inputs, batch))
    if given == "students":
        inputs["keep"] = inputs["keep"][1::2]
    return {**batch, "net_input": inputs}


PARTS = (slice(0, FIRST), slice(FIRST, None))
