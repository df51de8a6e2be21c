"""What a model is, in words and tables, out of `ECGModel.describe`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairseq_signals.checkpoints.input_format import MAX
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM
from fairseq_signals.modules.encoder_config import S4, TRANSFORMER
from fairseq_signals.modules.front_end import CONV, LEAD, LEAD_PATCH, PATCH, find_front_end
from fairseq_signals.modules.patch_stem import NO_STEM

#: The options of an encoder that are told; `modules.encoder.ARCHITECTURE` has all that decide its shape.
TOLD = (
    "frontend",
    "conv_feature_layers",
    "extractor_mode",
    "patch_samples",
    "patch_norm",
    "patch_stem",
    "input_norm",
    "lead_encoding",
    "context",
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "attention",
    "s4_state",
    "s4_causal",
    "layer_norm_first",
    "layer_mix",
    "position",
    "conv_pos",
    "conv_pos_groups",
    "max_positions",
    "position_every_layer",
    "registers",
    "separators",
)
_PATCHES = (PATCH, LEAD_PATCH, LEAD)
#: Options that say nothing with these values of another; a front end of one's own may heed any.
_SILENT = (
    ("frontend", (CONV,), ("patch_samples", "patch_norm", "patch_stem")),
    ("frontend", _PATCHES, ("extractor_mode",)),
    ("context", (TRANSFORMER,), ("s4_state", "s4_causal")),
    (
        "context",
        (S4,),
        ("encoder_ffn_embed_dim", "encoder_attention_heads", "attention", "registers", "separators"),
    ),
    ("position", ("sincos", "sincos_2d", "learned", "none"), ("conv_pos", "conv_pos_groups")),
    ("position", ("conv", "sincos", "sincos_2d", "none"), ("max_positions",)),
    ("position", ("conv", "none"), ("position_every_layer",)),
)
#: What is done to the amplitude, by `normalize`.
SCALED = {
    "none": "mV times {:g}",
    "segment": "each lead of a segment to mean 0 and deviation 1",
    "record": "each lead to mean 0 and deviation 1 over the whole recording",
}


def lines(found: dict[str, Any], name: str) -> Iterator[str]:
    """The description for people; `found` is of `ECGModel.describe`."""
    yield f"{name}: {headline(found)}"
    yield ""
    yield from (f"{key.ljust(12)}  {value}" for key, value in facts(found).items())
    tables = options(found)
    yield from _section("architecture", tables.pop("architecture"))
    if found["labels"]:
        yield ""
        exclusive = ", of which exactly one holds" if found["exclusive"] else ""
        yield f"classes ({len(found['labels'])}{exclusive})"
        width = max(len(entry["label"]) for entry in found["labels"])
        for entry in found["labels"]:
            told = [
                "" if entry["name"] == entry["label"] else entry["name"],
                f"[{', '.join(entry['codes'])}]" if entry["codes"] else "",
                "" if found["exclusive"] else f"above {entry['threshold']:g}",
                "maximum over segments" if _largest_counts(found, entry["label"]) else "",
            ]
            yield f"  {entry['label'].ljust(width)}  {'  '.join(filter(None, told))}".rstrip()
    if found["targets"]:
        rows = list(zip(*found["targets"].values()))
        measured = {name: f"{mean:.4g} ± {std:.4g} {unit}".rstrip() for name, unit, mean, std in rows}
        yield from _section("targets, mean and deviation of the training records", measured)
    for title, values in tables.items():
        yield from _section(title, values)


def headline(found: dict[str, Any]) -> str:
    """What the model is, in a few words; `found` is of `ECGModel.describe`, here and below."""
    code = " (of the authors' code)" if found["provenance"].get("authors_code") else ""
    return f"{found['kind']} model{code}, {found['parameters']:,} parameters"


def facts(found: dict[str, Any]) -> dict[str, str]:
    """What the model takes and gives, in words, and which checkpoint it is of."""
    seconds = found["segment_samples"] / found["fs"]
    origin = found["provenance"].get("checkpoint") or {}
    preset = found["provenance"].get("preset")
    return {
        "input": f"{len(found['leads'])} leads ({', '.join(found['leads'])}), {found['fs']:g} Hz, mV",
        "segments": f"{found['segment_samples']} samples ({seconds:g} s)",
        "scaled": SCALED[found["normalize"]].format(found["scale"]),
        "resampled": found["resampler"],
        "remainder": {"overlap": "a last segment that overlaps", "drop": "dropped"}[found["last_segment"]],
        **({"preset": f"{preset['name']}, and not the options of its training"} if preset else {}),
        "embedding": f"{found['embedding_dim']} dimensions: {_pooled(found)}, then over segments",
        **({"checkpoint": f"{origin['name']}, SHA-256 {origin['sha256']}"} if origin.get("sha256") else {}),
    }


def _pooled(found: dict[str, Any]) -> str:
    if found.get("pooling"):
        return f"over the frames of layers {', '.join(found['pooling'])}, centred and weighed"
    return "mean over frames" + {"count": "", "skip": " that are not zero"}[found["zero_frames"]]


def options(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The options of architecture and training, and how far that was, by section; those that are set."""
    origin = found["provenance"]
    training, metric = origin.get("training") or {}, origin.get("best_metric")
    progress = origin.get("progress") or {}
    if metric:  # models saved by 0.1.0 say val_loss
        titles = {"best": f"best ({metric})", **dict.fromkeys(("valid", "val_loss"), f"{metric} here")}
        progress = {titles.get(name, name): value for name, value in progress.items()}
    tables: dict[str, dict[str, Any]] = {
        "public weights": origin.get("preset") or {},
        "fine-tuned from": origin.get(FINE_TUNED_FROM) or {},
        "architecture": _architecture(found["encoder"]),
        "progress and metrics": progress,
        **{f"training: {part}": training.get(part) or {} for part in ("task", "criterion", "optimization")},
    }
    return {title: {k: v for k, v in values.items() if v is not None} for title, values in tables.items()}


def _architecture(encoder: dict[str, Any]) -> dict[str, Any]:
    told = {key: encoder.get(key) for key in TOLD}
    for option, values, details in _SILENT:
        if told[option] in values:
            told.update(dict.fromkeys(details))
    if told["frontend"] in _PATCHES and told["patch_stem"] == NO_STEM:
        told["conv_feature_layers"] = None
    if told["lead_encoding"] == "tokens" and not find_front_end(encoder["frontend"]).per_lead:
        told["lead_encoding"] = (
            f"tokens, mixed by {encoder['lead_mixer']}, {encoder['lead_mixer_rounds']} rounds"
        )
    return told


def _largest_counts(found: dict[str, Any], label: str) -> bool:
    return found["aggregate"] == MAX or label in found["aggregate_max"]


def _section(title: str, values: dict[str, Any]) -> Iterator[str]:
    if values:
        yield ""
        yield title
        width = max(map(len, values))
        yield from (f"  {key.ljust(width)}  {value}" for key, value in values.items())
