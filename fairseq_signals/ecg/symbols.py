"""ECGs as text, a character a sample: millivolts on a fixed grid.

The idea is of ECG-Byte (arXiv:2412.14373). Its grid lies between percentiles of a corpus, beyond which R
peaks are cut off; ours is in millivolts, so that characters mean the same in any corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairseq_signals.errors import ConfigError, SignalError

#: The character of the lowest level. It and the 511 after it are letters and such, none a blank.
FIRST = 0x100
MOST_LEVELS = 512


@dataclass(frozen=True)
class VoltageGrid:
    """Levels at whole multiples of `step_mv` from `-limit_mv` to `limit_mv`, 0 mV among them.

    Args:
        limit_mv: of the outer levels, to which all beyond is clipped.
        step_mv: between levels, of which the limit must be a multiple.

    Raises:
        ConfigError: it is none, or there would be more than `MOST_LEVELS` levels.
    """

    limit_mv: float = 2.5
    step_mv: float = 0.05

    def __post_init__(self) -> None:
        steps = self.limit_mv / self.step_mv if self.step_mv > 0 else 0.0
        if not (steps >= 1 and abs(steps - round(steps)) < 1e-6 and self.n_levels <= MOST_LEVELS):
            raise ConfigError(
                f"a grid up to {self.limit_mv:g} mV in steps of {self.step_mv:g} mV: the limit must be a "
                f"multiple of the step, by 1 to {MOST_LEVELS // 2 - 1}"
            )

    @property
    def _outer(self) -> int:
        return round(self.limit_mv / self.step_mv)

    @property
    def n_levels(self) -> int:
        """How many levels, and so different characters, there are."""
        return 2 * self._outer + 1

    @property
    def characters(self) -> str:
        """The characters of all levels, the lowest first."""
        return "".join(map(chr, range(FIRST, FIRST + self.n_levels)))

    def write(self, samples_mv: np.ndarray) -> tuple[str, int]:
        """Samples (T,) as T characters, and how many of them were clipped.

        Raises:
            SignalError: a sample is not finite.
        """
        steps = np.rint(np.asarray(samples_mv, np.float64) / self.step_mv)
        if not np.isfinite(steps).all():
            where = int(np.flatnonzero(~np.isfinite(steps))[0])
            raise SignalError(
                f"sample {where} is {samples_mv[where]}, which has no place on a grid of millivolts"
            )
        n_clipped = int(np.count_nonzero(np.abs(steps) > self._outer))
        codes = np.clip(steps, -self._outer, self._outer) + (self._outer + FIRST)
        return codes.astype("<u4").tobytes().decode("utf-32-le"), n_clipped

    def read(self, text: str) -> np.ndarray:
        """The millivolts of the levels that characters stand for, (T,) float64.

        Raises:
            SignalError: a character is of no level.
        """
        levels = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.int64) - FIRST
        wrong = np.flatnonzero((levels < 0) | (levels >= self.n_levels))
        if len(wrong):
            raise SignalError(
                f"character {wrong[0]} is {text[wrong[0]]!r}, which is none of the {self.n_levels} levels"
            )
        return (levels - self._outer) * self.step_mv
