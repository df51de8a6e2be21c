"""Models as folders to share: what their configuration and their card say."""

from __future__ import annotations

from typing import Any

from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM
from fairseq_signals.checkpoints.presets import PRESETS
from fairseq_signals.checkpoints.saved_model import FORMAT, version_of
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.description import SCALED
from fairseq_signals.modules.encoder_config import S4, TRANSFORMER
from fairseq_signals.safety.text import visible

#: How recordings become the network's input, for whoever uses the weights without this package.
PREPROCESSING = {
    "units": "millivolt",
    "resampling": "`resampler` polyphase: with an anti-aliasing filter, Kaiser-windowed sinc, 60 dB; linear: "
    "int(T * fs / fs_of_recording) samples at linspace(0, T - 1)",
    "leads": "in the order of `leads`, found by name; absent leads are zeros",
    "segments": "adjacent, `segment_samples` each; `last_segment` overlap: of a remainder, a last one that "
    "ends with the recording; drop: none; a shorter recording is one segment of its own length, not padded",
    "normalize": "each lead has mean 0 and standard deviation 1 (divisor n) over a segment, or over the "
    "whole record at `fs`; a constant lead becomes zeros; none: millivolt times `scale`",
}
AGGREGATION = {
    "frames": "mean over frames; `zero_frames` skip: without those that are zero in all channels",
    "pooling": "in place of that mean, where there is `pooling`: its statistics (mean, standard deviation "
    "with divisor n, or entropy of the power spectrum without its constant, from 0 to 1) over the frames of "
    "a layer (0: what the first one takes), one after the other, minus statistics.mean, divided "
    "by statistics.deviation",
    "embedding": "mean over the segments, weighted by the samples that are in no earlier segment; of an "
    "identification model, of length 1 before and after",
    "probability": "`aggregate` (the same mean, or the maximum) of the segments' probabilities: sigmoid of "
    "the logits, or if `exclusive` their softmax; of the labels in `aggregate_max` the maximum",
    "value": "the same mean of the logits, times `targets` stds plus means",
}
_TASKS = {
    "pretraining": "It was pre-trained without labels: its embeddings are for fine-tuning, or for a "
    "classifier of your own.",
    "regression": "It gives the numbers below, each in its unit.",
    "classification": "It gives the probability of each of the classes below; {how_many}.",
    "identification": "Its embeddings, of length 1, tell people apart: recordings of one person have a "
    "larger cosine similarity than recordings of different people.",
}
#: Of a model of ECGs and texts, in place of that of its kind.
_OF_TEXTS = (
    "It was pre-trained with reports, and compares ECGs with texts (`fairseq-signals zeroshot`, `retrieve`); "
    "its embeddings are for fine-tuning, or for a classifier of your own."
)
_ENCODERS = {TRANSFORMER: "A Transformer encoder", S4: "An encoder of state spaces (S4)"}
_HOW_MANY = {False: "several can be present", True: "exactly one holds, and their probabilities sum to 1"}


def config_of(model: LoadedModel) -> dict[str, Any]:
    """What `config.json` says of a model."""
    told = model.describe()
    return {
        "format": FORMAT,
        "format_version": version_of(told),
        **told,
        "preprocessing": PREPROCESSING,
        "aggregation": AGGREGATION,
    }


def model_card(config: dict[str, Any]) -> str:
    """The text of `README.md`, with the header that model hubs read."""
    leads = "the 12 standard leads" if tuple(config["leads"]) == LEADS else ", ".join(config["leads"])
    seconds = config["segment_samples"] / config["fs"]
    encoder, provenance = config["encoder"], config["provenance"]
    lines = [
        "---",
        "library_name: fairseq-signals",
        *_hub_facts(provenance),
        "tags:",
        *(f"- {tag}" for tag in ("ecg", "electrocardiogram", config["kind"])),
        "---",
        "",
        f"# ECG model ({config['kind']})",
        "",
        f"{_ENCODERS[encoder['context']]} of electrocardiograms with "
        f"{config['parameters'] / 1e6:.1f} million parameters ({encoder['encoder_layers']} layers, width "
        f"{encoder['encoder_embed_dim']}). "
        + (_OF_TEXTS if config.get("text") else _TASKS[config["kind"]]).format(
            how_many=_HOW_MANY[config["exclusive"]]
        ),
        "",
        "It is no medical device, and nothing here says how well it does on the patients of another "
        "hospital.",
        "",
        "## Input",
        "",
        f"- {leads}, in millivolt; leads that a recording lacks are zeros",
        f"- {config['fs']:g} Hz, segments of {seconds:g} s, resampler {config['resampler']}"
        + f"; {SCALED[config['normalize']].format(config['scale'])}",
        "",
        "## Use",
        "",
        "```python",
        "from fairseq_signals import ECGModel",
        "",
        'model = ECGModel.load("path/to/this/folder")',
        *_USES[config["kind"]],
        "```",
        "",
        "Recordings of any sampling rate, length and lead order are accepted: arrays in millivolt, WFDB "
        "records, and the other formats that the package reads.",
        "",
        *(_label_table(config["labels"]) if config["labels"] else []),
        *(_target_table(config["targets"]) if config["targets"] else []),
        "## Where it comes from",
        "",
        *_origin(provenance),
        "",
        "Data, licence of what was trained on it, results: to be filled in by whoever publishes this model.",
    ]
    return "\n".join(lines) + "\n"


