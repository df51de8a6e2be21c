"""A loaded model applied to any number of recordings, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fairseq_signals.errors import CheckpointError, ConfigError, FairseqSignalsError
from fairseq_signals.formats.options import DEFAULTS, ReadOptions, read_options
from fairseq_signals.inference.base import LoadedModel
from fairseq_signals.inference.encoded import Encoded
from fairseq_signals.inference.pipeline import Outputs, run
from fairseq_signals.inference.sources import Opener, read_each
from fairseq_signals.modules.ecg_text import ECGText

BATCH_SIZE = 16
#: What `ECGModel.stream` can give.
STREAMED = ("embedding", "frames", "logit", "joint", "middle")


class Streaming(LoadedModel):
    """A model that takes recordings in, and gives what its network makes of each."""

    def stream(
        self,
        records: Any,
        fs: float | None = None,
        leads: Any = None,
        *,
        reading: ReadOptions = DEFAULTS,
        outputs: Sequence[str] = ("embedding",),
        layer: int | str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Encoded | FairseqSignalsError]:
        """Any number of recordings, one by one and in their order, as they are computed.

        Args:
            records: as for `embed`; an iterator is read as the results are asked for.
            fs, leads, layer, batch_size: as for `embed`.
            reading: how files are read.
            outputs: what to compute: any of "embedding", "frames", and of a classifier "logit", out of which
                `Encoded.probabilities` makes probabilities; of a regression `Encoded.logit` is standardised;
                "joint", of a model of ECGs and texts, what it compares with texts; "middle", the
                representation that outlier scores are of.

        Yields:
            An `Encoded`; for a recording that cannot be used, the error.
        """
        if not outputs or not set(outputs) <= set(STREAMED):
            raise ConfigError(
                f"outputs must be of {', '.join(STREAMED)}, but are {', '.join(outputs) or 'none'}"
            )
        if "logit" in outputs and self.targets is None:
            self._require_classes()
        if "joint" in outputs and not isinstance(self.network, ECGText):
            raise CheckpointError(f"{self!r} compares no ECGs with texts; model ecg_text_clip does")
        network = Outputs(self.network, outputs, layer)
        read = read_each(records, Opener(fs, leads, reading))
        yield from run(network, read, self.form, batch_size, self.device, self.exclusive)

    def _each(
        self,
        records: Any,
        fs: float | None,
        leads: Any,
        lead_names: Any,
        outputs: Sequence[str],
        batch_size: int,
        layer: int | str | None = None,
    ) -> Iterator[Encoded]:
        """As `stream`, but an error is raised."""
        reading = read_options(lead_names)
        for done in self.stream(
            records, fs, leads, reading=reading, outputs=outputs, layer=layer, batch_size=batch_size
        ):
            if isinstance(done, FairseqSignalsError):
                raise done
            yield done
