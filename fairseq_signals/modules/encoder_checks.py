"""What an encoder's options must be together, and how large what they describe is."""

from typing import Any, List

from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.conv_features import parse_conv_layers
from fairseq_signals.modules.encoder_config import CROSS_PATTERN, ENCODER_RULES, TRANSFORMER
from fairseq_signals.modules.front_end import LEAD, LEAD_PATCH, PATCH, find_front_end
from fairseq_signals.modules.input_norm import FIXED, JOINT
from fairseq_signals.modules.patch_stem import NO_STEM
from fairseq_signals.safety.rules import broken


def check_encoder_config(cfg: Any) -> None:
    """Raise ConfigError for values that cannot make an encoder; the message names the key."""
    parse_conv_layers(cfg.conv_feature_layers)  # says more of what is wrong with it than its rule
    values = {name: getattr(cfg, name) for name in ENCODER_RULES}
    values["input_deviations"] = list(values["input_deviations"])  # a list of omegaconf is none
    problems = broken(values, ENCODER_RULES, "model.")
    if not problems:
        problems = [*_widths(cfg), *_leads(cfg), *_positions(cfg), *_context(cfg)]
    if problems:
        raise ConfigError("; ".join(problems))


def _widths(cfg: Any) -> List[str]:
    names = ["encoder_attention_heads"] if cfg.context == TRANSFORMER else []
    names += ["conv_pos_groups"] if cfg.position == "conv" else []
    return [
        f"model.encoder_embed_dim ({cfg.encoder_embed_dim}) must be a multiple of {name} "
        f"({getattr(cfg, name)})"
        for name in names
        if cfg.encoder_embed_dim % getattr(cfg, name)
    ]


def _leads(cfg: Any) -> List[str]:
    per_lead, problems = find_front_end(cfg.frontend).per_lead, []
    if per_lead and cfg.lead_encoding != "tokens":
        problems.append(
            f"model.frontend={cfg.frontend} makes tokens of each lead, so that model.lead_encoding must be "
            f"tokens, but is {cfg.lead_encoding} instead"
        )
    if cfg.frontend == "conv" and cfg.patch_stem != NO_STEM:
        problems.append("model.patch_stem is in patches: set it to none, or model.frontend=patch")
    if cfg.attention == CROSS_PATTERN and not per_lead:
        problems.append(
            "model.attention=cross_pattern needs tokens of each lead: set model.frontend=lead_patch"
        )
    if cfg.separators and not per_lead:
        problems.append("model.separators stand beside the tokens of a lead: set model.frontend=lead_patch")
    if per_lead and cfg.encoder_chunk:
        problems.append(f"model.encoder_chunk must be 0 with model.frontend={cfg.frontend}")
    if cfg.input_norm == FIXED and len(cfg.input_deviations) != cfg.in_d:
        problems.append(
            f"model.input_deviations must be one a lead, {cfg.in_d}, but are {len(cfg.input_deviations)} "
            "instead"
        )
    return problems


def _positions(cfg: Any) -> List[str]:
    per_lead, dim = find_front_end(cfg.frontend).per_lead, cfg.encoder_embed_dim
    if cfg.position == "conv" and per_lead:
        return [
            f"model.position=conv is of frames in time, but those of model.frontend={cfg.frontend} are of "
            "leads too: set another, such as sincos"
        ]
    if cfg.position_every_layer and cfg.position in ("conv", "none"):
        return [
            f"model.position_every_layer adds vectors, but model.position={cfg.position} has none: set "
            "another, such as sincos"
        ]
    if cfg.position == "sincos_2d" and not per_lead:
        return ["model.position=sincos_2d needs tokens of each lead: set model.frontend=lead_patch"]
    parts = {"sincos": 2, "sincos_2d": 4}.get(cfg.position, 1)
    if dim % parts:
        return [
            f"model.encoder_embed_dim ({dim}) must be a multiple of {parts} with "
            f"model.position={cfg.position}"
        ]
    return []


def _context(cfg: Any) -> List[str]:
    if cfg.context == TRANSFORMER:
        return []
    problems = []
    if cfg.registers or cfg.separators:
        problems.append(
            "model.registers and model.separators are for a context without order: set them to 0, false"
        )
    if find_front_end(cfg.frontend).per_lead:
        problems.append(
            f"model.context={cfg.context} is over time, but model.frontend={cfg.frontend} over leads too"
        )
    if cfg.drop_path:
        problems.append(
            f"model.drop_path is of Transformer layers, but model.context={cfg.context}: set it to 0"
        )
    if cfg.s4_causal and cfg.position == "conv":
        problems.append("model.s4_causal=true, but model.position=conv looks ahead: set it to none")
    return problems


def tells_leads(cfg: Any) -> bool:
    """Whether an encoder tells absent leads from flat ones: zeros do not say all of `lead_present`."""
    return cfg.lead_encoding != "zeros" or cfg.input_norm == JOINT


def length_problem(encoder: Any, n_samples: int) -> str:
    """Why an encoder takes no segments of so many samples, where they make a frame; empty where it does."""
    cfg, n_frames = encoder.cfg, encoder.n_frames(n_samples)
    if cfg.frontend == LEAD and n_samples != cfg.patch_samples:
        return f"model.patch_samples is {cfg.patch_samples}, but a lead of a segment has {n_samples} samples"
    if encoder.training and cfg.frontend in (PATCH, LEAD_PATCH) and n_samples % cfg.patch_samples:
        return f"model.patch_samples is {cfg.patch_samples}, which does not divide segments of {n_samples}"
    if cfg.position == "learned" and n_frames > cfg.max_positions:
        return f"model.max_positions is {cfg.max_positions}, but segments have {n_frames} frames"
    return ""


def dropping_problems(cfg: Any) -> List[str]:
    """Why an encoder cannot leave out tokens of a segment; empty where it can."""
    if cfg.position != "conv" and cfg.context == TRANSFORMER:
        return []
    return [
        "model.position=conv and model.context=s4 need all frames of a segment, but some are left out: set "
        "others, such as sincos and transformer"
    ]


def count_weights(cfg: Any) -> int:
    """How many numbers the weight matrices of an encoder hold, without making it."""
    dim, front_end = cfg.encoder_embed_dim, find_front_end(cfg.frontend)
    tokens = cfg.lead_encoding == "tokens"
    total = front_end.weights(cfg, 1 if tokens else cfg.in_d)
    if tokens and not front_end.per_lead:
        width = front_end.width(cfg)
        total += 2 * cfg.lead_mixer_rounds * width**2  # of messages; the others have two and four times
    if cfg.position == "conv":
        total += dim * (dim // cfg.conv_pos_groups) * cfg.conv_pos
    if cfg.position == "learned":
        total += dim * cfg.max_positions
    of_layer = 4 * dim**2 + 2 * dim * cfg.encoder_ffn_embed_dim if cfg.context == TRANSFORMER else 2 * dim**2
    return total + cfg.encoder_layers * of_layer
