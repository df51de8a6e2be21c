"""Objects in a configuration are read as containers; nothing that a file names is imported or run."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import os
import sys
import types
import typing

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from fairseq_signals.checkpoints.file import read_checkpoint_file
from fairseq_signals.checkpoints.inert import may_be_inert
from fairseq_signals.errors import CheckpointError

PARAMETERS = {"x": torch.ones(2)}


class Named:
    """Pickled as a call of whatever it is given."""

    def __init__(self, function: object, *arguments: object):
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def saved(folder, cfg: object):
    torch.save({"model": PARAMETERS, "cfg": cfg}, folder / "x.pt")
    return folder / "x.pt"


@pytest.fixture
def foreign(monkeypatch):
    """Dataclasses and an enumeration of a module that is gone when the file is read."""
    module = types.ModuleType("fairseq_signals.dataclass.configs")
    Choice = enum.Enum("Choice", {"static": "static", "uniform": "uniform"})
    Model = dataclasses.make_dataclass(
        "ModelConfig",
        [
            ("mask_selection", Choice, Choice.uniform),
            ("lr", typing.List[float], dataclasses.field(default_factory=lambda: [5e-5])),
            ("path", typing.Optional[str], None),
            ("names", typing.Dict[str, int], dataclasses.field(default_factory=dict)),
        ],
    )
    for each in (Choice, Model):
        each.__module__ = module.__name__
        setattr(module, each.__name__, each)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        yield Model, Choice


def test_objects_of_omegaconf_are_read_without_it(tmp_path, monkeypatch):
    content = {"a": {"b": [1, 2.5, None, {"c": True}]}, "text": "x", "missing": "???", "other": "${a.b}"}
    path = saved(tmp_path, {"model": OmegaConf.create(content), "plain": {"d": (1, 2)}})
    for name in [name for name in sys.modules if name.split(".")[0] == "omegaconf"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an error
    cfg = read_checkpoint_file(path)["cfg"]
    assert cfg == {"model": content, "plain": {"d": (1, 2)}}
    assert type(cfg["model"]["a"]["b"]) is list


def test_typed_configurations_and_choices_are_read_without_their_classes(tmp_path, foreign):
    Model, Choice = foreign
    namespace = argparse.Namespace(choice=Choice.static, model=argparse.Namespace(depth=2))
    path = saved(tmp_path, {"model": OmegaConf.structured(Model), "more": namespace})
    del sys.modules[Model.__module__]
    cfg = read_checkpoint_file(path)["cfg"]
    assert cfg["model"] == {"mask_selection": "uniform", "lr": [5e-5], "path": None, "names": {}}
    assert cfg["more"] == {"choice": "static", "model": {"depth": 2}}
    assert Model.__module__ not in sys.modules


@pytest.mark.parametrize(
    "evil",
    [
        lambda touch: Named(os.system, f"touch {touch}"),
        lambda touch: Named(eval, f"open({str(touch)!r}, 'w')"),
        lambda touch: Named(getattr, touch, "touch"),
        lambda touch: Named(OmegaConf.to_container, os.system),
        lambda touch: Named(OmegaConf.load, str(touch)),
        lambda touch: Named(DictConfig, Named(os.system, f"touch {touch}")),
        lambda touch: {"a": OmegaConf.create({"b": 1}), "c": Named(os.system, f"touch {touch}")},
    ],
)
@pytest.mark.parametrize("part", ["cfg", "args", "last_optimizer_state"])
def test_what_calls_functions_is_refused_and_nothing_is_run(tmp_path, evil, part):
    touched = tmp_path / "touched"
    torch.save({"model": PARAMETERS, part: evil(touched)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"names \S+, which is not a tensor.*do not trust the file"):
        read_checkpoint_file(tmp_path / "x.pt")
    assert not touched.exists()


def test_a_class_that_is_named_in_a_call_only_keeps_the_arguments(tmp_path):
    cfg = {"a": Named(DictConfig, {"b": 1}), "c": Named(DictConfig, Named(DictConfig, 3))}
    assert read_checkpoint_file(saved(tmp_path, cfg))["cfg"] == {"a": {"b": 1}, "c": 3}


def test_objects_within_themselves_are_refused(tmp_path):
    config = OmegaConf.create({"a": 1})
    config.__dict__["_content"] = config
    with pytest.raises(CheckpointError, match="'cfg' is nested deeper than 32 levels"):
        read_checkpoint_file(saved(tmp_path, {"model": config}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("omegaconf.dictconfig.DictConfig", True),
        ("fairseq_signals.dataclass.configs.CommonConfig", True),
        ("fairseq.dataclass.constants.LogFormat", True),
        ("typing.Any", True),
        ("builtins.dict", True),
        ("_operator.getitem", True),  # typing.List[int]
        ("builtins.eval", False),
        ("builtins.getattr", False),
        ("omegaconf._utils.os.system", False),
        ("omegaconf.OmegaConf.create", False),
        ("fairseq_signals.files.open_file", False),
        ("omegaconfig.Evil", False),
        ("torch.nn.modules.linear.Linear", False),
        ("posix.system", False),
    ],
)
def test_which_names_may_be_in_a_configuration(name, expected):
    assert may_be_inert(name) is expected
