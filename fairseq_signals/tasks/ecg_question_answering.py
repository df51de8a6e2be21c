"""`ecg_question_answering`: questions about one ECG or two, answers out of a list (arXiv:2306.15681)."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Sequence

import numpy as np
import torch
from fairseq.tasks import register_task

from fairseq_signals.checkpoints.loading import load_checkpoint
from fairseq_signals.checkpoints.text_side import TOKENIZER, fusion_of
from fairseq_signals.criterions.classification import ClassificationCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.manifest.folder import ANSWERS_FILE
from fairseq_signals.manifest.labels import LabelTable, read_labels
from fairseq_signals.manifest.questions import Question, ecg_rows, questions_file, read_questions
from fairseq_signals.metrics.questions import exact_match, exact_match_by_type
from fairseq_signals.models.given_path import given_model
from fairseq_signals.tasks.base import TrainingDataset
from fairseq_signals.tasks.config import ECGTaskConfig
from fairseq_signals.tasks.finetuning import FinetuningTask
from fairseq_signals.tasks.tokenizer import TokenizerTask, complete_text_side
from fairseq_signals.tasks.validation import ValidationSet, log_whole_set


@dataclass
class ECGQuestionAnsweringTaskConfig(ECGTaskConfig):
    """Options of the questions, in addition to those of the data."""

    max_text: int = field(
        default=128,
        metadata={"help": "pieces of a question, with its begin and end; longer ones are cut off"},
    )
    batch_by_ecg: bool = field(
        default=False,
        metadata={"help": "questions about one (first) ECG follow each other, so that a batch has few ECGs"},
    )


class QuestionDataset(TrainingDataset):
    """Items are questions. A batch has each ECG once, however many of its questions are about it."""

    questions: Sequence[Question] = ()
    rows: np.ndarray  # (Q, 2) rows of their ECGs, -1 without a second one
    by_ecg = False

    def ask(self, questions: Sequence[Question], rows: np.ndarray, text_rows: Any, n_answers: int) -> None:
        """Take the questions about these ECGs.

        Args:
            rows: see above.
            text_rows: makes pieces of texts, (B, M) int64.
            n_answers: K.
        """
        if len(self.items) < len(self.reader):
            raise ConfigError(
                f"{self.reader.manifest.path}: task.min_sample_size leaves out ECGs that are asked about; "
                "set it to 0"
            )
        self.questions, self.rows, self.text_rows, self.n_answers = questions, rows, text_rows, n_answers

    def __len__(self) -> int:
        return len(self.questions)

    def ordered_indices(self) -> np.ndarray:
        """As of all datasets; with `by_ecg`, ECG by ECG in the order of the first question about each."""
        order = super().ordered_indices()
        if not self.by_ecg:
            return order
        _, at, which = np.unique(self.rows[order, 0], return_index=True, return_inverse=True)
        return order[np.argsort(at[which], kind="stable")]

    def collater(self, samples: Sequence[int]) -> Dict[str, Any]:
        """The batch of these questions; {} where there are none.

        Returns:
            as of all datasets of the S ECGs that they are about, but `id` (B,), the questions, `label` (B, K)
            float32, the true answers, and in `net_input` `text` (B, M) and `ecgs` (B, 2) long, see the model.
        """
        asked = np.asarray(samples, dtype=np.int64)
        there, place = np.unique(self.rows[asked], return_inverse=True)
        absent = int(len(there) > 0 and there[0] < 0)
        batch = super().collater(there[absent:].tolist())
        if not batch:
            return batch
        label = np.zeros((len(asked), self.n_answers), np.float32)
        for row, one in zip(label, (self.questions[i] for i in asked)):
            row[list(one.answers)] = 1
        batch["id"], batch["label"] = torch.from_numpy(asked), torch.from_numpy(label)
        text = self.text_rows([self.questions[i].text for i in asked])
        batch["net_input"]["text"] = torch.from_numpy(text)
        batch["net_input"]["ecgs"] = torch.from_numpy(place.reshape(len(asked), 2).astype(np.int64) - absent)
        return batch

    def num_tokens(self, index: int) -> int:
        return sum(int(self.sizes[row]) for row in self.rows[index] if row >= 0)

    def size(self, index: int) -> int:
        return self.num_tokens(index)


@register_task("ecg_question_answering", dataclass=ECGQuestionAnsweringTaskConfig)
class ECGQuestionAnsweringTask(TokenizerTask, FinetuningTask):
    """Manifests are those of `manifests/ecg_qa.py`. Validation logs exact match, over all and by type."""

    dataset_type = QuestionDataset
    noted_as = "answers"

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        if cfg.max_text < 3:
            raise ConfigError(
                f"task.max_text must be 3 or more, for begin, a piece and end, but is {cfg.max_text} instead"
            )

    @cached_property
    def outputs(self) -> LabelTable:  # type: ignore[override]
        """The answers."""
        return read_labels(self.folder / ANSWERS_FILE)

    @property
    def num_labels(self) -> int:
        """Number of answers."""
        return len(self.outputs)

    def questions(self, split: str) -> List[Question]:
        """The questions of a split."""
        return read_questions(self.folder / questions_file(split), self.num_labels)

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv` and its questions."""
        manifest, questions = self.manifest(split), self.questions(split)
        transform = self.transforms if split.startswith("train") else None
        dataset = self.dataset_of(manifest, split, transform=transform)
        assert isinstance(dataset, QuestionDataset)
        rows = ecg_rows(questions, manifest.record_ids, str(self.folder / questions_file(split)))
        dataset.ask(questions, rows, self._pieces, self.num_labels)
        dataset.by_ecg = self.cfg.batch_by_ecg
        self.datasets[split] = dataset

    def _pieces(self, texts: Sequence[str]) -> np.ndarray:
        return self.tokenizer.rows(texts, self.cfg.max_text)

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """As of all fine-tuning; and the number of pieces.

        Raises:
            ManifestError: the pre-trained model read other pieces.
        """
        super().complete_model(cfg, from_checkpoint)
        if from_checkpoint:
            return
        complete_text_side(cfg, {"vocab_size": len(self.tokenizer)})
        path = getattr(cfg, "model_path", None)
        if path and given_model(path).exists():
            noted = fusion_of(load_checkpoint(given_model(path))).get(TOKENIZER)
            if noted is not None:
                self.require_pieces(noted.numpy().tobytes())

    def prepare_validation(self, criterion: Any) -> List[str]:
        """Name the metrics: of all questions, and of each type that training has."""
        if not isinstance(criterion, ClassificationCriterion) or criterion.threshold is None:
            raise ConfigError(
                f"criterion {criterion.cfg._name} is not for task ecg_question_answering, where several "
                "answers or none may be true; use binary_cross_entropy_with_logits"
            )
        types = sorted({one.type for one in self.questions("train")})
        self.metric_names = ["exact_match", *(f"exact_match_{kind}" for kind in types)]
        return [*super().prepare_validation(criterion), *self.metric_names]

    def log_validation(self, outputs: ValidationSet, criterion: Any) -> None:
        """Log exact match as ECG-QA does: of the answers that each question can have, by type."""
        subset = next(name for name, found in self.validation.items() if found is outputs)
        dataset = self.dataset(subset)

        def compute(columns: Dict[str, np.ndarray]) -> Dict[str, float]:
            return question_metrics(dataset.questions, columns, criterion.threshold, self.metric_names)

        log_whole_set(outputs, compute, self.metric_names)


def question_metrics(
    questions: Sequence[Question], columns: Dict[str, np.ndarray], threshold: float, names: Sequence[str]
) -> Dict[str, float]:
    """Exact match over the questions of `columns` (`id`, `label`, `scores`) and by type; NaN of none."""
    asked = [questions[i] for i in columns["id"]]
    valid = np.zeros(columns["label"].shape, dtype=bool)
    for row, one in zip(valid, asked):
        row[list(one.valid)] = True
    right = exact_match(columns["label"].astype(bool), columns["scores"], valid, threshold)
    found = exact_match_by_type(right, [one.type for one in asked])
    of_types = {f"exact_match_{kind}": value for kind, value in found.items()}
    return {**dict.fromkeys(names, float("nan")), "exact_match": float(right.mean()), **of_types}
