"""`fairseq-hydra-train` from YAML to checkpoint: reproducible, resumable, safe to load."""

import math
import random
import re
import runpy
import shutil
import time
from itertools import product

import pytest
import torch

SEED = 2203  # of the moment of the kill
CONFIGS = ("pretrain", "classification", "identification")


def parameters(run) -> dict:
    """The parameters in the last checkpoint of a run, by name."""
    return run.checkpoint()["model"]


def differences(a: dict, b: dict) -> dict:
    """Largest absolute difference of each parameter that differs between two models."""
    assert a.keys() == b.keys()
    return {key: float((a[key] - b[key]).abs().max()) for key in a if not torch.equal(a[key], b[key])}


def mean(checkpoint: dict, name: str, aggregator: str = "train") -> float:
    """The mean of a logged value, as fairseq keeps it in its checkpoints."""
    meter = {key: state for _, key, _, state in checkpoint["extra_state"]["metrics"][aggregator]}[name]
    return float(meter["sum"]) / float(meter["count"])


def types_in(value) -> set:
    """The types of everything inside nested containers."""
    if isinstance(value, dict):
        return {type(value)}.union(*map(types_in, value), *map(types_in, value.values()))
    if isinstance(value, (list, tuple)):
        return {type(value)}.union(*map(types_in, value))
    return {type(value)}


@pytest.fixture(scope="module")
def two_updates(start_training, corpus, tiny_pretraining, pretrained, tmp_path_factory):
    """Runs of two updates and a validation: "a" and "b" of seed 1, "c" of seed 2, for each configuration."""
    folder = tmp_path_factory.mktemp("two_updates")
    runs = {}
    for config in CONFIGS:
        options = [f"model.model_path={pretrained}", "dataset.batch_size=8"]
        if config == "pretrain":
            options = ["dataset.disable_validation=false", *tiny_pretraining]
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            data, save_dir = getattr(corpus, config), folder / f"{config}-{name}"
            options = ["optimization.max_update=2", *options, f"common.seed={seed}"]
            runs[config, name] = start_training(config, data, save_dir, *options)
        for name in "abc":
            runs[config, name].wait()
    return runs


@pytest.mark.parametrize("config", CONFIGS)
def test_two_updates_of_a_quickstart_configuration_have_a_finite_loss(config, two_updates):
    checkpoint = two_updates[config, "a"].checkpoint()
    assert checkpoint["optimizer_history"][-1]["num_updates"] == 2
    assert 0 < mean(checkpoint, "loss") < math.inf


@pytest.mark.parametrize("config", CONFIGS)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(config, two_updates):
    a, b, c = (two_updates[config, name] for name in "abc")
    assert not differences(parameters(a), parameters(b))
    for name in ("loss", "gnorm"):
        assert mean(a.checkpoint(), name) == mean(b.checkpoint(), name)
        assert mean(a.checkpoint(), name) != mean(c.checkpoint(), name)


@pytest.mark.parametrize("config", CONFIGS)
def test_checkpoints_hold_nothing_but_tensors_and_plain_containers(config, two_updates):
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        checkpoint = two_updates[config, "a"].checkpoint(name)  # read with weights_only=True
        names = {cls.__name__ for cls in types_in(checkpoint)}
        plain = {"dict", "OrderedDict", "list", "tuple", "str", "int", "float", "bool", "NoneType"}
        assert names <= {*plain, "Tensor"}


@pytest.mark.parametrize("config", CONFIGS)
def test_checkpoints_load_through_fairseqs_own_api(config, two_updates, corpus):
    from fairseq.checkpoint_utils import load_model_ensemble_and_task

    run = two_updates[config, "a"]
    overrides = {"model_path": "/nowhere/pretrained.pt"} if config != "pretrain" else {}
    (model,), _, task = load_model_ensemble_and_task([str(run.save_dir / "checkpoint_last.pt")], overrides)
    assert not differences(model.state_dict(), parameters(run))
    task.load_dataset("valid")
    dataset = task.dataset("valid")
    batch = dataset.collater([0, 1])
    with torch.no_grad():
        output = model.eval()(**batch["net_input"])
    assert torch.isfinite(output.logits if config == "pretrain" else output).any()


@pytest.mark.parametrize(
    ("config", "metric"), [("classification", "auroc"), ("identification", "accuracy"), ("pretrain", "loss")]
)
def test_the_best_checkpoint_goes_by_a_metric_of_the_whole_validation_set(config, metric, two_updates):
    output = two_updates[config, "a"].log.read_text()
    line = re.findall(r"\[valid\].*valid on 'valid' subset.*", output)[-1]
    logged = float(re.search(rf"\| {metric} (\S+)", line)[1])
    assert two_updates[config, "a"].checkpoint()["extra_state"]["best"] == pytest.approx(logged, abs=1e-3)


@pytest.fixture(scope="module")
def noisy_pretraining(tiny_pretraining):
    """Pre-training with every source of randomness on, in which checkpoints fall in the middle of epochs."""
    return (
        *tiny_pretraining,
        "model.dropout=0.1",
        "model.attention_dropout=0.1",
        "+model.activation_dropout=0.1",
        "+model.dropout_input=0.1",
        "+model.dropout_features=0.1",
        "+model.encoder_layerdrop=0.1",
        "checkpoint.save_interval_updates=3",
        "optimization.max_update=24",
        "lr_scheduler.total_num_update=24",
    )


