"""Classes told by what is written of them, without a label in training: zero-shot classification.

The score of a record is the mean over its segments of the cosine with a class's prompts (CLIP, MERL). Beside
the trained model stand what it must be above: the same model untrained, with random weights; and shuffled
pairs, its scores given to other records. And what texts alone tell: the cosines of the records' own reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from fairseq_signals.checkpoints.input_format import SKIP, input_format, preset_of
from fairseq_signals.checkpoints.loading import Checkpoint, build_model, load_checkpoint
from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from fairseq_signals.evaluation.classification import labelled_items
from fairseq_signals.evaluation.lead_sets import LeadSets
from fairseq_signals.evaluation.predict import mean_of_groups, predict, read_split, warn_of_other_lengths
from fairseq_signals.evaluation.prompts import prompts_of
from fairseq_signals.evaluation.zeroshot_scores import (
    SHUFFLED,
    TEXT_ONLY,
    TRAINED,
    UNTRAINED,
    Scores,
    ZeroShot,
    places_of,
)
from fairseq_signals.manifest.folder import CLASSIFICATION, ECG_TEXT, LABELS_FILE, TEXTS_FILE
from fairseq_signals.manifest.labels import class_names, read_labels
from fairseq_signals.manifest.texts import VECTORS_FILE, read_texts, read_vectors, text_ids
from fairseq_signals.metrics.bootstrap import SEED
from fairseq_signals.metrics.classification import has_both_outcomes
from fairseq_signals.modules.device import check_device
from fairseq_signals.modules.ecg_text import ECGText
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.text.tokenizer import Tokenizer

_LONGEST = 1 << 16  # pieces of a text
_BATCH = 256  # texts


class Written(NamedTuple):
    """Texts as a model takes them: their words, or vectors (N, E) of them where it takes these."""

    texts: Sequence[str]
    vectors: np.ndarray | None = None


def zero_shot(
    checkpoint: Path,
    manifests: Path,
    lead_sets: Mapping[str, tuple[int, ...]],
    split: str = "test",
    prompts: Path | None = None,
    prompt_vectors: Path | None = None,
    texts: Path | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    given: Mapping[str, Any] = MappingProxyType({}),
) -> ZeroShot:
    """Score the records of a split by prompts.

    Args:
        checkpoint: of model `ecg_text_clip`, or the folder of a saved one.
        manifests: of a classification, with `labels.csv`.
        lead_sets, split, batch_size, device, given: as of `evaluate`.
        prompts: see `prompts_of`.
        prompt_vectors: a `.npy` file of them, a row each, for a model that takes vectors in place of texts.
        texts: folder of manifests made with `manifest ecg_text`, with the same split: the reports.

    Raises:
        CheckpointError: the model compares no ECGs with texts, or it has no tokenizer.
        ConfigError: prompts are given as texts where the model takes vectors, or the reverse.
        ManifestError, LabelError: manifests, labels or prompts are not as they must be.
    """
    check_device(device)
    info = load_checkpoint(checkpoint)
    if info.text is None:
        raise CheckpointError(f"{checkpoint}: compares no ECGs with texts; train model ecg_text_clip")
    known, fields = preset_of(info, given.get("preset")), {k: v for k, v in given.items() if k != "preset"}
    form = input_format(info, known).changed(fields)
    sets = lead_sets.of_model(form) if isinstance(lead_sets, LeadSets) else lead_sets
    table = read_labels(manifests / LABELS_FILE)
    asked = prompts_of(table, prompts)
    written = _written([text for _, text in asked], info, prompt_vectors, "--prompt-vectors")
    classes = np.array([c for c, _ in asked])
    manifest = read_split(manifests, split, CLASSIFICATION)
    warn_of_other_lengths(manifest, form)
    items, group, labels = labelled_items(manifest, len(table), "record", exclusive=False)
    records, patients = (np.array(column) for column in zip(*items))
    reports = None if texts is None else _reports(texts, split, records.tolist(), info)

    def scored(network: ECGText) -> tuple[Scores, np.ndarray]:
        """By an encoder of ECGs and one of texts; and the classes' vectors, (C, J)."""
        network.skip_zero_frames = form.zero_frames == SKIP
        means = _mean_of_classes(vectors_of(network, written), classes, len(table))
        segments = predict(network, manifest, sets, batch_size, device, form)  # (S, N, J)
        of_records = {name: mean_of_groups(each, group, len(items)) for name, each in zip(sets, segments)}
        cosines = {name: each @ means.T for name, each in of_records.items()}
        ranks = {}
        if reports is not None:
            of_texts = vectors_of(network, reports[0])
            ranks = {name: places_of(each @ of_texts.T, reports[1]) for name, each in of_records.items()}
        return Scores(labels, patients, cosines, ranks), means

    trained = build_model(info, device)
    assert isinstance(trained, ECGText)
    of_trained, means = scored(trained)
    rows = {TRAINED: of_trained, UNTRAINED: scored(untrained(info, device))[0]}
    order = np.random.default_rng(SEED).permutation(len(items))
    others = {name: each[order] for name, each in of_trained.cosines.items()}
    rows[SHUFFLED] = Scores(labels, patients, others)
    if reports is not None:
        has = reports[1] >= 0
        cosines = (vectors_of(trained, reports[0]) @ means.T)[reports[1][has]]
        rows[TEXT_ONLY] = Scores(labels[has], patients[has], {"texts": cosines})
    names = class_names(table, len(table))
    families = sets.families if isinstance(sets, LeadSets) else {}
    return ZeroShot(names, rows, families, _notes(names, labels, reports, len(items)))


