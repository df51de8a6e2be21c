"""What settings list: methods, tasks, corpora, and what trainings have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fairseq_signals.manifest.folder import CLASSIFICATION, IDENTIFICATION, REGRESSION

LINEAR, ONCE, ATTENTIVE, KNN, COSINE, FINETUNED = "linear", "once", "attentive", "knn", "cosine", "finetuned"
#: The ways to test a frozen encoder in a task of each kind.
PROTOCOLS = {
    CLASSIFICATION: (LINEAR, ONCE, ATTENTIVE, KNN),
    REGRESSION: (LINEAR, ONCE, KNN),
    IDENTIFICATION: (COSINE,),
}


@dataclass(frozen=True)
class Method:
    """A row of the leaderboard: a training by its file, an encoder at random, or somebody's encoder.

    Args:
        name: in file names.
        title: in the tables.
        config: YAML file of its pre-training: a path, from the settings' folder, or one below the examples.
        overrides: of it, `group.key=value`; {updates} stands for the number of its updates.
        seconds: CPU seconds of one update, as `--measure` told once.
        share: of the budget, that this training is given.
        start: the method whose encoder it begins with, which has the rest of the budget.
        random_of: the encoder is that of this method with random weights.
        model: a saved folder or checkpoint.
        onnx: an ONNX file.
        object: `module:attribute`, a Python object with `embed(x, fs, leads)`.
        fs: sampling rate in Hz that an ONNX file or an object wants, where it does not tell.
        features: statistics over frames of its layers, "mean:-1", in place of those of the settings or of a
            saved model's own representation.
        finetune: overrides of its fine-tuning.
    """

    name: str
    title: str = ""
    config: str = ""
    overrides: tuple[str, ...] = ()
    seconds: float = 0.0
    share: float = 1.0
    start: str = ""
    random_of: str = ""
    model: str = ""
    onnx: str = ""
    object: str = ""
    fs: float | None = None
    features: tuple[str, ...] = ()
    finetune: tuple[str, ...] = ()

    @property
    def can_be_finetuned(self) -> bool:
        """Whether it has weights that fairseq can train."""
        return not (self.onnx or self.object)


@dataclass(frozen=True)
class Task:
    """What encoders are tested on.

    Args:
        name: in file names, and of its folder of manifests.
        kind: classification, regression or identification.
        corpora: whose records it is about.
        title: in the tables.
        labels: label table of a classification: of this room's `labels/`, or as the manifest script takes it.
        options: of the script that makes its manifests.
        published_folds: split as the corpus itself is, see `corpora.yaml`.
        lead_sets: under which encoders are tested, as `fairseq-signals evaluate --leads` takes them.
        protocols: how frozen encoders are tested.
        fractions: per cent of the training patients whose labels are used.
        finetune: encoders are fine-tuned for it, too.
    """

    name: str
    kind: str
    corpora: tuple[str, ...]
    title: str = ""
    labels: str = ""
    options: tuple[str, ...] = ()
    published_folds: bool = False
    lead_sets: tuple[str, ...] = ("12", "6", "3", "2", "1")
    protocols: tuple[str, ...] = ()
    fractions: tuple[int, ...] = ()
    finetune: bool = False


@dataclass(frozen=True)
class Corpus:
    """Recordings, in place of what `corpora.yaml` says of those of this name.

    Args:
        path: folder of the user's own download.
        script: of `preprocess/`, that reads it.
        options: of the script; {path} stands for the folder.
        folds: options of the manifest scripts for the split that was published with it.
        make: a synthetic corpus is made there: options of `examples/quickstart/make_corpus.py`.
    """

    path: str = ""
    script: str = ""
    options: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    make: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """What trainings have in common.

    Args:
        config: YAML file of fine-tunings, as of a method (default: the one beside the Snakefile).
        overrides: of every such training, before those of a method.
        where: of the records to pre-train on.
        updates: of a fine-tuning, by the fraction of the labels; it is validated five times.
    """

    config: str = ""
    overrides: tuple[str, ...] = ()
    where: str = "n_faults == 0 and n_leads >= 3 and 'unacceptable' not in codes"
    updates: dict[int, int] = field(default_factory=dict)
