"""What the tasks share: options that are checked, leads, batches, and workers' noise."""

from __future__ import annotations

import fairseq  # first: it registers our components
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from fairseq_signals.batches.views import Views
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.normalize import Scaling
from fairseq_signals.errors import ConfigError, LeadError, ManifestError
from fairseq_signals.safety.locks import one_process
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.tasks import base
from fairseq_signals.tasks.base import TrainingDataset

TASKS = ("ecg_pretraining", "ecg_classification", "ecg_identification")


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("n_items", [1, 2, 8, 9, 33])
def test_no_item_is_dropped_to_make_a_batch_size_a_multiple(n_items, multiple):
    dataset = object.__new__(TrainingDataset)  # batching looks at sizes only
    dataset.items, dataset.views = np.arange(n_items)[:, None], Views(range(12))
    dataset.sizes = np.full(n_items, 2500)
    batches = dataset.batch_by_size(
        np.arange(n_items), max_sentences=32, required_batch_size_multiple=multiple
    )
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_items))
    assert [len(batch) for batch in batches[:-1]] == [32] * (len(batches) - 1)


@pytest.mark.parametrize("n_views", [1, 2])
def test_batches_may_be_limited_in_samples_too(n_views):
    dataset = object.__new__(TrainingDataset)
    dataset.items, dataset.views = np.arange(20).reshape(10, 2), Views(range(12), n_views)
    dataset.sizes = np.full(10, 2500)
    batches = dataset.batch_by_size(np.arange(10), max_tokens=3 * 2 * 2500 * n_views)  # three pairs
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]


@pytest.mark.parametrize("name", TASKS)
def test_a_misspelt_key_is_named_with_its_near_misses(setup, name):
    with pytest.raises(ConfigError, match=r"unknown key task.mask_lead_prob \(did you mean mask_leads_prob"):
        setup(name, "/data", mask_lead_prob=0.3)
    with pytest.raises(ConfigError, match=r"unknown key task.zzz\. \w+Config knows: aggregate, "):
        setup(name, "/data", zzz=1)


@pytest.mark.parametrize(
    ("section", "name", "meant"),
    [("model", "wav2vec2_cmcs", "wav2vec2_cmsc"), ("criterion", "wav2vec2_cmsc", "wav2vec2_with_cmsc")],
)
def test_a_misspelt_component_is_named_with_its_near_misses(setup, section, name, meant):
    build = getattr(setup("ecg_pretraining", "unused"), f"build_{section}")
    with pytest.raises(ConfigError, match=rf"{section}\._name: there is no {name}; did you mean .*{meant}"):
        build(OmegaConf.create({"_name": name}))


@pytest.mark.parametrize(
    "options",
    [
        {"mask_leads_prob": "half"},
        {"max_sample_size": "long"},
        {"perturbation_mode": "random_leads_masking"},
        {"p": [1, "often"]},
    ],
)
def test_a_value_of_another_type_is_refused(setup, options):
    (key,) = options
    with pytest.raises((ValidationError, ValueError), match=r"could not be converted|Cannot|not a") as error:
        setup("ecg_pretraining", "/data", **options)
    assert key in str(error.value) or options[key] in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalize": "perhaps"}, "task.normalize must be one of none, segment, record, but is 'perhaps'"),
        ({"resampler": "cubic"}, "task.resampler must be one of polyphase, linear, but is 'cubic' instead$"),
        ({"input_scale": 0}, "task.input_scale must be"),
        ({"preset": "ecgfm"}, r"there is no preset 'ecgfm'; did you mean ecg-fm\?"),
    ],
)
def test_an_input_that_cannot_be_is_refused(setup, options, message):
    with pytest.raises(ConfigError, match=message):
        setup("ecg_pretraining", "/data", **options)


