"""Tasks as fairseq sets them up, and a validation as fairseq runs one."""

import fairseq  # noqa: F401  # first: it registers our components
import pytest
import torch
from omegaconf import OmegaConf


@pytest.fixture
def setup():
    """`setup(name, data, **options)`: a task."""
    from fairseq.tasks import setup_task

    def make(name, data, **options):
        cfg = {"task": {"_name": name, "data": str(data), **options}, "common": {"seed": 1}}
        return setup_task(OmegaConf.create(cfg).task)

    return make


@pytest.fixture
def build_criterion():
    """`build_criterion(task, name, **options)`: a criterion of a task."""

    def build(task, name, **options):
        return task.build_criterion(OmegaConf.create({"_name": name, **options}))

    return build


@pytest.fixture
def validate():
    """`validate(task, criterion, model, subset, batch_size)`: what fairseq logs after a validation."""
    from fairseq.logging import metrics

    def run(task, criterion, model, subset="valid", batch_size=4) -> dict:
        dataset = task.dataset(subset)
        batches = dataset.batch_by_size(dataset.ordered_indices(), max_sentences=batch_size)
        with metrics.aggregate(new_root=True) as root:
            for batch in batches:
                sample = dataset.collater(batch)
                with torch.no_grad():
                    _, _, log = task.valid_step(sample, model, criterion)
                with metrics.aggregate() as of_batch:
                    task.reduce_metrics([log], criterion)
                    of_batch.get_smoothed_values()
        return root.get_smoothed_values()

    return run
