"""How many segments a second each transform changes, one by one and as a batch.

    OMP_NUM_THREADS=1 python benchmarks/transforms.py

Segments are random, 12 leads of `--samples`. Both ways begin with a list of segments and end with one array
of all, as loading data does. "single" changes one segment after the other, each with a random generator of
its own, and stacks them. "batch" stacks them first, draws from the same generators, so that its result is the
same (checked before), and does the arithmetic of all segments at once. Making the generators is not timed.
Medians of `--repeats` runs in turns, in CPU time; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from typing import Any, Callable, Dict, List

import numpy as np

from fairseq_signals.ecg.leads import INDEPENDENT_LEADS, derive_limb_leads
from fairseq_signals.ecg.vcg import DOWER_12, inverse_dower_12
from fairseq_signals.transforms.build import TRANSFORMS, build_transform
from fairseq_signals.transforms.powerline_noise import harmonics

FS = 500.0
Generators = Sequence[np.random.Generator]


def add_waves(signal_mv: np.ndarray, factor: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """(B, 12, T) with factor (B, 12) times wave (B, T) added."""
    return signal_mv + factor.astype(np.float32)[:, :, None] * wave.astype(np.float32)[:, None, :]


def complete(independent: np.ndarray) -> np.ndarray:
    """Values of twelve leads (B, 12, ...) from those of the independent ones (B, 8, ...)."""
    limb = np.moveaxis(derive_limb_leads(independent[:, 0], independent[:, 1]), 0, 1)
    return np.concatenate([limb, independent[:, 2:]], axis=1)


def batch_lead_mask(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    masks = np.stack([transform.draw(12, rng) for rng in rngs])
    masked = signal_mv.copy()
    masked[masks] = 0.0
    return masked


def batch_powerline(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    drawn = [(rng.uniform(0, transform.max_amplitude_mv, 1), rng.uniform(0, 2 * np.pi, 1)) for rng in rngs]
    amplitude, phase = (np.stack(values) for values in zip(*drawn))
    weight = np.concatenate([amplitude * np.cos(phase), -amplitude * np.sin(phase)], axis=1)
    wave = weight.astype(np.float32) @ harmonics(signal_mv.shape[2], FS, transform.frequency_hz, 1)
    return add_waves(signal_mv, complete(np.ones((len(rngs), 8))), wave)


def batch_emg(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    shape = (len(INDEPENDENT_LEADS), signal_mv.shape[2])
    amplitude = np.empty((len(rngs), shape[0], 1), np.float32)
    noise = np.empty((len(rngs), *shape), np.float32)
    for i, rng in enumerate(rngs):
        amplitude[i] = rng.uniform(0, transform.max_amplitude_mv, (shape[0], 1))
        rng.standard_normal(out=noise[i], dtype=np.float32)
    return signal_mv + complete(amplitude * noise)


def batch_wander(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    k = transform.n_components
    drawn = []
    for rng in rngs:
        amplitude = rng.uniform(0, transform.max_amplitude_mv, k)
        frequency = rng.uniform(transform.min_frequency_hz, transform.max_frequency_hz, k)
        phase = rng.uniform(0, 2 * np.pi, k)
        drawn.append((amplitude, frequency, phase, rng.normal(1.0, transform.lead_factor_sd, 8)))
    amplitude, frequency, phase, factor = (np.stack(values) for values in zip(*drawn))
    time_s = np.arange(signal_mv.shape[2]) / FS
    angle = 2 * np.pi * frequency[:, :, None] * time_s + phase[:, :, None]
    wave = (amplitude.astype(np.float32)[:, None, :] @ np.cos(angle.astype(np.float32)))[:, 0]
    return add_waves(signal_mv, complete(factor), wave)


def batch_shift(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    drawn = [transform.draw(signal_mv.shape[2], rng) for rng in rngs]
    shift, start, length = (np.stack(values) for values in zip(*drawn))
    sample = np.arange(signal_mv.shape[2])
    inside = (sample >= start[:, None]) & (sample < (start + length)[:, None])
    return add_waves(signal_mv, shift, inside)


def batch_vcg(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    effect = DOWER_12 @ (np.stack([transform.draw(rng) for rng in rngs]) - np.eye(3))
    dipole = inverse_dower_12().astype(np.float32) @ signal_mv
    return signal_mv + effect.astype(np.float32) @ dipole


def batch_time_mask(transform: Any, signal_mv: np.ndarray, rngs: Generators) -> np.ndarray:
    n_samples = signal_mv.shape[2]
    starts = np.stack([rng.integers(0, n_samples, (12,)) for rng in rngs]).astype(np.int32)[:, :, None]
    ends = starts + round(transform.mask_ratio * n_samples)
    sample = np.arange(n_samples, dtype=np.int32)
    inside = (sample >= starts) & (sample < ends) | (sample < ends - n_samples)
    return np.where(inside, np.float32(0), signal_mv)


BATCHED: Dict[str, Callable[[Any, np.ndarray, Generators], np.ndarray]] = {
    "random_leads_masking": batch_lead_mask,
    "powerline_noise": batch_powerline,
    "emg_noise": batch_emg,
    "baseline_wander": batch_wander,
    "baseline_shift": batch_shift,
    "vcg_rotation": batch_vcg,
    "time_mask": batch_time_mask,
}


def generators(n: int) -> List[np.random.Generator]:
    """Seeded as a dataset does: [seed, epoch, item, part]."""
    return [np.random.default_rng([1, 1, item, 0]) for item in range(n)]


def cpu_seconds(change: Callable[[Generators], object], n_segments: int) -> float:
    """What one run takes, with fresh generators."""
    rngs = generators(n_segments)
    start = time.process_time()
    change(rngs)
    return time.process_time() - start


def main() -> None:
    """Check, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--segments", type=int, default=64, help="segments a batch (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=2500, help="a segment (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=21, help="timed runs (default: %(default)s)")
    args = parser.parse_args()
    shape = (args.segments, 12, args.samples)
    segments = list(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    rates: Dict[str, Dict[str, float]] = {}
    print(f"{'transform':22}{'single':>10}{'batch':>10}{'ratio':>8}   (segments/s)")
    for name in TRANSFORMS:
        transform, batched = build_transform(name, FS), BATCHED[name]

        def single(rngs: Generators, transform: Any = transform) -> np.ndarray:
            return np.stack([transform(segment, rng) for segment, rng in zip(segments, rngs)])

        def batch(rngs: Generators, transform: Any = transform, batched: Any = batched) -> np.ndarray:
            return batched(transform, np.stack(segments), rngs)

        one, other = single(generators(args.segments)), batch(generators(args.segments))
        np.testing.assert_allclose(other, one, atol=2e-5)
        seconds = [
            (cpu_seconds(single, args.segments), cpu_seconds(batch, args.segments))
            for _ in range(args.repeats)
        ]
        medians = [statistics.median(values) for values in zip(*seconds)]
        rate = dict(zip(("single", "batch"), (round(args.segments / median, 1) for median in medians)))
        rates[name] = rate
        ratio = rate["batch"] / rate["single"]
        print(f"{name:22}{rate['single']:10.0f}{rate['batch']:10.0f}{ratio:8.2f}")
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    sizes = {"segments": args.segments, "samples": args.samples, "repeats": args.repeats}
    print(json.dumps({"segments_per_s": rates, **sizes, "machine": machine}))


if __name__ == "__main__":
    main()