def test_a_preset_says_what_is_not_given(setup):
    cfg = setup("ecg_pretraining", "/data", preset="ecg-fm").cfg
    given = (cfg.sample_rate, cfg.normalize, cfg.resampler, cfg.last_segment, cfg.zero_frames, cfg.segment_s)
    assert given == (500, "record", "linear", "drop", "skip", 5)
    cfg = setup("ecg_pretraining", "/data", preset="deepecg-ssl", normalize=True).cfg
    assert (cfg.sample_rate, cfg.normalize, cfg.segment_s, cfg.resampler) == (250, "segment", 10, None)


@pytest.mark.parametrize(
    ("old", "now"), [(True, "segment"), (False, "none"), (None, "none"), ("true", "segment")]
)
def test_what_normalize_was_before_means_what_it_did(setup, old, now):
    assert setup("ecg_pretraining", "/data", normalize=old).segment_options.scaling == Scaling(now)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_rate": 0}, ConfigError, "task.sample_rate must be > 0 Hz, but is 0"),
        ({"leads_to_load": ["I", "V7"]}, LeadError, "V7"),
        ({"leads_to_load": "I,I"}, LeadError, "lead I is given more than once"),
        ({"leads_to_load": 5}, LeadError, r"there is no lead set '5'.* An index is written as \[5\]"),
        ({"perturbation_mode": ["rlm"]}, ConfigError, "no transform 'rlm'"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(setup, options, error, message):
    with pytest.raises(error, match=message):
        setup("ecg_pretraining", "/data", **options)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (None, LEADS),
        ("6", LEADS[:6]),
        (6, LEADS[:6]),  # what YAML and hydra make of leads_to_load=6
        (1, LEADS[:1]),
        ([6], ("V1",)),
        (["II", "V2"], ("II", "V2")),
        ("I,II,V2", ("I", "II", "V2")),
    ],
)
def test_leads_come_as_a_lead_set_names_or_indices(setup, spec, names):
    task = setup("ecg_pretraining", "/data", leads_to_load=spec)
    assert [LEADS[i] for i in task.leads] == list(names)


def test_a_model_must_take_as_many_leads_as_the_data_has(setup):
    task = setup("ecg_pretraining", "/data", leads_to_load="2", enable_padding_leads=False)
    with pytest.raises(ConfigError, match=r"model.in_d is 12, but task.leads_to_load gives 2 leads"):
        task.build_model(OmegaConf.create({"_name": "ecg_transformer", "in_d": 12}))
    padded = setup("ecg_pretraining", "/data", leads_to_load="2")
    with pytest.raises(ConfigError, match=r"model.in_d is 2, but task.leads_to_load gives 12 leads"):
        padded.build_model(OmegaConf.create({"_name": "ecg_transformer", "in_d": 2}))


def test_a_model_of_the_leads_alone_is_built_without_saying_their_number(setup, tiny):
    task = setup("ecg_pretraining", "/data", leads_to_load="2", enable_padding_leads=False)
    model = task.build_model(OmegaConf.create({"_name": "ecg_transformer", **tiny, "in_d": 2}))
    assert model(torch.zeros(1, 2, 320)).x.shape == (1, 20, 16)


def test_a_split_that_is_not_there_is_an_error_that_names_the_others(setup, tmp_path):
    (tmp_path / "valid.tsv").write_text("x\n")
    with pytest.raises(
        ManifestError, match=r"train.tsv: there is no such manifest. The folder has: valid.tsv"
    ):
        setup("ecg_pretraining", tmp_path).load_dataset("train")


def test_a_manifest_of_a_store_that_was_built_anew_is_not_trained_on(setup, tmp_path):
    rows = [StoreRow("b", "x", 500.0, ("I",), np.ones(1), np.zeros((1, 9), np.int16))]
    write_shard(tmp_path / "shard-00000.arrow", rows)
    (tmp_path / "train.tsv").write_text(".\nshard-00000.arrow#0:0\t9\tx/a\tx/p\t0\t\n")
    with pytest.raises(ManifestError, match=r"train.tsv:2: .* is x/b in the store, but x/a in the manifest"):
        setup("ecg_pretraining", tmp_path).load_dataset("train")