def untrained(checkpoint: Checkpoint, device: str = "cpu") -> ECGText:
    """The model of a checkpoint before its training: random weights, drawn by the training's seed."""
    assert checkpoint.text is not None
    seed = (checkpoint.cfg.get("common") or {}).get("seed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed if isinstance(seed, int) else 1)
        network = ECGText(ECGEncoder(checkpoint.config), checkpoint.text, _tokenizer_in(checkpoint))
    return network.to(device).eval()


def vectors_of(network: ECGText, written: Written) -> np.ndarray:
    """Texts in a model's joint space, (N, J) float64, of length 1."""
    if written.vectors is not None:
        rows = torch.from_numpy(written.vectors)
    else:
        assert network.tokenizer is not None
        tokenizer = Tokenizer(network.tokenizer.cpu().numpy().tobytes(), "the model's tokenizer")
        rows = torch.from_numpy(tokenizer.rows(written.texts, _LONGEST))
    device = network.joint.bias.device
    with torch.inference_mode():
        found = [network.of_texts(part.to(device)).double().cpu() for part in rows.split(_BATCH)]
    return torch.cat(found).numpy()


def _written(texts: Sequence[str], info: Checkpoint, path: Path | None, option: str) -> Written:
    """Texts as the model of a checkpoint takes them."""
    assert info.text is not None
    if not info.text.text_vector_dim:
        if path is not None:
            raise ConfigError(f"{option} is for a model that takes vectors, but {info.path} takes texts")
        if _tokenizer_in(info) is None:
            raise CheckpointError(f"{info.path}: has no tokenizer, without which it can read no text")
        return Written(texts)
    if path is None:
        raise ConfigError(f"{info.path} takes vectors in place of texts: pass those of the prompts, {option}")
    return Written(texts, read_vectors(path, len(texts), info.text.text_vector_dim))


def _tokenizer_in(info: Checkpoint) -> Any:
    return info.state.get("tokenizer")


def _reports(
    folder: Path, split: str, records: Sequence[str], info: Checkpoint
) -> tuple[Written, np.ndarray]:
    """The distinct texts of records, and which of them each record has, (N,); -1: none.

    Raises:
        ManifestError: none of them has one.
    """
    manifest = read_split(folder, split, ECG_TEXT)
    table = read_texts(folder / TEXTS_FILE)
    of_record = dict(zip(manifest.record_ids, text_ids(manifest, len(table), TEXTS_FILE).tolist()))
    found = [of_record.get(record, -1) for record in records]
    distinct = sorted(set(found) - {-1})
    if not distinct:
        raise ManifestError(
            f"{manifest.path}: has no text of any record; make both manifests of one store, with one split"
        )
    place = {-1: -1, **{text_id: i for i, text_id in enumerate(distinct)}}
    vectors = folder / VECTORS_FILE if info.text and info.text.text_vector_dim else None
    written = _written(table.texts, info, vectors, VECTORS_FILE)
    chosen = None if written.vectors is None else written.vectors[distinct]
    return Written([table.texts[i] for i in distinct], chosen), np.array([place[i] for i in found])


def _mean_of_classes(vectors: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """The mean of each class's prompts, of length 1: (P, J) to (C, J)."""
    means = mean_of_groups(vectors, classes, n_classes)
    return means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-12)


def _notes(
    names: Sequence[str], labels: np.ndarray, reports: tuple[Written, np.ndarray] | None, n: int
) -> list[str]:
    both = has_both_outcomes(labels)
    notes = []
    if not both.all():
        without = ", ".join(name for name, defined in zip(names, both) if not defined)
        notes.append(
            f"macro AUROC is the mean over {both.sum()} of {len(names)} classes; "
            f"without both outcomes: {without}"
        )
    if reports is not None:
        has = int((reports[1] >= 0).sum())
        notes.append(
            f"{has:,} of {n:,} records have a text, one of {len(reports[0].texts):,}: recall is of "
            "the own text among all of these"
        )
    return notes
