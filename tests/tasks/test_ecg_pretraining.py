"""Pre-training data: pairs or single segments, of our manifests and the authors'."""

import numpy as np
import pytest
import scipy.io
import torch
from omegaconf import OmegaConf

from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from tests.sizes import TINY


@pytest.fixture
def mat_files(tmp_path):
    """Segments 0 to 3 of records A and B as the authors' preprocessing writes them."""
    rng = np.random.default_rng(0)
    for name in ("A", "B"):
        for k in range(4):
            signal = {"feats": rng.normal(size=(12, 40)), "curr_sample_rate": 500}
            scipy.io.savemat(tmp_path / f"{name}_{k}.mat", signal)
    return tmp_path


def write(folder, *lines):
    (folder / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")


def batch_of(task):
    task.load_dataset("train")
    dataset = task.dataset("train")
    return dataset.collater(range(len(dataset)))


def test_pairs_of_the_authors_cmsc_manifest(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    batch = batch_of(setup("ecg_pretraining", mat_files))
    assert batch["segment"].tolist() == [0, 1, 0, 1]
    assert batch["patient_id"].tolist() == [0, 0, 1, 1]
    expected = scipy.io.loadmat(mat_files / "B_3.mat")["feats"].astype(np.float32)
    assert np.array_equal(batch["net_input"]["source"][3].numpy(), expected)


def test_single_segments_of_the_authors_plain_manifest(setup, mat_files):
    write(mat_files, "A_0.mat\t40", "B_1.mat\t40", "B_3.mat\t40")
    batch = batch_of(setup("ecg_pretraining", mat_files, segment_pairs=False))
    assert batch["net_input"]["source"].shape == (3, 12, 40)
    assert batch["record_id"].tolist() == [0, 1, 1]
    with pytest.raises(ManifestError, match="has no pair of segments to use"):
        batch_of(setup("ecg_pretraining", mat_files))


def test_random_lead_masking_applies_to_training_and_to_validation(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    (mat_files / "valid.tsv").write_text((mat_files / "train.tsv").read_text())
    options = {"perturbation_mode": ["random_leads_masking"], "mask_leads_selection": "conditional"}
    task = setup("ecg_pretraining", mat_files, **options, mask_leads_condition=[4, 5])
    for split in ("train", "valid"):
        task.load_dataset(split)
        source = task.dataset(split).collater([0])["net_input"]["source"]
        assert (~source.any(dim=2)).sum(dim=1).tolist() == [9, 9]


def test_the_seed_of_the_whole_configuration_is_that_of_the_data(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    options = {"perturbation_mode": ["random_leads_masking"]}
    one, same = (batch_of(setup("ecg_pretraining", mat_files, **options)) for _ in range(2))
    assert torch.equal(one["net_input"]["source"], same["net_input"]["source"])
    other = batch_of(setup("ecg_pretraining", mat_files, **options, seed=2))
    assert not torch.equal(one["net_input"]["source"], other["net_input"]["source"])


@pytest.mark.parametrize(
    ("options", "n_views", "kept"),
    [
        ({}, 1, {12}),
        ({"views": 2}, 2, {12}),
        ({"views": 2, "view_leads": "disjoint", "min_view_leads": 6}, 2, {6}),
        ({"view_leads": "single"}, 12, {1}),
        ({"view_leads": "single", "leads_to_load": "3"}, 3, {1}),
    ],
)
def test_views_are_those_of_the_configuration_in_training_and_validation(
    setup, mat_files, options, n_views, kept
):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    (mat_files / "valid.tsv").write_text((mat_files / "train.tsv").read_text())
    task = setup("ecg_pretraining", mat_files, **options)
    assert task.n_views == n_views
    for split in ("train", "valid"):
        task.load_dataset(split)
        dataset = task.dataset(split)
        batch = dataset.collater([0, 1])
        assert batch["view"].tolist() == list(range(n_views)) * 4
        assert len(batch["segment_row"].unique()) == 4
        assert set(batch["net_input"]["source"].any(dim=2).sum(dim=1).tolist()) == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 2, "view_leads": "single"}, r"task\.views is 2, but task\.view_leads=single"),
        ({"views": 2, "view_leads": "disjoint", "leads_to_load": "1"}, r"task\.leads_to_load gives 1 leads"),
        ({"segment_pairs": "no"}, r"task\.segment_pairs must be true or false, but is 'no' instead"),
        ({"view_leads": "every"}, r"task\.view_leads must be one of all, disjoint, single"),
        ({"item": "person"}, r"task\.item must be patient, record or null, but is 'person' instead"),
        ({"repeats": 0}, r"task\.repeats must be 1 or more, but is 0 instead"),
        ({"view_crops": "own"}, r"task\.view_crops=own .* without task\.max_sample_size nothing is cut"),
        ({"view_crops": "free"}, r"task\.view_crops must be shared or own, but is 'free' instead"),
        ({"local_views": 2}, r"task\.local_views=2 and task\.local_samples=0 must both be above 0, or both"),
        ({"local_samples": 9}, r"task\.local_views=0 and task\.local_samples=9 must both"),
    ],
)
def test_pairs_and_views_that_cannot_be_are_refused_before_any_data_is_read(setup, options, message):
    with pytest.raises(ConfigError, match=message):
        setup("ecg_pretraining", "/nowhere", **options)


