"""What a pre-training step of each method takes, as its YAML file has it: `train_step.py --model`.

The batches are those of the file's task on a small synthetic corpus: pairs, views, teachers, patients. FLOPs
are counted, not estimated, forward and backward: products and convolutions by PyTorch's counter, attention as
its products, and 2.5 N log2 N of each Fourier transform of N real numbers, with which state spaces and the
position convolution work. What goes number by number (norms, activations) counts as nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import io
import math
import runpy
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import measure

import preprocess

ROOT = Path(__file__).resolve().parents[1]
#: The methods of `--model all`, those of these folders at their published size.
FOLDERS = ("w2v_cmsc", "mae", "jepa", "cpc", "hubert", "joint_embedding", "adversarial_mask", "heartlang")
BASE = "w2v_cmsc"
#: What `--equal-size` takes from the base: width and depth.
SHAPE = ("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads")
#: What grows with it, and with which of them.
GROWS = {"predictor_layers": 0, "predictor_dim": 1, "predictor_heads": 3}
ALL = "all"
EQUAL = "_equal"  #: end of the name of such a row
MOST_SEGMENTS = 64
#: What takes seconds to load, and is there before the first method.
PRELOAD = ("fairseq.tasks", "fairseq_signals.tasks", "fairseq_signals.models", "fairseq_signals.criterions")


def config_of(name: str) -> Path:
    """The YAML file of a pre-training."""
    found = list((ROOT / "examples").glob(f"*/config/pretraining/{name}.yaml"))
    if not found:
        raise argparse.ArgumentTypeError(f"{name}: there is no examples/*/config/pretraining/{name}.yaml")
    return found[0]


def known(name: str) -> str:
    """A name that `config_of` takes, for a command line."""
    return config_of(name).stem


def known_or_all(name: str) -> str:
    """The same, or `ALL`."""
    return name if name == ALL else known(name)


def every_method() -> List[str]:
    """The base and the files of `FOLDERS` at their published size, one of each that differ in data alone."""
    import yaml

    paths = [ROOT / "examples" / folder / "config" / "pretraining" for folder in FOLDERS]
    found: Dict[str, str] = {}
    for path in [config_of(BASE), *(path for folder in paths for path in sorted(folder.glob("*.yaml")))]:
        if not path.stem.endswith("_demo"):
            cfg = yaml.safe_load(path.read_text())
            found.setdefault(repr((cfg["model"], cfg["criterion"])), path.stem)
    return list(found.values())


def make_data(folder: Path, records: int = 80) -> None:
    """Manifests `folder/manifests` and clusters `folder/clusters.npz`, of synthetic records of 10 s."""
    from fairseq_signals.commands.clusters import main as make_clusters

    raw, store, manifests = (str(folder / name) for name in ("raw", "store", "manifests"))
    preprocess.corpus(lambda: None, raw, records)
    for script, arguments in (
        ("preprocess/physionet2021.py", [raw, "--dest", store, "--patients", f"{raw}/patients.csv"]),
        ("manifests/pretrain.py", [store, "--dest", manifests, "--no-exclusions"]),
    ):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert runpy.run_path(str(ROOT / script), run_name="script")["main"](arguments) == 0, script
            if script.startswith("manifests"):
                make_clusters([f"{manifests}/train.tsv", "--out", str(folder / "clusters.npz")])


def configured(name: str, folder: Path) -> Any:
    """The configuration of a file, with the paths that a user gives; of `NAME_equal` in the base's shape."""
    import fairseq  # noqa: F401  # first: it registers our components
    from fairseq.dataclass.configs import FairseqConfig
    from fairseq.dataclass.initialize import add_defaults
    from omegaconf import OmegaConf

    import fairseq_signals  # noqa: F401

    cfg = OmegaConf.merge(
        OmegaConf.structured(FairseqConfig), OmegaConf.load(config_of(name.removesuffix(EQUAL)))
    )
    cfg.task.data = str(folder / "manifests")
    if OmegaConf.is_missing(cfg.model, "clusters"):
        cfg.model.clusters = str(folder / "clusters.npz")
    if OmegaConf.is_missing(cfg.model, "tokenizer"):
        cfg.model.tokenizer = str(tokenizer_of(name, folder))
    if name.endswith(EQUAL):
        base, own = OmegaConf.load(config_of(BASE)).model, cfg.model
        grown = {key: own[key] * base[SHAPE[i]] // own[SHAPE[i]] for key, i in GROWS.items() if key in own}
        own.update({**{key: base[key] for key in SHAPE}, **grown})
    add_defaults(cfg)
    return cfg


def tokenizer_of(name: str, folder: Path) -> Path:
    """A checkpoint of random weights of what `heartlang` gets its codes from."""
    import torch
    from fairseq.models import build_model
    from omegaconf import OmegaConf

    cfg = configured(name.replace("heartlang", "heartlang_tokenizer"), folder)
    path, settings = folder / f"tokenizer_of_{name}.pt", {"model": OmegaConf.to_container(cfg.model)}
    torch.save({"model": build_model(cfg.model, None).state_dict(), "cfg": settings}, path)
    return path


class MethodStep:
    """A method's task, model, criterion and optimizer, and a batch of its data."""

    def __init__(self, name: str, folder: Path):
        import torch
        from fairseq.optim import build_optimizer
        from fairseq.tasks import setup_task

        torch.manual_seed(0)
        self.cfg = cfg = configured(name, folder)
        self.task = setup_task(cfg.task)
        self.model, self.criterion = (
            self.task.build_model(cfg.model),
            self.task.build_criterion(cfg.criterion),
        )
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(cfg.optimizer, self.trained)
        self.task.load_dataset("train")
        self.updates = 0

    def take(self, segments: int) -> int:
        """Make a batch of about so many segments of the corpus, of two items or more; gives their number."""
        parts = 2 if self.task.pairs else 1
        items = max(2, segments // parts)
        self.sample = self.task.dataset("train").collater(range(items))
        return items * parts

    def passes(self) -> None:
        """Forward and backward."""
        self.task.train_step(self.sample, self.model, self.criterion, self.optimizer, self.updates)

    def rest(self) -> None:
        """What an update does once, whatever its batch: clipping, the optimizer, the teacher."""
        self.optimizer.clip_grad_norm(self.cfg.optimization.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1
        self.model.set_num_updates(self.updates)

    def flops(self) -> float:
        """Counted in a forward and backward pass."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        def real_transform(x: Any, dims: Any, *_: Any, out_shape: Any, **__: Any) -> int:
            real = max(x, out_shape, key=lambda shape: shape[dims[-1]])  # a spectrum has half as many
            return int(2.5 * math.prod(real) * sum(math.log2(real[dim]) for dim in dims))

        fft = {torch.ops.aten._fft_r2c: real_transform, torch.ops.aten._fft_c2r: real_transform}
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=fft) as counter:
            self.passes()
        return float(counter.get_total_flops())

    def state_mib(self) -> float:
        """Weights, buffers and what the optimizer keeps."""
        import torch

        kept = [value for state in self.optimizer.optimizer.state.values() for value in state.values()]
        tensors = [*self.model.parameters(), *self.model.buffers(), *filter(torch.is_tensor, kept)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def run(
    name: str, folder: str, segments: int, repeats: int, threads: int, base_gflop: Optional[float] = None
) -> Dict[str, Any]:
    """Figures of one method, of a segment where they do not say otherwise, in a process of its own.

    Memory is of a step of `segments`, beyond `state_mib`. The time of a light method is of more of them, as
    many as cost half of what those of the base do: of a few, it is that of reading the weights. Each time is
    also in that of a product of matrices just before it (`cost`), as a shared machine is not always as fast.
    """
    import torch

    torch.set_num_threads(threads)
    step = MethodStep(name, Path(folder))
    n = step.take(2)
    model = step.cfg.model  # of a JEPA that leaves tokens out, how many are kept is drawn
    counts = 8 if "mask_keep" in model and model.context == "transformer" else 1
    found: Dict[str, Any] = {
        "gflop": statistics.mean(step.flops() for _ in range(counts)) / n / 1e9,
        "parameters": sum(p.numel() for p in step.trained),
    }
    step.rest()
    found["state_mib"] = step.state_mib()
    n = step.take(segments)
    figures = timed_updates(step, repeats)
    found["step_mib"] = figures.pop("step_mib")
    share = 1.0 if base_gflop is None else base_gflop / found["gflop"]
    if share > 3:
        n = step.take(min(MOST_SEGMENTS, int(segments * share / 2)))
        figures = timed_updates(step, repeats)
    of_one = {"cpu_s": figures["passes"] / n, "cost": figures["cost"] / n}
    return {**found, **of_one, "timed_segments": n, "update_cpu_s": figures["rest"]}


#: Columns of the table: heading, key, its digits, and whether its ratio to the base follows.
COLUMNS = (
    ("parameters, M", "parameters", 1, False),
    ("GFLOP", "gflop", 1, True),
    ("CPU s", "cpu_s", 3, True),
    ("MiB kept", "state_mib", 0, False),
    ("MiB of a step", "step_mib", 0, True),
    ("CPU s once", "update_cpu_s", 2, False),
)


def measured(names: Sequence[str], folder: Path, **options: Any) -> Dict[str, Dict[str, Any]]:
    """Figures of the base and of each method, and their ratios to the base; prints a table in Markdown."""
    measure.in_process(make_data, PRELOAD, folder=folder)
    heads = ["method"]
    for head, _, _, ratio in COLUMNS:
        heads += [head, "ratio"] if ratio else [head]
    print("| " + " | ".join(heads) + " |\n|---|" + "---:|" * (len(heads) - 1), flush=True)
    found: Dict[str, Dict[str, Any]] = {}
    for name in dict.fromkeys([BASE, *names]):
        base_gflop = found[BASE]["gflop"] if found else None
        figures = measure.in_process(
            run, preload=PRELOAD, name=name, folder=str(folder), base_gflop=base_gflop, **options
        )
        found[name] = {**figures, **ratios(figures, found.get(BASE, figures))}
        print(table_row(name, found[name]), flush=True)
    return found


def ratios(figures: Dict[str, Any], base: Dict[str, Any]) -> Dict[str, float]:
    """To the base; of times, each in the products timed beside it."""
    of = {"gflop": "gflop", "cpu_s": "cost", "step_mib": "step_mib"}
    return {f"{key}_ratio": figures[what] / base[what] for key, what in of.items()}


def table_row(name: str, figures: Dict[str, Any]) -> str:
    """A line of the table in Markdown."""
    cells = []
    for _, key, digits, ratio in COLUMNS:
        cells.append(f"{figures[key] / (1e6 if key == 'parameters' else 1):.{digits}f}")
        cells += [f"{figures[f'{key}_ratio']:.3f}"] if ratio else []
    return "| " + " | ".join([f"`{name}`", *cells]) + " |"


def timed_updates(step: MethodStep, repeats: int) -> Dict[str, float]:
    """Medians of the CPU seconds of the parts of an update, the first also in products; memory of a step."""
    import torch

    a, b, out = torch.randn(1024, 768), torch.randn(768, 3072), torch.empty(1024, 3072)
    parts: Dict[str, Callable[[], Any]] = {
        "product": lambda: torch.mm(a, b, out=out),
        "passes": step.passes,
        "rest": step.rest,
    }
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
    before, took = measure.status_mib("VmRSS"), []
    for _ in range(repeats):
        took.append({})
        for part, work in parts.items():
            began = time.process_time()
            work()
            took[-1][part] = time.process_time() - began
    found = {part: statistics.median(one[part] for one in took) for part in parts}
    found["cost"] = statistics.median(one["passes"] / one["product"] for one in took)
    found["step_mib"] = measure.status_mib("VmHWM") - before
    return found
