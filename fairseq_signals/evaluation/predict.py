"""From a manifest to what the model says of each record, under several lead sets at once.

Each lead set is given to the model as the paper does (Sec. 4): the leads outside it are zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.checkpoints.input_format import MAX, InputFormat
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, LeadError, ManifestError
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
            n_samples, scaling = int(lengths[batch[0]]), form.scaling
            segments = np.stack([reader.read_scaled(i, scaling, 0, n_samples) for i in batch.tolist()])
            source = torch.from_numpy(segments).to(device)  # (B, 12, T)
            recorded = torch.from_numpy(np.stack([reader.present(i) for i in batch.tolist()])).to(device)
            per_set = []
            for label, leads in lead_sets.items():
                kept, present = torch.zeros_like(source), torch.zeros_like(recorded)
                kept[:, list(leads)] = source[:, list(leads)]
                present[:, list(leads)] = recorded[:, list(leads)]
                try:
                    output = model(
                        kept[:, list(form.leads)],
                        padding_mask=None,
                        lead_present=present[:, list(form.leads)],
                    )  # (B, K)
                except LeadError as error:
                    without = manifest.record_ids[batch[int(present.any(dim=1).int().argmin())]]
                    raise LeadError(
                        f"{manifest.path}: record {without} has none of the leads of {label}: choose other "
                        "lead sets, or leave it out of the manifest"
                    ) from error
                per_set.append(output.float().cpu().numpy())
            outputs.append(np.stack(per_set))  # (S, B, K)
    result = np.take(np.concatenate(outputs, axis=1), np.argsort(np.concatenate(batches)), axis=1)
    finite = np.isfinite(result).all(axis=(0, 2))
    if not finite.all():
        raise CheckpointError(
            f"the model's output is not finite for {(~finite).sum()} of {len(manifest)} segments, the first "
            f"of record {manifest.record_ids[finite.argmin()]}; check the training log for overflow"
        )
    return result


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
