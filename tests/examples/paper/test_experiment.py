"""`examples/paper/experiment.py`: the scales that ship, and what jobs they take."""

from __future__ import annotations

import pytest

from fairseq_signals.errors import ConfigError

SCALES = ("demo", "small", "paper")


@pytest.fixture
def experiment(paper, scale, tmp_path):
    """`experiment(scale, **changes)`."""

    def make(name, **changes):
        return paper.experiment.Experiment({**scale(name), **changes}, tmp_path)

    return make


def test_every_file_of_the_folder_is_a_scale_of_its_name(paper_dir, experiment):
    names = [path.stem for path in (paper_dir / "config").glob("*.yaml")]
    assert sorted(names) == sorted(SCALES)
    for name in names:
        assert experiment(name)["scale"] == name


@pytest.mark.parametrize("name", ["small", "paper"])
def test_dx_is_chosen_by_the_papers_measure(name, experiment):
    arguments = experiment(name).finetune_arguments("classification", "w2v", "12", "12", "1")
    assert "checkpoint.best_checkpoint_metric=cinc_score" in arguments


def test_a_key_that_does_not_exist_is_refused_with_the_nearest(experiment):
    with pytest.raises(ConfigError, match="there is no key pretrain_seed; did you mean pretrain_seeds"):
        experiment("demo", pretrain_seed=True)


def test_without_a_scale_the_error_says_how_to_give_one(paper):
    with pytest.raises(ConfigError, match=r"--configfile .*there are demo, paper, small"):
        paper.experiment.Experiment({"out": "x"})


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_must_be_different_and_some(experiment, seeds):
    with pytest.raises(ConfigError, match="seeds must be different"):
        experiment("demo", seeds=seeds)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("extra_methods", ["crlcc"], "extra_methods has crlcc; there are cmlc"),
        ("methods", ["w2v", "crlc"], "methods has crlc; there are random_init"),
        ("lead_sets", [12, 4], "lead_sets has 4; there are 12, 6, 3, 2, 1"),
    ],
)
def test_what_is_chosen_must_exist(experiment, key, value, message):
    with pytest.raises(ConfigError, match=message):
        experiment("demo", **{key: value})


def test_methods_and_lead_sets_can_be_chosen(experiment):
    made = experiment("demo", methods=["w2v"], lead_sets=[12, 1], seeds=[5])
    assert made.result_files("1") == [
        "results/classification/w2v/pretrained-12/leads-12+1/seed5.json",
        "results/identification/w2v/pretrained-12/leads-12+1/seed5.json",
    ]
    assert "--methods w2v --lead-sets 12 1" in made.table_arguments()


def test_recordings_must_be_there_before_anything_runs(experiment, tmp_path):
    with pytest.raises(ConfigError, match="physionet2021: there is no folder None"):
        experiment("paper").check_recordings()
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match=r"ptbxl: there is no folder .*/b\. .*--config ptbxl="):
        experiment("paper", physionet2021="a", ptbxl="b").check_recordings()
    experiment("paper", physionet2021="a", ptbxl="a").check_recordings()
    experiment("demo").check_recordings()


def test_folders_are_relative_to_where_the_workflow_is_started(experiment, tmp_path):
    made = experiment("paper", out="here", physionet2021="raw", ptbxl="/abs/ptbxl")
    assert made.out == tmp_path / "here"
    assert made.store_arguments("physionet2021").startswith(
        f"physionet2021.py {tmp_path}/raw --subsets cpsc_2018,"
    )
    assert made.store_arguments("ptbxl") == "ptbxl.py /abs/ptbxl"


def test_stores_and_trainings_of_a_scale_have_one_sampling_rate(experiment):
    for fs, option, override in (
        (500, "--fs 500", "task.sample_rate"),
        (100, "--fs 100", "task.sample_rate=100"),
    ):
        made = experiment("demo", fs=fs)
        wanted = fs != 500
        assert (option in made.store_arguments("synthetic")) == wanted
        assert (override in made.pretrain_arguments("w2v", "12", "1")) == wanted
        assert (override in made.finetune_arguments("classification", "w2v", "12", "12", "1")) == wanted


