"""Stock fairseq's own entry points: options as arguments, and paths from where the user stands."""

from __future__ import annotations

import os
import shutil
from argparse import ArgumentParser

import pytest
from fairseq.dataclass.utils import gen_parser_from_dataclass

ENCODER = "--encoder-layers=1 --encoder-embed-dim=16 --encoder-ffn-embed-dim=32 --encoder-attention-heads=2"
ENCODER += " --conv-pos=8 --conv-pos-groups=2 --conv-feature-layers=[(8,2,2)]*4"
QUANTIZER = "--quantize-targets --latent-vars=8 --final-dim=8 --num-negatives=5"
TEACHER = "--projection=mlp_norm --final-dim=8 --teacher --predictor-hidden=8"
PATCHES = "--frontend=patch --patch-samples=25 --position=sincos"
#: by criterion: what fairseq-train needs beside it
TRAININGS = {
    "ecg_wav2vec2": f"pretraining --arch=ecg_wav2vec2 {QUANTIZER}",
    "wav2vec2_with_cmsc": f"pretraining --arch=wav2vec2_cmsc {QUANTIZER} --perturbation-mode=['emg_noise'] "
    "--perturbation-params={'emg_noise':{'max_amplitude_mv':0.2}} --leads-to-load=2",
    "cmsc": "pretraining --arch=wav2vec2_cmsc",
    "clocs": "pretraining --arch=ecg_contrastive --mode=cmlc --view-leads=single",
    "simclr": "pretraining --arch=ecg_contrastive --views=2 --segment-pairs=false",
    "3kg": "pretraining --arch=ecg_contrastive --views=2",
    "ts2vec": "pretraining --arch=ecg_contrastive --views=2 --segment-pairs=false",
    "cocoa": "pretraining --arch=ecg_contrastive --views=2 --segment-pairs=false",
    "dino": "pretraining --arch=ecg_distillation --student-views=1 --segment-pairs=false --distill-dim=8 "
    "--distill-hidden=16",
    "vicreg": "pretraining --arch=ecg_contrastive --views=2 --projection=mlp --final-dim=8",
    "smd": "pretraining --arch=ecg_contrastive --views=2 --sequence-layers=1 --sequence-dim=8",
    **dict.fromkeys(
        ("byol", "moco_v3", "simdino"), f"pretraining --arch=ecg_contrastive --views=2 {TEACHER}"
    ),
    "swav": "pretraining --arch=ecg_contrastive --views=2 --prototypes=4",
    "clip": "text_pretraining --arch=ecg_text_clip --text-layers=1 --joint-dim=8",
    "ecg_text_masked": f"text_pretraining --arch=ecg_text_fusion {PATCHES} --decoder-dim=8 --fusion-layers=1 "
    "--mask-words=0.3 --other-texts=0.5",
    "masked_reconstruction": f"pretraining --arch=ecg_mae {PATCHES} --decoder-dim=8",
    "latent_prediction": f"pretraining --arch=ecg_jepa {PATCHES} --predictor-dim=8 --ema-updates=2",
    "cpc": "pretraining --arch=ecg_cpc --step=4",
    "masked_sentence": "pretraining --arch=ecg_beat_tokens --codes=8 --code-dim=8 --decoder-dim=8",
    "masked_cluster_prediction": "pretraining --arch=ecg_hubert --num-clusters=4 --final-dim=8",
    "binary_cross_entropy_with_logits": "classification --arch=ecg_transformer_classifier",
    "cross_entropy_with_logits": "classification --arch=ecg_transformer_classifier",
    "regression": "regression --arch=ecg_transformer_classifier --best-checkpoint-metric=mae --loss=huber",
    "arcface": "identification --arch=arcface --best-checkpoint-metric=accuracy "
    "--maximize-best-checkpoint-metric",
}
#: The manifests of tasks and criterions, where they are not called as the task is.
DATA = {"pretraining": "pretrain", "text_pretraining": "text", "cross_entropy_with_logits": "one_class"}
#: One of each task; the others are slow tests.
QUICK = ("wav2vec2_with_cmsc", "binary_cross_entropy_with_logits", "regression", "arcface")


def test_every_criterion_is_trained_by_arguments_here(registered_names):
    assert set(TRAININGS) == registered_names("criterion")


@pytest.mark.parametrize(
    "criterion", [pytest.param(c, marks=[] if c in QUICK else pytest.mark.slow) for c in TRAININGS]
)
def test_fairseq_train_and_validate_take_every_criterion_by_arguments(
    criterion, start_fairseq, corpus, repo_dir, tmp_path
):
    task, *options = TRAININGS[criterion].split()
    data = getattr(corpus, DATA.get(criterion, DATA.get(task, task)))
    common = [str(data), f"--user-dir={repo_dir / 'fairseq_signals'}", f"--task=ecg_{task}", "--cpu"]
    common += ["--num-workers=0", "--batch-size=8"]
    train = [f"--criterion={criterion}", "--optimizer=adam", "--lr=0.001", "--max-update=2", "--save-dir=."]
    output = start_fairseq("train", tmp_path, *common, *train, *ENCODER.split(), *options).wait()
    assert "num_updates: 2 >= max_update: 2" in output
    assert "valid on 'valid' subset" in output
    start_fairseq("validate", tmp_path, *common, "--path=checkpoint_last.pt").wait()


@pytest.mark.parametrize("kind", ["task", "model", "criterion"])
def test_arguments_that_are_not_given_are_the_defaults_of_the_configuration(
    kind, registered_names, dataclass_registries
):
    for name in registered_names(kind):
        config = dataclass_registries[kind][name]()
        parser = ArgumentParser()
        gen_parser_from_dataclass(parser, config)
        given = vars(parser.parse_args(["folder"] if kind == "task" else []))
        given.pop("data", None)
        assert given or kind == "criterion"  # some have no option
        assert given == {key: config._get_default(key) for key in given}, name


def test_normalize_may_stand_alone_as_it_did_before_it_took_a_value(dataclass_registries):
    parser = ArgumentParser()
    gen_parser_from_dataclass(parser, dataclass_registries["task"]["ecg_pretraining"]())
    found = [
        parser.parse_args(["folder", *given]).normalize for given in (["--normalize"], ["--normalize=record"])
    ]
    assert found == ["segment", "record"]


def test_hydra_finds_relative_paths_where_the_user_stood_and_keeps_them_relative(
    start_training, corpus, pretrained, tmp_path
):
    shutil.copy(corpus.classification / "weights.csv", tmp_path / "scores.csv")
    data = os.path.relpath(corpus.classification, tmp_path)
    model = os.path.relpath(pretrained, tmp_path)
    options = ("+criterion.weights_file=scores.csv", f"model.model_path={model}", "optimization.max_update=1")
    run = start_training("classification", data, tmp_path, *options, "dataset.batch_size=8")
    output = run.wait()
    assert f"parameters from {tmp_path / model}" in output
    assert " cinc_score " in output
    cfg = run.checkpoint()["cfg"]
    assert (cfg["criterion"]["weights_file"], cfg["model"]["model_path"]) == ("scores.csv", model)
    assert cfg["task"]["data"] == os.path.join("..", data)  # from hydra.run.dir, for fairseq itself


def test_hydra_names_both_folders_where_a_relative_path_is_not(start_training, tmp_path):
    output = start_training("pretrain", "pre", tmp_path / "stood").wait(exit_code=1)
    assert f"ManifestError: task.data: pre is neither in {tmp_path / 'stood'}, " in output
    assert f"nor in {tmp_path / 'stood' / 'hydra'}, the folder of the run" in output
