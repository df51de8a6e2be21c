"""Whether a store's records were resampled as a model expects."""

from __future__ import annotations

import logging

from fairseq_signals.store.reading import STATE_FILE, RecordStore, read_state

logger = logging.getLogger(__name__)
#: Before the rate, in the counts of a store: how many records were resampled.
RESAMPLED_FROM = "resampled from "


def resampled_otherwise(store: RecordStore, wanted: str) -> bool:
    """Whether records of a store were resampled in another way than is wanted.

    Where all had the store's rate, none was, whatever the store says; of stores that do not say which were,
    all count.
    """
    path = store.root / STATE_FILE
    counts = read_state(path).get("counts") if path.is_file() else None
    some = not isinstance(counts, dict) or any(key.startswith(RESAMPLED_FROM) for key in counts)
    return some and store.resampler != wanted


def warn_if_resampled_otherwise(store: RecordStore, wanted: str) -> None:
    """Warn in the log that what a trained model makes of a store is of another input than it expects."""
    if resampled_otherwise(store, wanted):
        logger.warning(
            "%s: its records were resampled %s, but the model expects %s; preprocess again with --resampler "
            "%s, or pass --resampler %s to go on without this warning",
            *(store.root, store.resampler, wanted, wanted, store.resampler),
        )
