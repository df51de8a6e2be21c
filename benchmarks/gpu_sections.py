"""What `gpu.py` measures; each function runs in a process of its own."""

from __future__ import annotations

import copy
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import measure
import methods
import numpy as np


class Size(NamedTuple):
    """A configuration and its batch, and how much is measured with it."""

    config: str
    pairs: int
    updates: int
    batches: int
    encoder: str  # of `embed.py`
    recordings: int


SIZES = {
    "paper": Size("w2v_cmsc", 64, updates=15, batches=150, encoder="paper", recordings=512),
    "tiny": Size("w2v_cmsc_demo", 4, updates=3, batches=10, encoder="small", recordings=2),
}


class Setting(NamedTuple):
    """What sections are run with; `device` is "cuda" or "cpu"."""

    size: str
    folder: str
    device: str
    pairs: int
    workers: int

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], repeats: int) -> List[float]:
        """Wall seconds of each call."""
        took = []
        for _ in range(repeats):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            took.append(time.perf_counter() - began)
        return took


def make_trainer(at: Setting, precision: str, compiled: bool = False, rank: int = 0, world: int = 1) -> Any:
    """fairseq's trainer of the configuration, and its training set."""
    import torch
    from fairseq.distributed.utils import distributed_init
    from fairseq.tasks import setup_task
    from fairseq.trainer import Trainer

    cfg = methods.configured(SIZES[at.size].config, Path(at.folder))
    cfg.common.cpu = at.device == "cpu"
    cfg.common.bf16 = precision == "bf16"
    cfg.common.fp16_no_flatten_grads = cfg.common.cpu  # fairseq flattens them on a GPU alone
    cfg.model.compile = compiled
    if world > 1:
        if at.device == "cuda":
            torch.cuda.set_device(rank)
        of = cfg.distributed_training
        of.distributed_world_size, of.distributed_rank, of.device_id = world, rank, rank
        of.distributed_backend = "nccl" if at.device == "cuda" else "gloo"
        of.distributed_init_method, of.ddp_backend = f"file://{at.folder}/meeting", "legacy_ddp"
        distributed_init(cfg)
    torch.manual_seed(0)
    task = setup_task(cfg.task)
    task.load_dataset("train")
    return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))


def step(
    at: Setting, precision: str, compiled: bool = False, rank: int = 0, world: int = 1
) -> Dict[str, Any]:
    """An update of one batch; the first one compiles and makes the optimizer's state."""
    import torch
    from fairseq.utils import move_to_cuda

    trainer = make_trainer(at, precision, compiled, rank, world)
    batch = trainer.task.dataset("train").collater(range(at.pairs))
    batch = move_to_cuda(batch) if at.device == "cuda" else batch

    def update() -> None:
        trainer.train_step([batch], raise_oom=True)

    (first,) = at.seconds(update, 1)
    at.seconds(update, 2)
    took = at.seconds(update, SIZES[at.size].updates)
    if world > 1:
        torch.distributed.destroy_process_group()
    source = batch["net_input"]["source"]
    tokens = trainer.get_model().encoder.n_frames(source.shape[2])
    peak = torch.cuda.max_memory_allocated() / 2**20 if at.device == "cuda" else measure.status_mib("VmHWM")
    figures = {"step_s": statistics.median(took), "first_s": first, "peak_mib": peak}
    done = {"segments": len(source) * world, "tokens_per_segment": tokens}
    return {**figures, **done, "precision": precision, "processes": world}


def flops(at: Setting) -> Dict[str, float]:
    """Model FLOPs of a segment, of which the step makes views or none as its file has it."""
    counted = methods.MethodStep(SIZES[at.size].config, Path(at.folder))
    n = counted.take(4)
    return {"gflop_per_segment": counted.flops() / n / 1e9}


