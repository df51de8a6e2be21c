"""Options of the data that all tasks share, and what a preset makes of them."""

import contextlib
from dataclasses import dataclass, field
from typing import Any, List, Optional

from omegaconf import II, MISSING, OmegaConf, open_dict

from fairseq_signals.checkpoints.input_format import INPUT_RULES, TASK_KEYS, TASK_RULES, InputFormat
from fairseq_signals.checkpoints.presets import NO_PRESET, find_preset
from fairseq_signals.ecg.normalize import SEGMENT
from fairseq_signals.ecg.record import DEFAULT_FS
from fairseq_signals.errors import ConfigError
from fairseq_signals.models.config import OpenConfig, whole_config
from fairseq_signals.safety.rules import broken

#: Options that follow from the data where they are not given.
_OF_THE_DATA = ("fs", "resampler", "segment_s")


@dataclass
class ECGTaskConfig(OpenConfig):
    """Options of the data, common to all tasks."""

    data: str = field(default=MISSING, metadata={"help": "folder of the manifests"})
    sample_rate: float = field(default=DEFAULT_FS, metadata={"help": "sampling rate of every segment, Hz"})
    leads_to_load: Any = field(
        default=None,
        metadata={
            "help": "leads by name or 0-based index, a list or 'I,II,V2'; or a lead set, '12', '6', '3', "
            "'2' or '1'"
        },
    )
    enable_padding_leads: bool = field(
        default=True, metadata={"help": "leads that are not loaded are zeros on an axis of 12"}
    )
    enable_padding: bool = field(
        default=True, metadata={"help": "pad a batch to its longest segment; else cut to the shortest"}
    )
    preset: Optional[str] = field(
        default=None,
        metadata={
            "help": "public weights by name, 'ecg-fm' or 'deepecg-ssl': the sampling rate, and what follows "
            "here, as they expect it; what is given beside it stands"
        },
    )
    normalize: Any = field(
        default=None,
        metadata={
            "help": "over what each lead gets mean 0 and standard deviation 1: 'none' (default), 'segment' "
            "or 'record' (the whole record); 'true' is 'segment', 'false' 'none'",
            "argparse_const": SEGMENT,  # `--normalize` alone, as before there was more than one way
        },
    )
    input_scale: Optional[float] = field(
        default=None, metadata={"help": "the model's units in a mV (default: 1)"}
    )
    resampler: Optional[str] = field(
        default=None,
        metadata={
            "help": "how the stores were, and recordings for the trained model are resampled: 'polyphase' or "
            "'linear' (default: as the stores say)"
        },
    )
    segment_s: Optional[float] = field(
        default=None,
        metadata={
            "help": "length of segments for the trained model, seconds (default: that of most "
            "segments in the training manifest)"
        },
    )
    last_segment: Optional[str] = field(
        default=None,
        metadata={
            "help": "for the trained model: a remainder at the end of a recording is a segment that overlaps "
            "('overlap', default), or is left out ('drop')"
        },
    )
    zero_frames: Optional[str] = field(
        default=None,
        metadata={
            "help": "whether frames that are zero in all channels 'count' (default) in the mean over frames, "
            "or 'skip'"
        },
    )
    aggregate: Optional[str] = field(
        default=None,
        metadata={"help": "of a recording's segments, for the trained model: 'mean' (default) or 'max'"},
    )
    aggregate_max: Optional[List[str]] = field(
        default=None, metadata={"help": "labels of which it is the maximum all the same"}
    )
    min_sample_size: Optional[int] = field(default=None, metadata={"help": "leave out shorter segments"})
    max_sample_size: Optional[int] = field(default=None, metadata={"help": "cut longer segments"})
    perturbation_mode: Optional[List[str]] = field(
        default=None, metadata={"help": "transforms of training segments, in this order: ['emg_noise', ...]"}
    )
    p: List[float] = field(
        default_factory=lambda: [1.0], metadata={"help": "probability of each transform, or one for all"}
    )
    perturbation_params: Any = field(
        default=None,
        metadata={
            "help": "parameters of transforms, {transform: {parameter: value}}; the files of transforms/ "
            "list them with their defaults"
        },
    )
    mask_leads_selection: str = field(
        default="random", metadata={"help": "random lead masking: 'random', 'conditional' or 'independent'"}
    )
    mask_leads_prob: float = field(
        default=0.5,
        metadata={
            "help": "'random': probability of each lead; 'independent': of each of the two dimensions of the "
            "limb leads and of each chest lead"
        },
    )
    mask_leads_condition: List[int] = field(
        default_factory=lambda: [4, 5], metadata={"help": "'conditional': limb and chest leads to mask"}
    )
    seed: int = II("common.seed")


def complete_input(cfg: Any) -> None:
    """Write into a task's options what its preset says, and the defaults of what nobody says.

    Raises:
        ConfigError: there is no such preset, or a value that cannot be.
    """
    if cfg.sample_rate <= 0:
        raise ConfigError(f"task.sample_rate must be > 0 Hz, but is {cfg.sample_rate} instead")
    named = cfg.preset not in (None, NO_PRESET)
    preset = find_preset(cfg.preset).input if named else {}
    given = {name: getattr(cfg, TASK_KEYS.get(name, name)) for name in INPUT_RULES}
    if cfg.sample_rate == DEFAULT_FS:
        given["fs"] = None
    given = {name: list(value) if OmegaConf.is_list(value) else value for name, value in given.items()}
    problems = broken(
        {TASK_KEYS.get(name, name): value for name, value in given.items()}, TASK_RULES, "task."
    )
    if problems:
        raise ConfigError("; ".join(problems))
    form = InputFormat().changed(preset).changed(given)
    for name in INPUT_RULES:
        if name not in _OF_THE_DATA or name in preset:
            value = getattr(form, name)
            note(cfg, **{TASK_KEYS.get(name, name): list(value) if isinstance(value, tuple) else value})


def note(cfg: Any, **values: Any) -> None:
    """Write values into a task's options, and into the run's, which a checkpoint keeps: one is a copy."""
    for node in (cfg, whole_config(cfg).get("task")):
        if node is not None:
            with open_dict(node) if OmegaConf.is_config(node) else contextlib.nullcontext():
                for name, value in values.items():
                    setattr(node, name, value)
