"""How long a training still takes: in the lines of its log, and as a bar on a terminal."""

import math
import sys
import time
from contextlib import ExitStack
from typing import Any, Optional, Tuple

from fairseq.logging import metrics
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fairseq_signals.modules.distributed import worker_rank
from fairseq_signals.tasks.resume import in_multirun

#: Formats of the log (`common.log_format`) that are lines; for "tqdm" fairseq has a bar of each epoch.
_LINES = ("simple", "json")


def planned_updates(whole: Any, batches: int) -> Optional[int]:
    """How many updates a training has if nothing ends it before; None where nothing else ends it.

    Args:
        whole: the configuration.
        batches: of an epoch, for each worker.
    """
    options = whole.get("optimization") or {}
    ends = [options["max_update"]] if options.get("max_update") else []
    if options.get("max_epoch"):
        per_epoch = math.ceil(batches / (options.get("update_freq") or [1])[-1])
        ends.append(options["max_epoch"] * per_epoch)
    return min(ends) if ends else None


class Progress:
    """The updates of a training, of which a number is planned.

    Args:
        total: that number; None: there is nothing to tell.
        log_format: `common.log_format`.
    """

    def __init__(self, total: Optional[int], log_format: Optional[str] = None) -> None:
        self.total, self.done = total, 0
        self.began: Optional[Tuple[int, float]] = None
        self.bar: Optional[Any] = None
        self.shown = ExitStack()
        self.has_bar = log_format in _LINES and sys.stderr.isatty() and worker_rank() == 0
        if in_multirun():  # whose jobs set up logging anew
            self.has_bar = False

    def begin_update(self, done: int) -> None:
        """Note that an update begins, before which there were `done`; log the time left."""
        if self.total is None:
            return
        self.done = done
        if self.began is None:
            self.began = done, time.monotonic()
            if self.has_bar:
                self._open_bar()
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        metrics.log_derived("minutes_left", lambda _: self.minutes_left(), priority=0)
        if done + 1 >= self.total:
            self.shown.close()

    def minutes_left(self) -> float:
        """Minutes from this update to the end, at the rate of those before, validations included."""
        assert self.total is not None
        assert self.began is not None
        first, since = self.began
        seconds = (time.monotonic() - since) / (self.done + 1 - first)
        return round((self.total - self.done - 1) * seconds / 60, 1)

    def _open_bar(self) -> None:
        options = {"initial": self.done, "desc": "training", "unit": "update", "leave": False}
        self.bar = self.shown.enter_context(tqdm(total=self.total, dynamic_ncols=True, **options))
        self.shown.enter_context(logging_redirect_tqdm())  # the log's lines go above the bar