def agreement(at: Setting) -> Dict[str, float]:
    """Relative differences from float64 on the CPU."""
    import torch
    from fairseq.utils import apply_to_sample

    trainer = make_trainer(at._replace(device="cpu"), "fp32")
    batch = trainer.task.dataset("train").collater(range(2))
    inputs, model = batch["net_input"], trainer.get_model()
    n, frames = len(inputs["source"]), model.encoder.n_frames(inputs["source"].shape[2])
    inputs["spans"] = (torch.arange(frames) < frames // 2).expand(n, -1)
    own = torch.arange(frames // 2)[:, None]
    others = torch.randint(1, frames // 2, (n, frames // 2, model.cfg.num_negatives))
    inputs["distractors"] = (own + others) % (frames // 2)

    def found(device: str, dtype: torch.dtype) -> Dict[str, Any]:
        own = copy.deepcopy(model).to(device, dtype).eval()  # without dropout and the noise of codes
        sample = apply_to_sample(lambda x: x.to(device, dtype if x.is_floating_point() else x.dtype), batch)
        loss, size, _ = trainer.get_criterion()(own, sample)
        loss.backward()
        with torch.no_grad():
            embedding = own.encoder(sample["net_input"]["source"]).x.mean(dim=1)
        gradient = torch.cat([p.grad.flatten() for p in own.parameters() if p.grad is not None])
        of = {"loss": loss.detach() / size, "gradient": gradient, "embedding": embedding}
        return {key: value.double().cpu() for key, value in of.items()}

    expected = found("cpu", torch.float64)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        single = found(at.device, torch.float32)
    single["bf16_loss"] = found(at.device, torch.bfloat16)["loss"]
    differences = {}
    for key, value in single.items():
        of = expected[key.removeprefix("bf16_")]
        differences[key] = float((value - of).norm() / of.norm())
    return differences


def loader(at: Setting, form: str) -> Dict[str, Any]:
    """Segments a second, once the workers have begun; the share of batches that arrive in shared slots."""
    import torch
    from torch.utils.data import DataLoader

    from fairseq_signals.batches.memory import BatchMemory

    dataset = make_trainer(at._replace(device="cpu"), "fp32").task.dataset("train")
    n, ahead = SIZES[at.size].batches, 2 * at.workers  # so many are made before they are asked for
    rng = np.random.default_rng(0)
    plan = [rng.choice(len(dataset), at.pairs, replace=False).tolist() for _ in range(n + ahead)]
    if form == "slots":  # as many as there may be at a time, for they are pinned one and all
        dataset.memory = BatchMemory(ahead + 8, dataset.collater(plan[0])["net_input"]["source"].nbytes)
    region = torch.frombuffer(dataset.memory.region, dtype=torch.uint8)
    batches = iter(
        DataLoader(dataset, batch_sampler=plan, collate_fn=dataset.collater, num_workers=at.workers,
                   pin_memory=form != "pageable", multiprocessing_context="fork")
    )  # fmt: skip
    if form == "slots":  # now that the workers are there
        portable = 1  # cudaHostRegisterPortable
        torch.cuda.check_error(
            torch.cuda.cudart().cudaHostRegister(region.data_ptr(), region.nbytes, portable)
        )
    places = []

    def take(count: int) -> None:
        for _ in range(count):
            source = next(batches)["net_input"]["source"]
            places.append(source.data_ptr() - region.data_ptr())
            source.to(at.device, non_blocking=True)
            at.wait()  # a slot is free when its batch is gone, be it copied or not

    take(ahead)
    (took,) = at.seconds(lambda: take(n), 1)
    return {
        "segments_per_s": 2 * at.pairs * n / took,
        "workers": at.workers,
        "in_slots": float(np.mean([0 <= place < region.nbytes for place in places[ahead:]])),
    }


def embedding(at: Setting) -> Dict[str, float]:
    """Recordings a second, and the encoder's share."""
    import embed
    import torch

    n = SIZES[at.size].recordings
    model, batch_size = embed.make_model(SIZES[at.size].encoder), min(64, n)
    model.network.to(at.device)
    records = (embed.synthetic(n) / 1000).astype(np.float32)
    batch = torch.randn(batch_size, 12, model.form.segment_samples, device=at.device)

    @torch.inference_mode()
    def encode() -> None:
        for _ in range(2 * n // batch_size):
            model.network.encoder(batch)

    works = (encode, lambda: model.embed(records, fs=embed.FS, batch_size=batch_size))
    own, took = (min(at.seconds(work, 3)) for work in works)
    return {"records_per_s": n / took, "encoder_share": own / took}
