"""`ecg_pretraining`: unlabelled segments, or pairs of them (Oh et al., Sec. 3), in one or several views."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Optional, Union

from fairseq.tasks import register_task

from fairseq_signals.batches.items import Drawing, pairs_of_patients, pairs_of_records
from fairseq_signals.batches.student_views import StudentViews
from fairseq_signals.batches.views import Views
from fairseq_signals.errors import CheckpointError, ConfigError
from fairseq_signals.models.given_path import given_model, missing_path
from fairseq_signals.tasks.base import ECGTask
from fairseq_signals.tasks.config import ECGTaskConfig
from fairseq_signals.tasks.resume import own_checkpoint

#: Pairs that are drawn anew each epoch.
DRAWN: Dict[str, Drawing] = {"patient": pairs_of_patients, "record": pairs_of_records}


@dataclass
class ECGPretrainingConfig(ECGTaskConfig):
    """Options of pre-training data."""

    segment_pairs: Any = field(  # a bool that is True by default would be a flag that makes it False
        default=True,
        metadata={
            "help": "an item is a pair of adjacent segments (global losses need pairs); false: one segment"
        },
    )
    item: Optional[str] = field(
        default=None,
        metadata={
            "help": "pairs in place of segment_pairs, drawn anew each epoch; 'patient': one a patient, of "
            "two of the patient's records (PCLR); 'record': one a record, with another of its patient, else "
            "with itself"
        },
    )
    repeats: int = field(
        default=1,
        metadata={
            "help": "how often an epoch has each item whose record has three leads or more, where many have "
            "fewer"
        },
    )
    views: int = field(
        default=1, metadata={"help": "views of each segment in a batch, transformed independently"}
    )
    view_leads: str = field(
        default="all",
        metadata={
            "help": "leads of a view: 'all' that are loaded; 'disjoint': they are dealt out to the views at "
            "random (contrastive random lead coding); 'single': a view for each (CLOCS), views stays 1"
        },
    )
    min_view_leads: int = field(default=1, metadata={"help": "'disjoint': leads that each view has at least"})
    view_crops: str = field(
        default="shared",
        metadata={
            "help": "where segments are cut to task.max_sample_size: 'shared', all views of one alike, or "
            "each has its 'own' cut"
        },
    )
    local_views: int = field(
        default=0, metadata={"help": "further, short views of each segment, for models that take them"}
    )
    local_samples: int = field(default=0, metadata={"help": "their length, samples"})
    student_views: int = field(
        default=0,
        metadata={
            "help": "views of each segment for students, transformed independently, after one of all leads, "
            "as they are, for their teacher; for models with one"
        },
    )
    student_leads: str = field(
        default="random",
        metadata={
            "help": "leads of a student's view: 'all' that are loaded; 'random': student_min_leads to "
            "student_max_leads of those that the record has; 'sets': one of the paper's lead sets"
        },
    )
    student_min_leads: int = field(default=1, metadata={"help": "'random': least number of leads"})
    student_max_leads: int = field(default=6, metadata={"help": "'random': largest number of leads"})


def configured_views(cfg: ECGPretrainingConfig, leads: Sequence[int]) -> Union[Views, StudentViews]:
    """The views that the options say.

    Raises:
        ConfigError: they contradict each other; names the key.
    """
    plain = Views(leads, cfg.views, cfg.view_leads, cfg.min_view_leads)
    if cfg.student_views == 0:
        return plain
    if (cfg.views, cfg.view_leads) != (1, "all"):
        raise ConfigError(
            f"task.student_views={cfg.student_views} makes the views of a segment, so that "
            f"task.views={cfg.views} and task.view_leads={cfg.view_leads} have no meaning; remove them"
        )
    if cfg.view_crops != "shared":
        raise ConfigError(
            f"task.view_crops={cfg.view_crops} cuts each view elsewhere, but a student's "
            f"(task.student_views={cfg.student_views}) is compared with its teacher's of the same stretch; "
            "set it to shared"
        )
    return StudentViews(
        leads, cfg.student_views, cfg.student_leads, cfg.student_min_leads, cfg.student_max_leads
    )


@register_task("ecg_pretraining", dataclass=ECGPretrainingConfig)
class ECGPretrainingTask(ECGTask):
    """Random lead masking and other transforms apply to validation too: it is the loss that is validated."""

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        given = cfg.segment_pairs
        self.pairs = {"true": True, "false": False}.get(str(given).lower())
        if self.pairs is None:
            raise ConfigError(f"task.segment_pairs must be true or false, but is {given!r} instead")
        if cfg.item is not None and cfg.item not in DRAWN:
            raise ConfigError(f"task.item must be {', '.join(DRAWN)} or null, but is {cfg.item!r} instead")
        if cfg.repeats < 1:
            raise ConfigError(f"task.repeats must be 1 or more, but is {cfg.repeats} instead")
        if cfg.view_crops not in ("shared", "own"):
            raise ConfigError(f"task.view_crops must be shared or own, but is {cfg.view_crops!r} instead")
        if cfg.local_views < 0 or (cfg.local_views > 0) != (cfg.local_samples > 0):
            raise ConfigError(
                f"task.local_views={cfg.local_views} and task.local_samples={cfg.local_samples} must both be "
                "above 0, or both 0"
            )
        self.segment_options = replace(
            self.segment_options,
            own_crops=cfg.view_crops == "own",
            local_views=cfg.local_views,
            local_samples=cfg.local_samples,
        )
        self.drawing = DRAWN.get(cfg.item)
        self.pairs = self.pairs or self.drawing is not None
        self.views = configured_views(cfg, self.leads)
        self.n_views, self.student_views = len(self.views), cfg.student_views
        self.local_views = cfg.local_views
        if self.segment_options.own_crops and not cfg.max_sample_size:
            raise ConfigError(
                "task.view_crops=own cuts each view elsewhere, but without task.max_sample_size nothing is "
                "cut: set that to the samples of a view, or view_crops to shared"
            )

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model, after which it is known whether it has a teacher: the data must be for one."""
        model = super().build_model(cfg, from_checkpoint)
        wanted = getattr(model, "views_for_teacher", getattr(model, "teacher", None) is not None)
        if wanted not in (None, self.cfg.student_views > 0):
            raise ConfigError(
                f"task.student_views is {self.cfg.student_views}, but model {cfg._name} has "
                + (
                    "no teacher that looks at views of its own: set it to 0"
                    + (", or model.distill_level" if getattr(cfg, "distill_level", None) else "")
                    if self.cfg.student_views
                    else "a teacher, which needs views for it and its students: set it to 1 or more"
                )
            )
        return model

    def complete_model(self, cfg: Any, from_checkpoint: bool) -> None:
        """Refuse a pre-trained encoder that is not there, but for a run that goes on from its checkpoint."""
        path, own = getattr(cfg, "model_path", None), own_checkpoint(cfg)
        goes_on = from_checkpoint or (own is not None and own.exists())
        if path and not goes_on and not given_model(path).exists():
            raise CheckpointError(f"model.model_path: {missing_path(path)}")

    def load_dataset(self, split: str, combine: bool = False, task_cfg: Any = None, **kwargs: Any) -> None:
        """Load `<split>.tsv`."""
        self.datasets[split] = self.dataset_of(
            self.manifest(split),
            split,
            pairs=self.pairs and self.drawing is None,
            drawing=self.drawing,
            repeats=self.cfg.repeats,
            transform=self.transforms,
            views=self.views,
        )