@pytest.fixture
def begin(tmp_path, tiny):
    """`begin(**options)`: as a training in `tmp_path` begins, or with `from_checkpoint` a model is loaded."""

    def run(from_checkpoint=False, **options):
        sections = {
            "checkpoint": {"save_dir": str(tmp_path), "restore_file": "checkpoint_last.pt", **options},
            "task": {"_name": "ecg_pretraining", "data": "/data"},
            "model": {"_name": "ecg_transformer", **tiny},
            "common": {"seed": 1},
        }
        cfg = OmegaConf.create(sections)
        fairseq.tasks.setup_task(cfg.task).build_model(cfg.model, from_checkpoint=from_checkpoint)

    return run


def test_a_run_mends_its_checkpoint_before_it_starts(tmp_path, begin):
    torch.save({"model": 1}, tmp_path / "checkpoint_1_4.pt")
    (tmp_path / "checkpoint_last.pt").write_bytes(b"PK\x03\x04")
    begin()
    assert torch.load(tmp_path / "checkpoint_last.pt", weights_only=True) == {"model": 1}


def test_one_process_at_a_time_trains_in_a_folder(tmp_path, begin):
    (tmp_path / "checkpoint_1_2.pt.tmp").write_bytes(b"PK\x03\x04")
    with one_process(tmp_path, ConfigError("busy")):
        with pytest.raises(ConfigError, match="another process is training there"):
            begin()
        begin(no_save=True)
        begin(from_checkpoint=True)
        assert (tmp_path / "checkpoint_1_2.pt.tmp").exists()
    begin()
    assert not list(tmp_path.iterdir())
    begin()  # in the same process


class Drawing(torch.nn.Module):
    """A model and criterion in one: its loss is a random number."""

    def set_num_updates(self, num_updates):
        pass

    def forward(self, model, sample):
        self.repeated = sample.get("repeated", False)
        loss = torch.rand(()) * torch.ones((), requires_grad=True)
        return loss, 1, {"drawn": float(loss.detach())}


class Optimizer:
    def backward(self, loss):
        loss.backward()


@pytest.fixture
def draw(setup, monkeypatch):
    """`draw(rank, updates)`: what a worker draws in steps of these updates; fairseq seeds all alike."""

    def run(rank, updates, seed=1) -> list:
        monkeypatch.setattr(base, "worker_rank", lambda: rank)
        task, model = setup("ecg_pretraining", "/data", seed=seed), Drawing()
        drawn, before = [], None
        for update in updates:
            if update != before:
                torch.manual_seed(seed + update)
            before = update
            _, _, log = task.train_step({}, model, model, Optimizer(), update)
            drawn.append(log["drawn"])
        return drawn

    return run


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp:FutureWarning", "ignore:.*CUDA is not available")
def test_workers_draw_noise_of_their_own_that_seed_and_update_decide(draw):
    runs = [draw(rank, [0, 0, 1, 2]) for rank in (0, 1, 2)]
    assert len({value for run in runs for value in run}) == 12  # two batches of an update differ too
    assert draw(1, [0, 0, 1, 2]) == runs[1]
    assert draw(1, [1, 2]) == runs[1][2:]  # as after resuming
    assert draw(1, [0], seed=2)[0] != runs[1][0]


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp:FutureWarning", "ignore:.*CUDA is not available")
def test_a_criterion_is_told_which_batch_is_a_repeated_one(setup):
    task, model, sample = setup("ecg_pretraining", "/data"), Drawing(), {}
    for ignore_grad in (True, False):  # fairseq goes on with the same batch
        task.train_step(sample, model, model, Optimizer(), 0, ignore_grad=ignore_grad)
        assert model.repeated is ignore_grad
