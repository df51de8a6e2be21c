"""From a manifest to what the model says of each record, under several lead sets at once.

Each lead set is given to the model as the paper does (Sec. 4): the leads outside it are zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.checkpoints.input_format import MAX, InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, LeadError, ManifestError
from fairseq_signals.evaluation.degradation import Degradation, degradation_of
from fairseq_signals.manifest.folder import CLASSIFICATION, IDENTIFICATION
from fairseq_signals.manifest.info import read_info
from fairseq_signals.manifest.table import Manifest, read_manifest
from fairseq_signals.store.resampled import warn_if_resampled_otherwise

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def read_split(folder: Path, name: str, kind: str) -> Manifest:
    """The manifest `name` of a folder, which is refused where its manifests are of another `kind`."""
    if kind == IDENTIFICATION:
        other, found = name.rsplit("_", 1)[0], CLASSIFICATION
    else:
        other, found = f"{name}_gallery", IDENTIFICATION
    path = folder / f"{name}.tsv"
    if not path.exists() and (folder / f"{other}.tsv").exists():
        raise ManifestError(
            f"{path} does not exist: {folder} holds {found} manifests, which the checkpoint is not for"
        )
    told = read_info(folder).get("kind", kind)
    if told != kind:  # classes are numbers, too
        raise ManifestError(f"{folder} holds {told} manifests, but the checkpoint is of {kind}: name others")
    return read_manifest(path)


def predict(
    model: Callable[..., torch.Tensor],
    manifest: Manifest,
    lead_sets: Mapping[str, tuple[int, ...]],
    batch_size: int,
    device: str = "cpu",
    form: InputFormat | None = None,
) -> np.ndarray:
    """The model's output for every segment under each lead set, (S, N, K) float32.

    A batch holds segments of one length, so that nothing is padded and no result depends on its neighbours.
    It is read once for all lead sets, and once more for each degradation (`degradation.py`) that lead sets
    name, after an `@`.

    Args:
        model: takes `source` (B, leads, samples), `padding_mask`, None here, and `lead_present` (B, leads),
            and gives (B, K).

    Raises:
        LeadError: a lead set has leads that the model does not take, or a record has none of its leads and
            the model can say nothing without any.
        CheckpointError: an output is not finite.
    """
    import torch
    from tqdm import tqdm

    form = form or InputFormat()
    _require_leads(lead_sets, form)
    places = [(degradation_of(name, form.fs), frozenset(leads)) for name, leads in lead_sets.items()]
    inputs: dict[Degradation | None, dict[frozenset[int], str]] = {}  # which may have several names
    for (degradation, leads), name in zip(places, lead_sets):
        inputs.setdefault(degradation, {}).setdefault(leads, name)
    if not len(manifest):
        raise ManifestError(f"{manifest.path}: the manifest lists no segment")
    reader = SegmentReader(manifest, form.fs)
    for store in reader.stores.values():
        warn_if_resampled_otherwise(store, form.resampler)
    lengths = np.minimum(manifest.n_samples, form.max_samples or manifest.n_samples.max())
    batches = list(batches_of_one_length(lengths, batch_size))
    outputs: list[np.ndarray] = []
    with torch.inference_mode():
        for batch in tqdm(batches, desc=manifest.path.name, unit="batch", disable=None, leave=False):
            n_samples, rows = int(lengths[batch[0]]), batch.tolist()
            recorded = torch.from_numpy(reader.present(batch)).to(device)
            found: dict[Any, np.ndarray] = {}
            for degradation, names in inputs.items():
                segments = np.stack([_read(reader, i, n_samples, form, degradation) for i in rows])
                source = torch.from_numpy(segments).to(device)  # (B, 12, T)
                for leads, name in names.items():
                    try:
                        found[degradation, leads] = _output(model, source, recorded, sorted(leads), form)
                    except LeadError as error:
                        without = int(recorded[:, sorted(leads)].any(dim=1).int().argmin())
                        raise LeadError(
                            f"{manifest.path}: record {manifest.record_ids[rows[without]]} has none of the "
                            f"leads of {name}: choose other lead sets, or leave it out of the manifest"
                        ) from error
            outputs.append(np.stack([found[place] for place in places]))  # (S, B, K)
    result = np.take(np.concatenate(outputs, axis=1), np.argsort(np.concatenate(batches)), axis=1)
    finite = np.isfinite(result).all(axis=(0, 2))
    if not finite.all():
        raise CheckpointError(
            f"the model's output is not finite for {(~finite).sum()} of {len(manifest)} segments, the first "
            f"of record {manifest.record_ids[finite.argmin()]}; check the training log for overflow"
        )
    return result


def _read(
    reader: SegmentReader, index: int, n_samples: int, form: InputFormat, how: Degradation | None
) -> np.ndarray:
    """The beginning of a segment as the model wants it, (12, n_samples), degraded before it is scaled."""
    if how is None:
        return reader.read_scaled(index, form.scaling, 0, n_samples)
    manifest = reader.manifest
    record, segment = manifest.record_ids[index], int(manifest.segments[index])
    change = partial(how, fs=form.fs, record_id=record, segment=segment)
    return reader.read_scaled(index, form.scaling, 0, n_samples, change)


def _output(
    model: Callable[..., torch.Tensor],
    source: torch.Tensor,
    recorded: torch.Tensor,
    leads: list[int],
    form: InputFormat,
) -> np.ndarray:
    """What a model makes of segments (B, 12, T) on a lead set, (B, K): other leads are zeros and absent."""
    import torch

    kept, present = torch.zeros_like(source), torch.zeros_like(recorded)
    kept[:, leads], present[:, leads] = source[:, leads], recorded[:, leads]
    taken = list(form.leads)
    return model(kept[:, taken], padding_mask=None, lead_present=present[:, taken]).float().cpu().numpy()


def warn_of_other_lengths(manifest: Manifest, form: InputFormat) -> None:
    """Warn in the log where most segments of a manifest are not as long as those of a model."""
    lengths, counts = np.unique(manifest.n_samples, return_counts=True)
    if len(lengths) and (most := int(lengths[counts.argmax()])) != form.segment_samples:
        logger.warning(
            "%s: most segments have %d samples, but the model takes %d; make the manifests with "
            "--segment-seconds %g, or pass --segment-seconds %g to go on without this warning",
            *(manifest.path, most, form.segment_samples, form.segment_samples / form.fs, most / form.fs),
        )


def _require_leads(lead_sets: Mapping[str, tuple[int, ...]], form: InputFormat) -> None:
    for label, leads in lead_sets.items():
        foreign = [LEADS[i] for i in leads if i not in form.leads]
        if foreign:
            raise LeadError(
                f"lead set {label} has {', '.join(foreign)}, but the model takes only "
                f"{', '.join(LEADS[i] for i in form.leads)}"
            )


def batches_of_one_length(n_samples: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Indices of at most `batch_size` segments of equal length, the shortest first, else in order."""
    for length in np.unique(n_samples):
        indices = np.flatnonzero(n_samples == length)
        yield from np.array_split(indices, range(batch_size, len(indices), batch_size))


