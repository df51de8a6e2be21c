"""Training in bfloat16 and float16: losses stay those of float32, to the precision.

On CPU, fairseq needs `common.fp16_no_flatten_grads`, and in float16 it calls CUDA as soon as a gradient
overflows: hence the small `fp16_init_scale`. `common.amp` is CUDA's autocast, which does nothing here.
"""

import pytest
import torch

from tests.objectives import SCENARIOS, batch_of, criterion_of, model_of

PRECISIONS = {
    "float32": (),
    "bf16": ("common.bf16=true", "common.fp16_no_flatten_grads=true"),
    "fp16": ("common.fp16=true", "common.fp16_no_flatten_grads=true", "common.fp16_init_scale=1"),
    "amp": ("common.amp=true",),
}
CONFIGS = ("pretrain", "classification", "identification")


def mean_loss(run) -> float:
    """The mean training loss, as fairseq keeps it in its checkpoints."""
    meters = run.checkpoint()["extra_state"]["metrics"]["train"]
    state = {key: state for _, key, _, state in meters}["loss"]
    return float(state["sum"]) / float(state["count"])


@pytest.fixture(scope="module")
def losses(start_training, corpus, tiny_pretraining, pretrained, tmp_path_factory) -> dict:
    """Mean loss of three updates, by configuration and precision."""
    folder = tmp_path_factory.mktemp("precision")
    runs = {}
    for config in CONFIGS:
        options = tiny_pretraining
        if config != "pretrain":
            options = (f"model.model_path={pretrained}", "dataset.batch_size=8")
        for name, precision in PRECISIONS.items():
            data, save_dir = getattr(corpus, config), folder / f"{config}-{name}"
            arguments = ("optimization.max_update=3", "dataset.disable_validation=true", *options, *precision)
            runs[config, name] = start_training(config, data, save_dir, *arguments)
        for name in PRECISIONS:
            runs[config, name].wait()
    return {key: mean_loss(run) for key, run in runs.items()}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.04), ("fp16", 0.005), ("amp", 1e-4)])
def test_the_loss_is_that_of_float32_to_the_precision(config, precision, tolerance, losses):
    if precision not in PRECISIONS:
        pytest.skip(f"this torch does not compute in {precision} on CPU")
    assert losses[config, precision] == pytest.approx(losses[config, "float32"], rel=tolerance)
    assert (losses[config, precision] == losses[config, "float32"]) is (precision == "amp")


def loss_in(dtype: torch.dtype, name: str) -> float:
    """The loss of an objective, as fairseq casts model and batch; its gradients are finite."""
    model, batch = model_of(name).to(dtype), batch_of(name, slice(None))
    inputs = {key: x.to(dtype) if x.is_floating_point() else x for key, x in batch["net_input"].items()}
    loss, n, _ = criterion_of(name)(model, {**batch, "net_input": inputs})
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    return float(loss.detach()) / int(n)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_objectives_in_half_precision_are_those_of_float32(name):
    expected = loss_in(torch.float32, name)
    assert loss_in(torch.bfloat16, name) == pytest.approx(expected, rel=0.02)
    assert loss_in(torch.float16, name) == pytest.approx(expected, rel=0.005)
