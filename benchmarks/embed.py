"""`ECGModel.embed`: recordings a second, and how much of its time is the encoder's own.

    python benchmarks/embed.py
    python benchmarks/embed.py --load

A model of random weights of a small size (4 layers, d 256) and, with `--sizes paper`, of the paper's (12
layers, d 768) embeds recordings of 10 s with 12 leads, given as arrays at 500 Hz and at 360 Hz (which are
resampled), as WFDB records and as rows of a record store. CPU seconds of each are compared with those of the
encoder's forward pass on as many segments in batches of the same size. Keys of the last line, a JSON object,
per size and form: `records_per_s` (wall clock) and `encoder_share` (encoder / all, of CPU seconds).

With `--load` instead: seconds and memory of loading a checkpoint of the size of the public weights, 90.9 M
parameters and the state of their optimizer, of random numbers, and of embedding a batch with it. Keys:
`load_cpu_s`, `load_wall_s`, `load_peak_mib`, `embed_cpu_s` and `embed_peak_mib`; peaks are above the imports.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import measure
import numpy as np

SIZES: Dict[str, Dict[str, Any]] = {
    "small": {
        "encoder_layers": 4,
        "encoder_embed_dim": 256,
        "encoder_ffn_embed_dim": 1024,
        "encoder_attention_heads": 4,
    },
    "paper": {},
}
FORMS = ("array", "array_360hz", "wfdb", "store")
FS, SECONDS = 500, 10


def synthetic(n: int) -> np.ndarray:
    """Smooth random leads in ADC units of 1 uV, (n, 12, 5000) int16."""
    rng = np.random.default_rng(0)
    steps = rng.integers(-30, 31, (n, 12, FS * SECONDS))
    walk = np.cumsum(steps, axis=2)
    return (walk - walk.mean(axis=2, keepdims=True)).clip(-9000, 9000).astype(np.int16)


def make_model(size: str) -> Any:
    """A pre-trained model of random weights."""
    import torch

    from fairseq_signals import ECGModel
    from fairseq_signals.checkpoints.input_format import InputFormat
    from fairseq_signals.modules.encoder import ECGEncoder
    from fairseq_signals.modules.encoder_config import EncoderConfig
    from fairseq_signals.modules.heads import PooledEncoder

    torch.manual_seed(0)
    return ECGModel(PooledEncoder(ECGEncoder(EncoderConfig(**SIZES[size]))), "pretraining", InputFormat())


def inputs(form: str, n: int, folder: Path) -> Any:
    """The recordings, and the sampling rate of arrays."""
    from fairseq_signals.ecg.leads import LEADS
    from fairseq_signals.inference.listing import iter_recordings
    from fairseq_signals.store.shards import StoreRow, write_shard

    adu = synthetic(n)
    if form == "array":
        return (adu / 1000).astype(np.float32), FS
    if form == "array_360hz":
        return (adu[:, :, : 360 * SECONDS] / 1000).astype(np.float32), 360
    if form == "store":
        rows = [StoreRow(f"r{i}", "x", float(FS), LEADS, np.full(12, 1e-3), a) for i, a in enumerate(adu)]
        write_shard(folder / "shard-00000.arrow", rows)
        return [listed.source for listed in iter_recordings(str(folder))], None
    for i, a in enumerate(adu):
        lines = [
            f"r{i} 12 {FS} {a.shape[1]}",
            *(f"r{i}.dat 16 1000(0)/mV 16 0 0 0 0 {name}" for name in LEADS),
        ]
        (folder / f"r{i}.hea").write_text("\n".join(lines) + "\n")
        (folder / f"r{i}.dat").write_bytes(np.ascontiguousarray(a.T).astype("<i2").tobytes())
    return [folder / f"r{i}" for i in range(n)], None


def run(size: str, form: str, n: int, batch_size: int, repeats: int, threads: int) -> Dict[str, float]:
    """Figures of one size and form."""
    import torch

    torch.set_num_threads(threads)
    model = make_model(size)
    segment = model.form.segment_samples
    rng = np.random.default_rng(1)
    counts: List[int] = [batch_size] * (2 * n // batch_size) + [2 * n % batch_size] * (2 * n % batch_size > 0)
    batches = [torch.from_numpy(rng.normal(size=(b, 12, segment)).astype(np.float32)) for b in counts]

    def encode() -> None:
        with torch.inference_mode():
            for batch in batches:
                model.network.encoder(batch)

    with tempfile.TemporaryDirectory() as folder:
        records, fs = inputs(form, n, Path(folder))

        def embed() -> None:
            model.embed(records, fs=fs, batch_size=batch_size)

        works: Dict[str, Callable[[], None]] = {"encoder": encode, "embed": embed}
        found: Dict[str, List[Dict[str, float]]] = {name: [] for name in works}
        for work in works.values():
            work()
        for _ in range(repeats):  # in turn, for the machine is not always equally fast
            for name, work in works.items():
                found[name].append(measure.timed(work, 1, warm_up=0))
    cpu, wall = ({name: float(np.median([f[key] for f in each])) for name, each in found.items()}
                 for key in ("cpu_s", "wall_s"))  # fmt: skip
    ratios = [e["cpu_s"] / a["cpu_s"] for e, a in zip(found["encoder"], found["embed"])]
    return {
        "records_per_s": n / wall["embed"],
        "encoder_share": float(np.median(ratios)),
        "embed_cpu_s": cpu["embed"],
        "encoder_cpu_s": cpu["encoder"],
    }


def write_public_size(path: Path) -> None:
    """A pre-trained checkpoint like the public ones."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from tests.checkpoints.lookalikes import pretrained

    pretrained(path, size="full")


