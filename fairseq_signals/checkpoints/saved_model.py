"""Saved models: a folder with `model.safetensors`, `config.json` and `README.md`, as model hubs keep them.

`inference/saving.py` decides what the configuration and the card say, `checkpoints/loading.py` makes a
`Checkpoint` of them. Nothing in such a folder is executed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from fairseq_signals.checkpoints.input_format import INPUT_RULES, LONGEST_SEGMENT
from fairseq_signals.checkpoints.origin import FINE_TUNED_FROM, WEIGHTS_RULES
from fairseq_signals.ecg.leads import LEADS, N_LEADS
from fairseq_signals.ecg.record import MAX_FS, MIN_FS
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.files import require_file, sha256_of, whole_files, whole_folder
from fairseq_signals.modules.encoder_config import ENCODER_RULES, EncoderConfig
from fairseq_signals.modules.text_encoder import TEXT_RULES
from fairseq_signals.safety.rules import (
    TRUTH,
    Rule,
    check,
    integer,
    list_of,
    number,
    one_of,
    read_json,
    required,
    section,
    text,
)

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FORMAT, FORMAT_VERSION = "fairseq_signals.model", 5
#: Version 1 told of the input by `normalize`, true or false, alone; `pooling` is of 4, `text` of 5.
READABLE = (1, 2, 3, 4, FORMAT_VERSION)
#: Options of an encoder since version 3: software that reads version 2 alone would pass over them.
_SINCE_3 = ("frontend", "input_norm", "context", "attention", "position", "registers", "separators")
KINDS = ("pretraining", "classification", "regression", "identification")
#: The key of `config.json` that holds the SHA-256 of the weights' file; of older models it is not there.
DIGEST = "weights_sha256"
_LABEL = {
    "label": required(text()),
    "name": required(text()),
    "codes": required(list_of(text(), 10_000)),
    "threshold": required(number(0, 1)),
}
#: Sections of a training's configuration that a saved model keeps.
SECTIONS = ("task", "model", "criterion", "optimization", "optimizer", "lr_scheduler", "dataset", "common")
_PROVENANCE = {
    "checkpoint": section({"name": text(), "sha256": text()}),
    "training": section({name: section({}) for name in SECTIONS}),
    "progress": section({}),
    "saved_with": section({}),
    "best_metric": text(),
    "preset": section(WEIGHTS_RULES),
    FINE_TUNED_FROM: section(WEIGHTS_RULES),
    "calibration": section(
        {
            "temperature": required(number(0, 1e9)),
            "split": required(text()),
            "lead_sets": required(list_of(text(), 1000)),
            "records": required(integer(1, 1 << 53)),
        }
    ),
    "outlier": section(
        {
            "splits": required(list_of(text(), 2)),
            "lead_sets": required(list_of(text(), 1000)),
            "records": required(list_of(integer(1, 1 << 53), 2)),
            "radius": required(number(0, 1e9)),
        }
    ),
}
RULES: dict[str, Rule] = {
    "kind": required(one_of(*KINDS)),
    "leads": required(list_of(one_of(*LEADS), N_LEADS)),
    "segment_samples": required(integer(1, LONGEST_SEGMENT)),
    "max_samples": integer(1, LONGEST_SEGMENT),
    **{name: rule for name, rule in INPUT_RULES.items() if name != "segment_s"},
    "fs": required(number(MIN_FS, MAX_FS)),
    "normalize": required(INPUT_RULES["normalize"]),
    "encoder": required(section({})),
    "pooling": list_of(text(), 1000),
    "text": section(TEXT_RULES),
    "labels": list_of(section({}), 100_000),
    "exclusive": TRUTH,
    "targets": section({}),
    "provenance": section({}),
    DIGEST: text(64),
}


#: As what numbers an encoder's parameters may be saved.
DTYPES = {"float32": torch.float32, "float16": torch.float16}


def as_numbers(state: dict[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """Parameters whose encoder is of other numbers; the little that is behind it stays what it is.

    Raises:
        ConfigError: there are no such numbers, or a parameter is larger than they can be.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, but is {dtype!r}")
    found = {
        key: value.to(DTYPES[dtype]) if key.startswith("encoder.") else value for key, value in state.items()
    }
    for key, value in found.items():
        if not bool(value.isfinite().all()):
            raise ConfigError(f"{key} holds numbers beyond those of {dtype}: save it as float32")
    return found