def test_a_killed_pretraining_resumes_and_ends_as_an_unbroken_one_bit_for_bit(
    start_training, corpus, noisy_pretraining, tmp_path
):
    unbroken = start_training("pretrain", corpus.pretrain, tmp_path / "unbroken", *noisy_pretraining)
    killed = start_training("pretrain", corpus.pretrain, tmp_path / "killed", *noisy_pretraining)
    moment = random.Random(SEED)
    last_update, pause = moment.randrange(3, 23), moment.uniform(0, 0.03)
    while f"num_updates={last_update}," not in killed.log.read_text() and killed.process.is_alive():
        time.sleep(0.002)
    time.sleep(pause)
    killed.kill()
    assert "done training" not in killed.log.read_text()
    resumed = start_training("pretrain", corpus.pretrain, tmp_path / "killed", *noisy_pretraining)
    continued = re.search(r"Loaded checkpoint .* \(epoch \d+ @ (\d+) updates\)", resumed.wait())
    assert 0 < int(continued[1]) <= last_update + 1
    unbroken.wait()
    assert resumed.checkpoint()["optimizer_history"][-1]["num_updates"] == 24
    assert not differences(parameters(unbroken), parameters(resumed)), f"killed after {last_update}, {pause}"
    optimizers = (run.checkpoint()["last_optimizer_state"]["state"] for run in (unbroken, resumed))
    for one, other in zip(*(state.values() for state in optimizers)):
        assert not differences({"v": one["exp_avg_sq"]}, {"v": other["exp_avg_sq"]})


def test_fine_tuning_resumes_when_the_pretrained_checkpoint_is_gone(
    start_training, corpus, pretrained, two_updates, tmp_path
):
    there = shutil.copy(pretrained, tmp_path / "pretrained.pt")
    options = [f"model.model_path={there}", "dataset.batch_size=8", "common.seed=1"]
    whole = start_training(
        "identification", corpus.identification, tmp_path / "whole", "optimization.max_update=4", *options
    )
    shutil.copytree(two_updates["identification", "a"].save_dir, tmp_path / "resumed")
    (tmp_path / "resumed" / "log.txt").unlink()
    whole.wait()
    (tmp_path / "pretrained.pt").unlink()
    resumed = start_training(
        "identification", corpus.identification, tmp_path / "resumed", "optimization.max_update=4", *options
    )
    assert "is gone; resuming takes the encoder's options from" in resumed.wait()
    assert not differences(parameters(whole), parameters(resumed))


@pytest.fixture
def ptbxl_superclass(repo_dir, write_wfdb, ecg_adu, tmp_path):
    """The README's manifests of PTB-XL's superclasses, of a look-alike: five classes and no weight matrix."""
    lookalike = runpy.run_path(str(repo_dir / "tests/preprocess/lookalikes/ptbxl.py"))
    first = lookalike["RECORDS"][0]
    lookalike["RECORDS"][:] = [
        {**first, "ecg_id": f"{i}", "patient_id": f"{i}.0", "strat_fold": fold, "scp_codes": code}
        for i, (fold, code) in enumerate(product("1289", ("{'NORM': 100.0}", "{'IMI': 100.0}")))
    ]
    raw = lookalike["make"](tmp_path, write_wfdb, ecg_adu)
    store, manifests = str(tmp_path / "store"), tmp_path / "ptbxl_superclass"
    options = ("--labels", "ptbxl_superclass", "--split-by", "strat_fold", "--where", "age >= 18")
    for script, *arguments in (
        ("preprocess/ptbxl.py", str(raw), "--dest", store, "--workers=1"),
        ("manifests/classification.py", store, "--dest", str(manifests), *options),
    ):
        assert runpy.run_path(str(repo_dir / script), run_name="script")["main"](arguments) == 0
    assert not (manifests / "weights.csv").exists()
    return manifests


@pytest.mark.parametrize("folder", ["w2v_cmsc/config/finetuning", "scratch/config"])
def test_labels_without_a_weight_matrix_train_with_the_shipped_configuration(
    folder, start_training, ptbxl_superclass, pretrained, repo_dir, tiny_pretraining, tmp_path
):
    sizes = [option for option in tiny_pretraining if option.startswith(("model.enc", "model.conv"))]
    model = sizes if folder.startswith("scratch") else [f"model.model_path={pretrained}"]
    options = ("common.cpu=true", "optimization.max_update=2", "dataset.batch_size=4", *model)
    config = repo_dir / "examples" / folder / "classification.yaml"
    run = start_training(config, ptbxl_superclass, tmp_path / "run", *options)
    validation = re.search(r'\{"epoch.*"valid_auroc".*\}', run.wait())[0]
    assert "cinc_score" not in validation
    checkpoint = run.checkpoint("checkpoint_best.pt")
    assert f'"valid_auroc": "{checkpoint["extra_state"]["best"]:g}"' in validation


def test_fine_tuning_does_not_start_without_the_pretrained_checkpoint(start_training, corpus, tmp_path):
    options = ("model.model_path=/nowhere/pretrained.pt", "optimization.max_update=1")
    run = start_training("classification", corpus.classification, tmp_path / "run", *options)
    output = run.wait(exit_code=1)
    assert "CheckpointError: model.model_path: there is no /nowhere/pretrained.pt" in output


@pytest.mark.parametrize("config", CONFIGS)
def test_nothing_but_stock_fairseqs_own_lines_comes_before_the_first_line_of_a_training(config, two_updates):
    log = two_updates[config, "a"].log.read_text()
    after_import = log[log.index("[fairseq_cli.train][INFO] - {'_name'") :]  # the plugin is there by then
    assert not re.findall(r".*(?:Warning|DEBUG).*", after_import)