def load(path: Path, batch_size: int, repeats: int, threads: int) -> Dict[str, float]:
    """Figures of loading a checkpoint, and of embedding a batch with it."""
    import torch

    from fairseq_signals import ECGModel

    torch.set_num_threads(threads)
    imported = measure.status_mib("VmRSS")
    found = measure.timed(lambda: ECGModel.load(path, preset="none"), repeats)
    model = ECGModel.load(path, preset="none")
    segments = (synthetic(batch_size)[:, :, : model.form.segment_samples] / 1000).astype(np.float32)
    embedded = measure.timed(lambda: model.embed(segments, fs=model.fs, batch_size=batch_size), repeats)
    return {
        **{f"load_{key}": value for key, value in found.items()},
        "embed_cpu_s": embedded["cpu_s"],
        "embed_peak_mib": measure.status_mib("VmHWM") - imported,
    }


def benchmark_loading(args: argparse.Namespace) -> int:
    """Write a checkpoint, measure, print."""
    if args.against:
        return measure.compare_checkouts(args.against, ["load_cpu_s", "load_peak_mib", "embed_peak_mib"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "public_size.pt"
        measure.in_process(write_public_size, path=path)
        figures = measure.in_process(
            load, path=path, batch_size=args.batch_size, repeats=args.repeats, threads=args.threads
        )
        size = path.stat().st_size
    print(
        f"{size / 1e9:.2f} GB: loads in {figures['load_wall_s']:.1f} s ({figures['load_cpu_s']:.1f} CPU s), "
        f"{figures['load_peak_mib']:.0f} MiB; {args.batch_size} segments embed in "
        f"{figures['embed_cpu_s']:.1f} CPU s, {figures['embed_peak_mib']:.0f} MiB, the weights included"
    )
    measure.report({"machine": measure.machine(args.threads), **figures})
    return 0


def main() -> int:
    parser = measure.parser_of(__doc__ or "")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small"])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--records", type=int, default=64, help="per run (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="segments (default: %(default)s)")
    parser.add_argument(
        "--load", action="store_true", help="loading a checkpoint of 1.09 GB, and embedding a batch with it"
    )
    args = parser.parse_args()
    if args.load:
        return benchmark_loading(args)
    keys = [
        f"{s}_{f}_{k}" for s in args.sizes for f in args.forms for k in ("records_per_s", "encoder_share")
    ]
    if args.against:
        return measure.compare_checkouts(args.against, keys)
    result: Dict[str, Any] = {"machine": measure.machine(args.threads)}
    for size in args.sizes:
        for form in args.forms:
            figures = measure.in_process(
                run, size=size, form=form, n=args.records, batch_size=args.batch_size, repeats=args.repeats,
                threads=args.threads,
            )  # fmt: skip
            print(
                f"{size}, {form}: {figures['records_per_s']:.1f} records/s, encoder "
                f"{100 * figures['encoder_share']:.0f} % of {figures['embed_cpu_s']:.2f} CPU s",
                flush=True,
            )
            result.update({f"{size}_{form}_{key}": value for key, value in figures.items()})
    bars = {key[: -len("_encoder_share")]: 100 * value for key, value in result.items()
            if key.endswith("_encoder_share")}  # fmt: skip
    measure.bar_chart(args.plot, "Share of the encoder's forward pass in embed", "% of CPU time", bars)
    measure.report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