def write_saved_model(
    folder: Path, state: dict[str, Tensor], config: dict[str, Any], card: str, overwrite: bool = False
) -> None:
    """Write a saved model; a folder appears when it is complete.

    In a folder that is there, `config.json` is taken away first and put back last: whoever reads it
    meanwhile, or after the program was killed, finds no model rather than a mixture of two.

    Args:
        folder: where to; its parents are made if needed.
        card: text of `README.md`.
        overwrite: replace the model in a folder that has one; other files there are left alone.

    Raises:
        ConfigError: the folder is not empty, and `overwrite` is not given.
        OutputError: it cannot be written, for example because the disk is full.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise ConfigError(f"{folder}: is there already; name another folder, or pass overwrite=True")
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    json.dumps(config)  # an error before anything is written

    def write(weights: Path, card_file: Path, config_file: Path) -> None:
        try:
            safetensors.torch.save_file(tensors, str(weights), metadata={"format": "pt"})
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error
        card_file.write_text(card, encoding="utf-8", errors="backslashreplace")
        weights.chmod(card_file.stat().st_mode & 0o777)  # safetensors lets only its owner read it
        told = json.dumps({**config, DIGEST: sha256_of(weights)}, indent=2, ensure_ascii=False)
        config_file.write_text(f"{told}\n", encoding="utf-8", errors="backslashreplace")

    names = (WEIGHTS, CARD, CONFIG)
    if folder.is_dir():
        files = [folder / name for name in names]
        with whole_files(files, lambda: (folder / CONFIG).unlink(missing_ok=True)) as partials:
            write(*partials)
    else:
        with whole_folder(folder) as partial:
            write(*(partial / name for name in names))


def version_of(told: dict[str, Any]) -> int:
    """The version of the format that a configuration takes, the oldest that can tell of all in it."""
    if told.get("text"):
        return FORMAT_VERSION
    if told.get("pooling"):
        return 4
    default, encoder = EncoderConfig(), told["encoder"]
    return 3 if any(encoder[name] != getattr(default, name) for name in _SINCE_3) else 2


def read_saved_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `config.json` of a saved model's folder says, and the parameters; whether they fit is not checked.

    Raises:
        CheckpointError: it holds no saved model, a damaged one, or one of a later version.
    """
    config = _read_config(folder)
    try:
        noted = config.get(DIGEST)
        require_file(folder / WEIGHTS)
        if noted is not None and sha256_of(folder / WEIGHTS) != noted:
            raise CheckpointError(
                f"{folder / WEIGHTS}: its SHA-256 is not the one in {CONFIG}: it is damaged, or of another "
                "model; copy the whole folder again"
            )
        return config, safetensors.torch.load_file(str(folder / WEIGHTS))
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{folder / WEIGHTS}: no such file; copy the whole folder") from None
    except Exception as error:  # the library's own error, which has no stable name
        raise CheckpointError(f"{folder / WEIGHTS}: not a whole safetensors file ({error})") from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = read_json(path, CheckpointError)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: a folder without {CONFIG}, so it is not a saved model; name a checkpoint file, "
            "or a folder that ECGModel.save wrote"
        ) from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not the configuration of a saved model of this project")
    if config.get("format_version") not in READABLE:
        raise CheckpointError(
            f"{path}: format version {config.get('format_version')!r}, but this software reads "
            f"{' to '.join(map(str, (READABLE[0], READABLE[-1])))}; install a later one"
        )
    check(config, RULES, f"{path}: ", CheckpointError)
    check(config["encoder"], ENCODER_RULES, f"{path}: encoder.", CheckpointError)
    check(config.get("provenance") or {}, _PROVENANCE, f"{path}: provenance.", CheckpointError)
    for i, label in enumerate(config.get("labels") or ()):
        check(label, _LABEL, f"{path}: labels[{i}].", CheckpointError)
    return config
