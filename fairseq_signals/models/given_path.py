"""Paths in a configuration: where the user means them to be."""

import multiprocessing
from multiprocessing import process
from pathlib import Path
from typing import Union

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_original_cwd

from fairseq_signals.checkpoints.shipped import model_place


def started_in() -> Path:
    """The folder where the user stood: hydra goes on in a folder of the run."""
    if HydraConfig.initialized():
        return Path(get_original_cwd())
    if multiprocessing.parent_process() is not None:  # a worker of several: hydra's state is its parent's
        return Path(process.ORIGINAL_DIR)  # type: ignore[attr-defined]
    return Path.cwd()


def given_path(path: Union[str, Path]) -> Path:
    """Where a path of the configuration is: below the working directory, else below `started_in()`.

    Where it is in neither it is given back as it is. The configuration keeps what was written, so that
    checkpoints name no folder of this machine that the user did not.
    """
    found = Path(path)
    elsewhere = started_in() / found  # an absolute path stays what it is
    return elsewhere if elsewhere.exists() and not found.exists() else found


def given_model(path: Union[str, Path]) -> Path:
    """The same of a model, which may be weights of the package by their name."""
    return model_place(given_path(path))


def missing_path(path: Union[str, Path]) -> str:
    """Says of a path that does not exist where it was looked for."""
    here, there = Path.cwd(), started_in()
    if Path(path).is_absolute():
        return f"there is no {path}"
    if here == there:
        return f"there is no {path} in {here}"
    return (
        f"{path} is neither in {there}, where the command was started, nor in {here}, the folder of the run "
        "(hydra.run.dir); correct it, or give an absolute path"
    )
