"""How a model wants its input, and what is made of its outputs: as its training had it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairseq_signals.checkpoints.presets import (
    NO_PRESET,
    PRESETS,
    Preset,
    find_preset,
    may_be_public,
    recognised,
)
from fairseq_signals.ecg.leads import N_LEADS, configured_leads
from fairseq_signals.ecg.normalize import NONE, NORMALIZE, Scaling, is_normalize, parse_normalize
from fairseq_signals.ecg.record import DEFAULT_FS, MAX_FS, MIN_FS
from fairseq_signals.ecg.resample import POLYPHASE, RESAMPLERS
from fairseq_signals.errors import CheckpointError, ConfigError, LabelError, LeadError
from fairseq_signals.safety.rules import (
    TRUTH,
    Rule,
    broken,
    check,
    either,
    integer,
    list_of,
    number,
    one_of,
    text,
)

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import Checkpoint

#: Length of the segments that the paper trains with (Oh et al., CHIL 2022, Sec. 3.1), seconds.
SEGMENT_S = 5.0
#: Samples of the longest segment: an hour at the highest sampling rate.
LONGEST_SEGMENT = round(3600 * MAX_FS)
OVERLAP, DROP, COUNT, SKIP, MEAN, MAX = "overlap", "drop", "count", "skip", "mean", "max"
LAST_SEGMENT, ZERO_FRAMES, AGGREGATES = (OVERLAP, DROP), (COUNT, SKIP), (MEAN, MAX)
#: What users can choose of the input, in a configuration, in a saved folder and where a model is loaded.
INPUT_RULES: dict[str, Rule] = {
    "fs": number(MIN_FS, MAX_FS),
    "normalize": Rule(f"one of {', '.join(NORMALIZE)}", is_normalize),
    "scale": number(1e-9, 1e9),
    "resampler": one_of(*RESAMPLERS),
    "segment_s": number(1e-6, 3600),
    "last_segment": one_of(*LAST_SEGMENT),
    "zero_frames": one_of(*ZERO_FRAMES),
    "aggregate": one_of(*AGGREGATES),
    "aggregate_max": list_of(text(), 100_000),
}
#: What fields of `InputFormat` are called in the section `task`, where other names are taken.
TASK_KEYS = {"fs": "sample_rate", "scale": "input_scale"}
_LEAD = either(text(40), integer(0, 99))
#: What a checkpoint says of the input, in its section `task`.
TASK_RULES: dict[str, Rule] = {
    "leads_to_load": either(either(text(200), integer(0, 99)), list_of(_LEAD, N_LEADS)),
    "enable_padding_leads": TRUTH,
    "max_sample_size": integer(0, LONGEST_SEGMENT),
    "data": text(),
    **{TASK_KEYS.get(name, name): rule for name, rule in INPUT_RULES.items()},
}


@dataclass(frozen=True)
class InputFormat:
    """How a model wants its segments, and what is made of its outputs: as it was in its training.

    Args:
        fs: sampling rate, Hz.
        leads: the leads on its lead axis, in order; normally all twelve.
        normalize: over what each lead gets mean 0 and standard deviation 1: see `Scaling`.
        max_samples: longer segments are cut to their beginning; None: never.
        segment_s: length of the segments that recordings are cut into, seconds.
        scale: the model's units in a mV.
        resampler: how recordings of another rate are resampled: see `ecg/resample.py`.
        last_segment: of what is left at the end of a recording: "overlap", one more segment that ends with
            the recording, or "drop". A recording shorter than a segment is one segment of its own length.
        zero_frames: whether frames that are zero in all channels "count" in the mean over frames, or "skip".
        aggregate: of the segments' outputs, class by class: "mean" or "max".
        aggregate_max: labels of which it is the maximum all the same.
    """

    fs: float = DEFAULT_FS
    leads: tuple[int, ...] = tuple(range(N_LEADS))
    normalize: str = NONE
    max_samples: int | None = None
    segment_s: float = SEGMENT_S
    scale: float = 1.0
    resampler: str = POLYPHASE
    last_segment: str = OVERLAP
    zero_frames: str = COUNT
    aggregate: str = MEAN
    aggregate_max: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalize", parse_normalize(self.normalize))
        object.__setattr__(self, "aggregate_max", tuple(self.aggregate_max))

    @property
    def segment_samples(self) -> int:
        """Samples of the segments that a recording is cut into: at most `max_samples`."""
        samples = round(self.segment_s * self.fs)
        return min(samples, self.max_samples or samples)

    @property
    def scaling(self) -> Scaling:
        """What is done to the amplitude."""
        return Scaling(self.normalize, self.scale)

    def changed(self, given: Mapping[str, Any]) -> InputFormat:
        """With what is given of `INPUT_RULES` in its place; None: as it is.

        Raises:
            ConfigError: a value that cannot be; the message names its key.
        """
        plain = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()
        }
        chosen = {name: value for name, value in plain.items() if value is not None}
        problems = broken(chosen, INPUT_RULES)
        if problems:
            raise ConfigError("; ".join(problems))
        # of segments of a chosen length nothing is cut off
        if "segment_s" in chosen:
            chosen["max_samples"] = None
        return replace(self, **chosen)

    def aggregates(self, labels: Sequence[str], names: Sequence[str] = ()) -> tuple[str, ...]:
        """How the outputs of a recording's segments are put together, class by class: "mean" or "max".

        Args:
            labels: (C,) of the classes.
            names: (C,) what they are called in full, by which `aggregate_max` may know them, too.
        """
        largest = set(self.aggregate_max)
        both = zip(labels, names or labels)
        return tuple(MAX if largest & {label, name} else self.aggregate for label, name in both)


def check_aggregate_max(asked: Sequence[str] | None, names: Collection[str]) -> None:
    """Raise LabelError where a label of which the maximum is asked for is none of a model's, by any name."""
    unknown = set(asked or ()) - set(names)
    if unknown:
        raise LabelError(f"aggregate_max: the model has no class {min(unknown)!r}")


