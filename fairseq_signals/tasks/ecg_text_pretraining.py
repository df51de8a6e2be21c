"""`ecg_text_pretraining`: segments, each with what its report says, for models that read both."""

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch
from fairseq.tasks import register_task

from fairseq_signals.batches.randomness import generator
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.folder import TEXTS_FILE
from fairseq_signals.manifest.table import Manifest
from fairseq_signals.manifest.texts import VECTORS_FILE, TextTable, read_texts, read_vectors, text_ids
from fairseq_signals.tasks.base import TrainingDataset
from fairseq_signals.tasks.ecg_pretraining import ECGPretrainingConfig, ECGPretrainingTask
from fairseq_signals.tasks.tokenizer import TokenizerTask, complete_text_side
from fairseq_signals.text.cleaning import BETWEEN_LINES, lines_of
from fairseq_signals.text.masking import begins_word, mask_words
from fairseq_signals.text.tokenizer import Tokenizer

_TEXT_STREAM = 1 << 32  # of the generator of a segment; views have the first ones
_OTHER_STREAM, _MASK_STREAM = _TEXT_STREAM + 1, _TEXT_STREAM + 2
_TRIES = 64  # other segments, of which one with another text of another patient is shown


@dataclass
class ECGTextPretrainingConfig(ECGPretrainingConfig):
    """Options of the texts, in addition to those of pre-training data; an item is one segment by default."""

    segment_pairs: Any = field(default=False, metadata={"help": "an item is a pair of adjacent segments"})
    max_text: int = field(
        default=128, metadata={"help": "pieces of a text, with its begin and end; longer ones are cut off"}
    )
    shuffle_lines: bool = field(
        default=False,
        metadata={"help": "training texts have their lines, which '; ' separates, in any order"},
    )
    drop_lines: float = field(
        default=0.0,
        metadata={"help": "probability of each line of a training text to be left out; one stays"},
    )
    mask_words: float = field(
        default=0.0,
        metadata={"help": "share of the words of a text that are masked, to be told (ecg_text_masked)"},
    )
    other_texts: float = field(
        default=0.0,
        metadata={
            "help": "probability of a segment to be shown with a text of another patient that is not its own "
            "(ecg_text_masked)"
        },
    )
    text_vectors: bool = field(
        default=False,
        metadata={
            "help": "models get vectors in place of pieces: the rows of texts.npy beside the manifests"
        },
    )


class BatchTexts:
    """The texts of batches, as models take them.

    Args:
        table: all texts.
        tokenizer: of the manifests.
        vectors: (N, E) float32 of the texts, in place of pieces; or None.
        cfg: the options of the task.
    """

    def __init__(
        self,
        table: TextTable,
        tokenizer: Tokenizer,
        vectors: Optional[np.ndarray],
        cfg: ECGTextPretrainingConfig,
    ):
        self.texts, self.tokenizer, self.vectors = table.texts, tokenizer, vectors
        self.longest, self.shuffle_lines, self.drop_lines = cfg.max_text, cfg.shuffle_lines, cfg.drop_lines
        self.mask_words, self.other_texts = cfg.mask_words, cfg.other_texts
        self.begins = begins_word(tokenizer.pieces)

    def rows(self, ids: np.ndarray, rngs: Optional[Sequence[np.random.Generator]]) -> np.ndarray:
        """Of texts (B,) their pieces (B, M) int64, or vectors (B, E); with generators, lines are changed."""
        if self.vectors is not None:
            return self.vectors[ids]
        texts = [self.texts[i] for i in ids]
        if rngs is not None and (self.shuffle_lines or self.drop_lines):
            texts = [self._changed(text, rng) for text, rng in zip(texts, rngs)]
        return self.tokenizer.rows(texts, self.longest)

    def _changed(self, text: str, rng: np.random.Generator) -> str:
        lines = lines_of(text)
        order = rng.permutation(len(lines))
        kept = rng.random(len(lines)) >= self.drop_lines
        kept[order[0]] = True if not kept.any() else kept[order[0]]
        if not self.shuffle_lines:
            order = np.arange(len(lines))
        return BETWEEN_LINES.join(lines[i] for i in order if kept[i])