def test_preprocessing_scripts_and_yaml_files_exist(paper, experiment, repo_dir):
    for name in SCALES:
        made = experiment(
            name, physionet2021="raw", ptbxl="raw", extra_methods=list(paper.published.EXTRA_METHODS.values())
        )
        for store in made.stores():
            assert (repo_dir / "preprocess" / made.store_arguments(store).split()[0]).is_file()
        for table in "1234":
            for cell in made.cells(table):
                if cell.method != "random_init":
                    config = made.pretraining_config(cell.method)
                    assert (repo_dir / "examples" / config).is_file()


@pytest.mark.parametrize("folder", ["mae", "jepa", "cpc", "hubert", "joint_embedding", "adversarial_mask"])
def test_every_file_of_these_folders_can_be_a_row(paper, repo_dir, folder):
    files = (repo_dir / "examples" / folder / "config" / "pretraining").glob("*.yaml")
    methods = {file.stem for file in files if not file.stem.endswith("_demo")} - {"hubert"}  # needs clusters
    assert methods <= set(paper.published.EXTRA_METHODS.values())


def test_the_last_checkpoint_counts_where_targets_move(experiment):
    for name, chosen in (("paper", "best"), ("demo", "last")):
        made = experiment(name)
        assert "--checkpoint last" in made.pretrain_arguments("byol", "12", "1")
        assert f"--checkpoint {chosen}" in made.pretrain_arguments("vicreg", "12", "1")


def test_the_paper_trains_a_model_for_each_lead_set_in_a_job_of_its_own(experiment):
    # 7 methods x 2 tasks x 5 lead sets x 3 seeds
    assert len(experiment("paper").result_files("1")) == 7 * 2 * 5 * 3
    # random initialisation of four methods' shapes is once; the 1-lead column lacks W2V+CMSC+RLM
    assert len(experiment("paper").result_files("2")) == (5 * 5 - 1) * 2 * 3


def test_the_demo_trains_the_lead_sets_of_one_model_in_one_job(experiment):
    made = experiment("demo")
    assert len(made.result_files("1")) == 7 * 2 * 3
    assert "results/classification/w2v/pretrained-12/leads-12+6+3+2+1/seed2.json" in made.result_files("1")
    assert "results/classification/w2v/pretrained-3/leads-3/seed2.json" in made.result_files("2")
    shared = set(made.result_files("1")) & set(made.result_files("2"))
    assert len(shared) == 5 * 2 * 3


def test_seeds_share_a_pretraining_unless_each_is_to_have_its_own(experiment):
    assert experiment("demo").pretrained_file("cmsc", "12", 3) == "pretrained/cmsc/leads-12/seed1.pt"
    made = experiment("demo", pretrain_seeds=True)
    assert made.pretrained_file("cmsc", "12", 3) == "pretrained/cmsc/leads-12/seed3.pt"


def test_a_digest_of_settings_follows_the_content_and_not_the_comments(
    paper, experiment, monkeypatch, tmp_path
):
    monkeypatch.setattr(paper.experiment, "EXAMPLES", tmp_path)
    made, file = experiment("demo"), tmp_path / "a.yaml"
    file.write_text("model:\n  width: 3\n  depth: 2\n")
    first = made.settings("a.yaml")
    file.write_text("# says more\nmodel: {depth: 2, width: 3}\n")
    assert made.settings("a.yaml") == first
    file.write_text("model: {depth: 2, width: 4}\n")
    assert made.settings("a.yaml") != first


def test_random_initialisation_needs_no_checkpoint_and_has_the_scales_encoder(experiment):
    arguments = experiment("small").finetune_arguments("classification", "random_init", "12", "6", "2")
    assert "--shape-of w2v_cmsc/config/pretraining/w2v_cmsc_rlm.yaml" in arguments
    assert "--shape-override=model.encoder_layers=4" in arguments
    assert arguments.endswith("model.feature_grad_mult=1.0")
    assert "--shape-of" not in experiment("small").finetune_arguments("classification", "w2v", "12", "6", "2")


def test_models_are_temporary_unless_they_are_to_be_kept(experiment):
    assert experiment("demo").models("x", lambda path: f"temp {path}") == "temp x"
    assert experiment("demo", keep_models=True).models("x", lambda path: f"temp {path}") == "x"


def test_gpus_are_asked_for_where_there_are_any(experiment):
    assert experiment("demo").device("evaluate") == "cpu"
    assert experiment("paper").device("evaluate") == "cuda"
    assert experiment("paper").resources("pretrain")["gpu"] == 1
    assert "gpu" not in experiment("paper").resources("store")
    assert experiment("paper").threads("pretrain") == 8