def items_of(manifest: Manifest, per: str) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """What is counted, and to which of it each segment belongs.

    Returns:
        (record, patient) or (record, patient, segment) tuples, and (N,) indices into them.
    """
    columns: list[Iterable[Any]] = [manifest.record_ids, manifest.patient_ids]
    if per == "segment":
        columns.append(manifest.segments.tolist())
    place: dict[tuple[Any, ...], int] = {}
    group = [place.setdefault(item, len(place)) for item in zip(*columns)]
    return list(place), np.array(group, dtype=np.int64)


def mean_of_groups(
    values: np.ndarray, group: np.ndarray, n_groups: int, aggregates: Sequence[str] = ()
) -> np.ndarray:
    """Mean of the rows (N, K) of each group, (n_groups, K), or the maximum.

    Args:
        aggregates: (K,) "mean" or "max" of each column; all means by default.
    """
    sums = np.zeros((n_groups, values.shape[1]))
    np.add.at(sums, group, values)
    means = sums / np.bincount(group, minlength=n_groups)[:, None]
    largest = np.array(aggregates, dtype=str) == MAX  # NumPy 1.23 compares no numbers with texts
    if not largest.any():
        return means
    highest = np.full_like(means, -np.inf)
    np.maximum.at(highest, group, values)
    return np.where(largest, highest, means)
