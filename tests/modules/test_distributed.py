"""Tensors across data-parallel workers, in two processes and in one."""

from __future__ import annotations

import subprocess
import sys

import torch

from fairseq_signals.modules.distributed import gather_rows, mean_over_workers, pad_to_longest, world_size

WORKER = """
import sys
import torch
import torch.distributed as dist
from fairseq_signals.modules.distributed import gather_rows, mean_over_workers, pad_to_longest, world_size
from fairseq_signals.modules.mlp_head import WorkerBatchNorm

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
assert world_size() == 2
everyone = torch.arange(15.0).view(5, 3)
x = (everyone[:2] if rank == 0 else everyone[2:]).clone().requires_grad_()
rows = gather_rows(x)
assert torch.equal(rows, everyone)
# each worker weighs all rows in its own way; a row's gradient is the sum of both
weights = [torch.arange(15.0).view(5, 3), torch.ones(5, 3)]
(rows * weights[rank]).sum().backward()
expected = weights[0] + weights[1]
assert torch.equal(x.grad, expected[:2] if rank == 0 else expected[2:])
assert torch.allclose(mean_over_workers(x.mean(dim=0), len(x)), everyone.mean(dim=0))
ids = gather_rows(torch.tensor([7, 8]) if rank == 0 else torch.zeros(0, dtype=torch.long))
assert ids.tolist() == [7, 8]
# the second worker takes part, but what it has does not count
assert torch.equal(gather_rows(x, contribute=rank == 0), everyone[:2])
assert torch.allclose(mean_over_workers(x.mean(dim=0), len(x), rank == 0), everyone[:2].mean(dim=0))
frames = pad_to_longest(x[:, : 2 + rank])  # two frames here, three there
assert frames.shape == (len(x), 3)
assert torch.equal(frames[:, : 2 + rank], x[:, : 2 + rank]) and not frames[:, 2 + rank :].any()
# batch normalisation: three and five rows are as eight
rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
own = slice(0, 3) if rank == 0 else slice(3, 8)
norm, alone = WorkerBatchNorm(4), torch.nn.BatchNorm1d(4)
part, whole = rows[own].clone().requires_grad_(), rows.clone().requires_grad_()
y, expected = norm(part), alone(whole)
y.pow(3).sum().backward()
expected.pow(3).sum().backward()
assert torch.allclose(y, expected[own], atol=1e-5)
assert torch.allclose(part.grad, whole.grad[own], atol=1e-3)
assert torch.allclose(norm.running_var, alone.running_var)
print("done")
"""


def test_two_workers_gather_and_normalise_uneven_rows_with_their_gradients(tmp_path):
    command = [sys.executable, "-c", WORKER]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(rank), str(tmp_path / "store")], **pipes) for rank in (0, 1)]
    for worker in workers:
        out, err = worker.communicate(timeout=600)
        assert "done" in out, err


def test_one_process_is_left_as_it_is():
    x = torch.randn(4, 3)
    assert world_size() == 1
    assert gather_rows(x) is x
    assert mean_over_workers(x, 4) is x
    assert torch.equal(pad_to_longest(x), x)