_EMBED = 'embedding = model.embed(signal_mv, fs=250, leads=["I", "II"])'
_USES = {
    "pretraining": [_EMBED],
    "classification": ['probabilities = model.predict(signal_mv, fs=360, leads="12")', _EMBED],
    "regression": ['estimate = model.predict(signal_mv, fs=360, leads="12")  # numbers by name', _EMBED],
    "identification": [
        "model.enroll(recordings, patient_ids)",
        'match = model.predict(signal_mv, fs=360, leads="12")  # the most similar patient',
    ],
}


def _label_table(labels: list[dict[str, Any]]) -> list[str]:
    rows = [
        f"| {entry['index']} | {_cell(entry['label'])} | {_cell(entry['name'])} "
        f"| {_cell(', '.join(entry['codes']))} | {entry['threshold']:g} |"
        for entry in labels
    ]
    head = ["| output | label | name | codes | threshold |", "|---:|---|---|---|---:|"]
    return ["## Classes", "", *head, *rows, ""]


def _target_table(targets: dict[str, list]) -> list[str]:
    rows = [
        f"| {i} | {_cell(name)} | {_cell(unit)} | {mean:.6g} | {std:.6g} |"
        for i, (name, unit, mean, std) in enumerate(zip(*targets.values()))
    ]
    head = ["| output | target | unit | mean in training | deviation |", "|---:|---|---|---:|---:|"]
    return ["## Targets", "", "The network gives (value - mean) / deviation.", "", *head, *rows, ""]


def _cell(text: str) -> str:
    return visible(text).replace("|", "\\|")


def _hub_facts(provenance: dict[str, Any]) -> list[str]:
    """What the header says of licence and origin; of weights that were trained further, no licence."""
    weights, before = provenance.get("preset"), provenance.get(FINE_TUNED_FROM)
    known = PRESETS.get((before or weights or {}).get("name", ""))
    if known is None:
        return []
    lines = [f"base_model: {known.hub}"] if known.hub else []
    if before:
        return [*lines, "base_model_relation: finetune"] if lines else []
    if known.licence == "MIT":
        return ["license: mit", *lines]
    return ["license: other", "license_name: of-its-authors", *lines]


def _origin(provenance: dict[str, Any]) -> list[str]:
    """What is known of the checkpoint and its training, as a list."""
    training, progress = provenance.get("training") or {}, provenance.get("progress") or {}
    weights, before = provenance.get("preset") or {}, provenance.get(FINE_TUNED_FROM) or {}
    file = provenance.get("checkpoint") or {}
    facts = {
        "Weights": _named(weights),
        "Licence of the weights": weights.get("licence"),
        "Fine-tuned from": _named(before) or (training.get("model") or {}).get("model_path"),
        "File of the weights it was fine-tuned from": _file(before.get("file"), before.get("sha256")),
        "Licence of the weights it was fine-tuned from": before.get("licence"),
        "Checkpoint": _file(file.get("name"), file.get("sha256")),
        "Architecture": (training.get("model") or {}).get("_name"),
        "Training objective": (training.get("criterion") or {}).get("_name"),
        "Task": (training.get("task") or {}).get("_name"),
        "Updates": progress.get("num_updates"),
        "Epoch": progress.get("epoch"),
        "Calibration": _calibration(provenance.get("calibration") or {}),
        "Outlier score": _outlier(provenance.get("outlier") or {}),
        "Software": ", ".join(f"{k} {v}" for k, v in (provenance.get("saved_with") or {}).items()) or None,
    }
    return [f"- {name}: {value}" for name, value in facts.items() if value is not None] + [
        "- All options of the training: `provenance` in `config.json`"
    ]


def _named(weights: dict[str, Any]) -> str | None:
    return ", ".join(_cell(weights[key]) for key in ("title", "source") if weights.get(key)) or None


def _calibration(told: dict[str, Any]) -> str | None:
    if not told:
        return None
    where = f"{told['records']:,} records of {_cell(told['split'])}, leads {', '.join(told['lead_sets'])}"
    return f"temperature {told['temperature']:.4g}, in the weights; found on {where}"


def _outlier(told: dict[str, Any]) -> str | None:
    if not told:
        return None
    first, second = (f"{n:,} of {_cell(split)}" for n, split in zip(told["records"], told["splits"]))
    return (
        f"Mahalanobis distance, in the middle layer, from {first} records, leads "
        f"{', '.join(told['lead_sets'])}; {second} are usual, and unlike them is what is beyond "
        f"{told['radius']:.4g}"
    )


def _file(name: str | None, sha256: str | None) -> str | None:
    if not name:
        return None
    return f"`{_cell(name)}`" + (f", SHA-256 `{_cell(sha256)}`" if sha256 else "")
