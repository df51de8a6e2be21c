"""How a model wants its input: as its training gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairseq_signals.ecg.leads import N_LEADS, configured_leads
from fairseq_signals.ecg.record import DEFAULT_FS, MAX_FS, MIN_FS
from fairseq_signals.errors import CheckpointError, LeadError
from fairseq_signals.safety.rules import TRUTH, Rule, check, either, integer, list_of, number, text

if TYPE_CHECKING:
    from fairseq_signals.checkpoints.loading import Checkpoint

#: Length of the segments that the paper trains with (Oh et al., CHIL 2022, Sec. 3.1), seconds.
SEGMENT_S = 5.0
#: Samples of the longest segment: an hour at the highest sampling rate.
LONGEST_SEGMENT = round(3600 * MAX_FS)
_LEAD = either(text(40), integer(0, 99))
#: What a checkpoint says of the input, in its section `task`.
TASK_RULES: dict[str, Rule] = {
    "sample_rate": number(MIN_FS, MAX_FS),
    "leads_to_load": either(either(text(200), integer(0, 99)), list_of(_LEAD, N_LEADS)),
    "enable_padding_leads": TRUTH,
    "normalize": TRUTH,
    "max_sample_size": integer(0, LONGEST_SEGMENT),
    "data": text(),
}


@dataclass(frozen=True)
class InputFormat:
    """How a model wants its segments: as they were in its training.

    Args:
        fs: sampling rate, Hz.
        leads: the leads on its lead axis, in order; normally all twelve.
        normalize: scale each lead to mean 0 and standard deviation 1.
        max_samples: longer segments are cut to their beginning; None: never.
        segment_s: length of the segments that recordings are cut into, seconds.
    """

    fs: float = DEFAULT_FS
    leads: tuple[int, ...] = tuple(range(N_LEADS))
    normalize: bool = False
    max_samples: int | None = None
    segment_s: float = SEGMENT_S

    @property
    def segment_samples(self) -> int:
        """Samples of the segments that a recording is cut into: at most `max_samples`."""
        samples = round(self.segment_s * self.fs)
        return min(samples, self.max_samples or samples)


def input_format(checkpoint: Checkpoint) -> InputFormat:
    """The input format that a checkpoint was trained with.

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
    segment_s = SEGMENT_S if checkpoint.saved is None else checkpoint.saved["segment_samples"] / fs
    return InputFormat(fs, leads, bool(task.get("normalize")), task.get("max_sample_size") or None, segment_s)
