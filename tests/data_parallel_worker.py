"""One of two data-parallel workers on CPU (gloo), for the tests `test_data_parallel*.py`.

Globals: RANK, MEETING (a file that the workers find each other by), SCENARIOS (a torch file: for each name,
model and criterion with their options, the model's state, whether it trains, and the batch of each worker),
RESULTS (where to save what this worker computed).
"""

# mypy: ignore-errors
# ruff: noqa: F821
import torch
import torch.distributed as dist
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY

import fairseq_signals  # noqa: F401
from fairseq_signals.modules.distributed import gather_rows
from fairseq_signals.tasks.validation import ValidationSet


def step(scenario: dict, rank: int) -> dict:
    """Loss, sample size and gradients of one batch, summed over the workers as fairseq's DDP does."""
    (name, options), (criterion_name, criterion_options) = scenario["model"], scenario["criterion"]
    model = MODEL_REGISTRY[name](MODEL_DATACLASS_REGISTRY[name](**options))
    model.load_state_dict(scenario["state"])
    model.train(scenario["train"])
    cfg = CRITERION_DATACLASS_REGISTRY[criterion_name](**criterion_options)
    criterion = CRITERION_REGISTRY[criterion_name](cfg, task=None)
    batch = scenario["batches"][rank]
    drawn = torch.Tensor.exponential_
    if "noise" in batch:  # the Gumbel noise of these frames
        torch.Tensor.exponential_ = lambda tensor, *_, **__: tensor.copy_(batch["noise"])
    ignored = rank in scenario["ignored"]
    try:
        loss, sample_size, log = criterion(model, {**batch, "repeated": ignored})
        loss = loss * 0 if ignored else loss
        loss.backward()
    finally:
        torch.Tensor.exponential_ = drawn
    size = torch.as_tensor(sample_size, dtype=torch.float) * (not ignored)
    result = {"loss": loss.detach(), "sample_size": size}
    for name, parameter in model.named_parameters():
        result[f"grad.{name}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    for value in result.values():
        dist.all_reduce(value)
    for key in ("prob_perplexity", "code_perplexity", "cmsc_loss"):
        if key in log:
            result[f"own.{key}"] = log[key] / sample_size
    for name, buffer in model.named_buffers():
        result[f"own.{name}"] = buffer
    for key in ("positive_pairs", "correct", "anchors"):
        if key in log:
            result[f"own.{key}"] = torch.as_tensor(log[key])
    return result


def exchanges(rank: int) -> dict:
    """What the workers get when they give unequal numbers of rows, one of them none."""
    own = torch.arange(2.0 + rank)[:, None].requires_grad_()  # 2 and 3 rows
    gathered = gather_rows(own)
    ((1.0 + rank) * gathered.pow(2).sum()).backward()
    outputs = ValidationSet()
    for batch in [([0, 1], [2]), ([3], [0, 1])]:  # then worker 1 repeats the first batch
        ids = torch.tensor(batch[rank])
        outputs.add({"id": ids, "score": ids * 10.0, "flag": ids > 1})
    columns = {key: torch.from_numpy(value) for key, value in outputs.columns().items()}
    none = gather_rows(torch.full((rank, 2), 7.0))
    return {"gathered": gathered.detach(), "grad": own.grad, "none": none, **columns}


dist.init_process_group("gloo", init_method=f"file://{MEETING}", rank=RANK, world_size=2)
torch.set_num_threads(1)
scenarios = torch.load(SCENARIOS, weights_only=True)
torch.save(
    {
        **{name: step(scenario, RANK) for name, scenario in scenarios.items()},
        "exchanges": exchanges(RANK),
    },
    RESULTS,
)
dist.destroy_process_group()
