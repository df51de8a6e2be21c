"""Saved models: a folder with `model.safetensors`, `config.json` and `README.md`, as model hubs keep them.

`inference/saving.py` decides what the configuration and the card say, `checkpoints/loading.py` makes a
`Checkpoint` of them. Nothing in such a folder is executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from fairseq_signals.ecg.record import MAX_FS, MIN_FS
from fairseq_signals.errors import CheckpointError, ConfigError, optional_library
from fairseq_signals.files import whole_files, whole_folder

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FORMAT, FORMAT_VERSION = "fairseq_signals.model", 1
KINDS = ("pretraining", "classification", "identification")
_REQUIRED: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "leads": (list,),
    "fs": (int, float),
    "segment_samples": (int,),
    "normalize": (bool,),
    "encoder": (dict,),
}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _has_sections(provenance: Any) -> bool:
    """Whether what is known of the training is in dictionaries, as far as it is there."""
    if not isinstance(provenance, dict):
        return provenance is None
    training = provenance.get("training") or {}
    sections = [training, provenance.get("progress") or {}]
    if isinstance(training, dict):
        sections += [training.get(name) or {} for name in ("task", "model", "criterion")]
    return all(isinstance(section, dict) for section in sections)


#: Of each key whether the configuration's value can be used, and in words what can.
_RANGES: tuple[tuple[str, Callable[[dict[str, Any]], bool], str], ...] = (
    ("fs", lambda config: MIN_FS <= config["fs"] <= MAX_FS, f"from {MIN_FS:g} to {MAX_FS:g} (Hz)"),
    ("segment_samples", lambda config: _is_count(config["segment_samples"]), "an integer above 0"),
    (
        "max_samples",
        lambda config: config.get("max_samples") is None or _is_count(config["max_samples"]),
        "null or an integer above 0",
    ),
    ("labels", lambda config: isinstance(config.get("labels") or [], list), "a list"),
    ("provenance", lambda config: _has_sections(config.get("provenance")), "a dictionary of dictionaries"),
)


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
        MissingLibraryError: safetensors is not installed.
    """
    library: Any = optional_library("safetensors.torch", "a saved model", "hub")
    folder = Path(os.path.abspath(folder))
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
        raise ConfigError(f"{folder}: is there already; name another folder, or pass overwrite=True")
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"

    def write(weights: Path, card_file: Path, config_file: Path) -> None:
        try:
            library.save_file(tensors, str(weights), metadata={"format": "pt"})
        except optional_library("safetensors", "a saved model", "hub").SafetensorError as error:
            raise OSError(str(error)) from error
        card_file.write_text(card, encoding="utf-8")
        config_file.write_text(text, encoding="utf-8")

    names = (WEIGHTS, CARD, CONFIG)
    if folder.is_dir():
        files = [folder / name for name in names]
        with whole_files(files, lambda: (folder / CONFIG).unlink(missing_ok=True)) as partials:
            write(*partials)
    else:
        with whole_folder(folder) as partial:
            write(*(partial / name for name in names))


def read_saved_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `config.json` of a saved model's folder says, and the parameters; whether they fit is not checked.

    Raises:
        CheckpointError: it holds no saved model, a damaged one, or one of a later version.
        MissingLibraryError: safetensors is not installed.
    """
    config = _read_config(folder)
    library: Any = optional_library("safetensors.torch", "a saved model", "hub")
    try:
        return config, library.load_file(str(folder / WEIGHTS))
    except FileNotFoundError:
        raise CheckpointError(f"{folder / WEIGHTS}: no such file; copy the whole folder") from None
    except Exception as error:  # the library's own error, which has no stable name
        raise CheckpointError(f"{folder / WEIGHTS}: not a whole safetensors file ({error})") from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: a folder without {CONFIG}, so it is not a saved model; name a checkpoint file, "
            "or a folder that ECGModel.save wrote"
        ) from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not the configuration of a saved model of this project")
    if config.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {config.get('format_version')!r}, but this software reads "
            f"{FORMAT_VERSION}; install a later one"
        )
    for key, types in _REQUIRED.items():
        if not isinstance(config.get(key), types):
            raise CheckpointError(
                f"{path}: {key} must be {types[0].__name__}, but is {config.get(key)!r} instead; "
                "get the folder again"
            )
    for key, fits, wanted in _RANGES:
        if not fits(config):
            raise CheckpointError(
                f"{path}: {key} must be {wanted}, but is {config.get(key)!r}; get the folder again"
            )
    if config["kind"] not in KINDS:
        raise CheckpointError(f"{path}: kind must be one of {', '.join(KINDS)}, but is {config['kind']!r}")
    return config