def test_a_global_loss_that_would_be_0_throughout_is_refused_before_any_data_is_read(setup, build_criterion):
    single = setup("ecg_pretraining", "/nowhere", segment_pairs=False)
    for name in ("cmsc", "wav2vec2_with_cmsc"):
        with pytest.raises(ConfigError, match=f"criterion {name} compares .* task.segment_pairs is false"):
            build_criterion(single, name)
        assert build_criterion(setup("ecg_pretraining", "/nowhere"), name)
    for name, options in (("wav2vec2_with_cmsc", {"cmsc_weight": 0.0}), ("ecg_wav2vec2", {})):
        assert build_criterion(single, name, **options)


@pytest.mark.filterwarnings("ignore")  # hydra has much to say about how fairseq calls it
@pytest.mark.parametrize(
    ("arguments", "pairs"),
    [([], True), (["--segment-pairs", "true"], True), (["--segment-pairs", "false"], False)],
)
def test_the_flag_of_pairs_does_what_it_says(arguments, pairs):
    from fairseq import options, tasks
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    command = ["/nowhere", "--task=ecg_pretraining", "--arch=wav2vec2_cmsc", "--criterion=cmsc", *arguments]
    args = options.parse_args_and_arch(options.get_training_parser(), command)
    task = tasks.setup_task(convert_namespace_to_omegaconf(args).task)
    assert task.pairs is pairs


@pytest.mark.parametrize(
    ("criterion", "options"),
    [
        ({"_name": "simclr"}, {"views": 1}),
        ({"_name": "3kg"}, {"segment_pairs": False}),
        ({"_name": "clocs", "mode": "cmlc"}, {"views": 1}),
    ],
)
def test_a_criterion_refuses_a_task_whose_batches_have_no_positive_pair(
    setup, build_criterion, mat_files, criterion, options
):
    name = criterion.pop("_name")
    with pytest.raises(ConfigError, match=r"task\.(views|view_leads)"):
        build_criterion(setup("ecg_pretraining", mat_files, **options), name, **criterion)
    assert build_criterion(setup("ecg_pretraining", mat_files, views=2), name, **criterion)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 2}, r"task\.student_views=2 makes the views of a segment, so that task\.views=2"),
        ({"view_leads": "single"}, r"task\.view_leads=single have no meaning"),
        ({"view_crops": "own"}, r"task\.view_crops=own cuts each view elsewhere"),
        ({"student_leads": "few"}, r"task\.student_leads must be one of all, random, sets"),
    ],
)
def test_views_of_students_beside_other_views_are_refused(options, message, setup, tmp_path):
    with pytest.raises(ConfigError, match=message):
        setup("ecg_pretraining", tmp_path, student_views=2, **options)


def test_records_of_a_patient_are_pairs_whatever_is_said_of_segments(setup, tmp_path, build_criterion):
    task = setup("ecg_pretraining", tmp_path, item="patient", segment_pairs=False)
    assert task.pairs
    assert build_criterion(task, "3kg")


def test_a_criterion_without_use_for_short_views_is_refused(setup, tmp_path, build_criterion):
    task = setup("ecg_pretraining", tmp_path, views=2, local_views=2, local_samples=625)
    assert build_criterion(task, "simdino")
    with pytest.raises(ConfigError, match=r"task\.local_views is 2, but criterion byol has no use"):
        build_criterion(task, "byol")


def test_a_pretrained_encoder_that_is_not_there_is_refused(setup, tmp_path):
    model = OmegaConf.create({"_name": "ecg_distillation", **TINY, "model_path": str(tmp_path / "gone.pt")})
    with pytest.raises(CheckpointError, match=r"model\.model_path: there is no .*gone\.pt"):
        setup("ecg_pretraining", tmp_path, student_views=1).build_model(model)


@pytest.mark.parametrize(
    ("students", "level", "message"),
    [
        (1, "none", r"has no teacher .*: set it to 0, or model\.distill_level"),
        (0, "segment", r"has a teacher, which needs views"),
    ],
)
def test_views_for_a_teacher_come_with_a_model_that_has_one(students, level, message, setup, tmp_path):
    model = OmegaConf.create({"_name": "wav2vec2_cmsc", **TINY, "distill_level": level, "distill_hidden": 8})
    with pytest.raises(
        ConfigError, match=rf"task\.student_views is {students}, but model wav2vec2_cmsc {message}"
    ):
        setup("ecg_pretraining", tmp_path, student_views=students).build_model(model)


@pytest.mark.parametrize("name", ["ecg_jepa", "ecg_contrastive"])
def test_a_model_whose_teacher_sees_what_its_student_sees_takes_no_views_for_it(name, setup, tmp_path):
    jepa = {"patch_samples": 20, "predictor_dim": 16, "predictor_layers": 1} if name == "ecg_jepa" else {}
    model = OmegaConf.create({"_name": name, **TINY, **jepa})
    with pytest.raises(
        ConfigError, match=rf"model {name} has no teacher that looks at views of its own: set it to 0$"
    ):
        setup("ecg_pretraining", tmp_path, student_views=1).build_model(model)