def preset_of(checkpoint: Checkpoint, name: str | None = None) -> Preset | None:
    """The preset of a checkpoint: the one that is asked for, else that of a published file, with a warning.

    Args:
        name: of the preset; "none" for none, None: see `presets.recognised`.

    Raises:
        ConfigError: there is no such preset, or the model takes other leads than the weights of that name.
    """
    if name == NO_PRESET:
        return None
    if name is not None:
        preset, n_leads = find_preset(name), checkpoint.config.in_d
        if n_leads != N_LEADS:
            raise ConfigError(
                f"{checkpoint.path}: preset {name} is of {preset.title}, whose models take {N_LEADS} leads, "
                f"but this one takes {n_leads}; leave the preset out"
            )
        return preset
    found = recognised(checkpoint)
    if found is not None:
        told = {key: value for key, value in found.input.items() if key != "aggregate_max"}
        logger.warning(
            "%s is taken for %s, so its input is that of preset %s (%s). Name that preset, and this warning "
            "goes; preset %s takes what the file itself says",
            checkpoint.path,
            found.title,
            found.name,
            ", ".join(f"{key} {value:g}" if key in ("fs", "segment_s", "scale") else f"{key} {value}"
                      for key, value in told.items()),
            NO_PRESET,
        )  # fmt: skip
    elif may_be_public(checkpoint):
        logger.warning(
            "%s has the size of public weights, but not the name of any. Its input is what the file itself "
            "says; if it is of %s, name that preset, or preset %s if of neither, and this warning goes",
            checkpoint.path,
            " or ".join(f"{preset.title} ({preset.name})" for preset in PRESETS.values()),
            NO_PRESET,
        )
    return found


def input_format(checkpoint: Checkpoint, preset: Preset | None = None) -> InputFormat:
    """The input format that a checkpoint was trained with.

    Args:
        preset: what is known of it beside, which goes before what it says itself.

    Raises:
        CheckpointError: an option is not as it must be; or the lead axis is not twelve long, and it does not
            say which leads are on it.
    """
    task, n_leads = checkpoint.task_cfg, checkpoint.config.in_d
    check(task, TASK_RULES, f"{checkpoint.path}: task.", CheckpointError)
    padded = n_leads == N_LEADS and task.get("enable_padding_leads", True)
    try:
        leads = configured_leads(task.get("leads_to_load"))
    except LeadError as error:
        raise CheckpointError(f"{checkpoint.path}: task.leads_to_load: {error}") from None
    leads = tuple(range(N_LEADS)) if padded else leads
    if len(leads) != n_leads:
        raise CheckpointError(
            f"{checkpoint.path}: the model takes {n_leads} leads, but task.leads_to_load names {len(leads)}"
        )
    fs = float(task.get("sample_rate") or DEFAULT_FS)
    said = {name: task.get(TASK_KEYS.get(name, name)) for name in INPUT_RULES}
    found = InputFormat(fs, leads).changed({**said, "fs": None})
    if checkpoint.saved is not None:
        found = replace(found, segment_s=checkpoint.saved["segment_samples"] / fs)
    found = replace(found, max_samples=task.get("max_sample_size") or None)
    return found if preset is None else found.changed(preset.input)


def require_mean(form: InputFormat, path: Path) -> None:
    """Raise ConfigError where the numbers of a regression are to be other than averaged over segments."""
    if form.aggregate != MEAN:
        raise ConfigError(
            f"{path}: the numbers of a regression are averaged over segments, but aggregate is "
            f"{form.aggregate}; leave it out, or choose {MEAN}"
        )