class TextDataset(TrainingDataset):
    """Batches with `net_input.text` and `label` (B,) long, the number of each segment's text.

    Where texts are pieces, `text_id` (B,) is the number of the one that is shown, and `asked` (B, M) long
    the pieces that were masked in that one, padding elsewhere.
    """

    batch_texts: BatchTexts

    def collater(self, samples: Sequence[int]) -> Dict[str, Any]:
        """As of all datasets; all views of a segment have one text."""
        batch = super().collater(samples)
        if not batch:
            return batch
        rows, texts = batch["segment_row"].tolist(), self.batch_texts
        shown = np.array([self._shown(row) for row in rows])
        found = texts.rows(shown, self._rngs(rows, _TEXT_STREAM) if self.shuffle else None)
        if texts.vectors is None:
            found, asked = mask_words(found, texts.begins, texts.mask_words, self._rngs(rows, _MASK_STREAM))
            batch["text_id"], batch["asked"] = torch.from_numpy(shown), torch.from_numpy(asked)
        batch["net_input"]["text"] = torch.from_numpy(found)
        return batch

    def _rngs(self, rows: Sequence[int], stream: int) -> List[np.random.Generator]:
        epoch = self.epoch if self.shuffle else 0  # every validation is the same
        return [generator(self.seed, epoch, row, 0, stream) for row in rows]

    def _shown(self, row: int) -> int:
        """The text that segment `row` is shown with: its own, or another patient's that says otherwise."""
        assert self.targets is not None
        own = int(self.targets[row])
        share = self.batch_texts.other_texts
        (rng,) = self._rngs([row], _OTHER_STREAM) if share else (None,)
        if rng is None or rng.random() >= share:
            return own
        others = rng.integers(len(self.targets), size=_TRIES)
        texts = self.targets[others].numpy()
        fit = texts[(texts != own) & (self.patient_index[others] != self.patient_index[row])]
        return int(fit[0]) if len(fit) else own


@register_task("ecg_text_pretraining", dataclass=ECGTextPretrainingConfig)
class ECGTextPretrainingTask(TokenizerTask, ECGPretrainingTask):
    """Manifests are those of `manifests/ecg_text.py`. A checkpoint keeps the bytes of their tokenizer."""

    dataset_type = TextDataset

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        if cfg.max_text < 3:
            raise ConfigError(
                f"task.max_text must be 3 or more, for begin, a piece and end, but is {cfg.max_text} instead"
            )
        for name in ("drop_lines", "mask_words", "other_texts"):
            value = getattr(cfg, name)
            if not 0 <= value < 1:
                raise ConfigError(f"task.{name} must be from 0 to below 1, but is {value} instead")
        if cfg.text_vectors and cfg.mask_words:
            raise ConfigError(
                f"task.mask_words={cfg.mask_words} masks words, but task.text_vectors has vectors of whole "
                "texts; remove the one or the other"
            )
        if cfg.text_vectors and (cfg.shuffle_lines or cfg.drop_lines):
            raise ConfigError(
                "task.shuffle_lines and task.drop_lines change texts, but task.text_vectors takes vectors of "
                "them as they are; remove the one or the other"
            )

    @property
    def reads_pieces(self) -> bool:
        """Whether texts come as pieces, and not as vectors."""
        return not self.cfg.text_vectors

    @cached_property
    def texts(self) -> TextTable:
        """The texts of the manifests."""
        return read_texts(self.folder / TEXTS_FILE)

    @cached_property
    def text_vectors(self) -> Optional[np.ndarray]:
        """(N, E) float32, a row for each of the texts; None where they come as pieces."""
        return read_vectors(self.folder / VECTORS_FILE, len(self.texts)) if self.cfg.text_vectors else None

    def dataset_of(self, manifest: Manifest, split: str, **options: Any) -> TrainingDataset:
        """A dataset whose batches have texts."""
        ids = torch.from_numpy(text_ids(manifest, len(self.texts), str(self.folder / TEXTS_FILE)))
        dataset = super().dataset_of(manifest, split, targets=ids, **options)
        assert isinstance(dataset, TextDataset)
        dataset.batch_texts = BatchTexts(self.texts, self.tokenizer, self.text_vectors, self.cfg)
        return dataset

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """Give a model that asks for it the number of pieces, or the width of the texts' vectors.

        Raises:
            ConfigError: the model's options say another one.
        """
        super().complete_model(cfg, from_checkpoint)
        if not from_checkpoint:
            vectors = self.text_vectors
            pieces, width = (len(self.tokenizer), 0) if vectors is None else (0, vectors.shape[1])
            complete_text_side(cfg, {"vocab_size": pieces, "text_vector_dim": width})

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """As of all pre-training; refuses a model that does not read texts."""
        model = super().build_model(cfg, from_checkpoint)
        if "text" not in inspect.signature(model.forward).parameters:
            raise ConfigError(
                f"model {cfg._name} does not read texts: choose another one, or task ecg_pretraining"
            )
        return model

    def prepare_validation(self, criterion: Any) -> List[str]:
        """As of all tasks; refuses texts that are changed for a criterion that takes them as they are."""
        if not getattr(criterion, "takes_changed_texts", False):
            for name in ("mask_words", "other_texts"):
                if getattr(self.cfg, name):
                    raise ConfigError(
                        f"task.{name}={getattr(self.cfg, name)} changes texts, but criterion "
                        f"{criterion.cfg._name} takes them for those of the ECGs: set it to 0, or choose "
                        "ecg_text_masked"
                    )
        return super().prepare_validation(criterion)
