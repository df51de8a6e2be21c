"""Reads damaged copies of one sample of a format, in a process of its own with little memory.

    python tests/formats/fuzz_worker.py READER SEED COPIES FOLDER

Prints, a line each, what went wrong: an error that is not ours, too much memory or time. The files are
kept in FOLDER; where the process ends, the last one is there.
"""

import resource
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from fairseq_signals.errors import SignalError  # noqa: E402
from fairseq_signals.formats.registry import load_reader  # noqa: E402
from tests.formats.damage import damage  # noqa: E402
from tests.formats.samples import SAMPLES  # noqa: E402
from tests.formats.variants import VARIANTS  # noqa: E402

MEMORY, SECONDS = 2**30, 10


class TooSlow(BaseException):
    """A file took longer than it may."""


def too_slow(*_):
    raise TooSlow


def bound_memory() -> None:
    """Let this process have `MEMORY` more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def read(reader, path) -> "str | None":
    """What goes wrong where a file is read, or None."""
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader(path, "some record")
    except SignalError as error:
        return None if str(error) else "an error without a message"
    except BaseException as error:
        trace = error.__traceback__
        where = ""
        while trace is not None:
            where, trace = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}", trace.tb_next
        return f"{type(error).__name__} at {where}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
    return None


def main(name: str, seed: str, copies: str, folder: str) -> None:
    rng = np.random.default_rng(int(seed))
    reader = load_reader(name)
    makers = [SAMPLES[name], *VARIANTS.get(name, ())]
    wholes = [Path(folder, f"whole{k}") for k in range(len(makers))]
    paths = [make(whole, 200) for make, whole in zip(makers, wholes)]
    for path in paths:
        found = read(reader, path)  # so that libraries are imported before memory is bounded
        if found is not None:
            print(f"the whole file: {found}")
    bound_memory()
    signal.signal(signal.SIGALRM, too_slow)
    damaged = Path(folder, "damaged")
    for k in range(int(copies)):
        which = int(rng.integers(len(makers)))
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(wholes[which], damaged)
        files = sorted(file for file in damaged.rglob("*") if file.is_file())
        file = files[int(rng.integers(len(files)))]
        for _ in range(int(rng.integers(1, 4))):
            file.write_bytes(damage(file.read_bytes(), rng))
        begin = time.monotonic()
        found = read(reader, damaged / paths[which].relative_to(wholes[which]))
        if found is not None:
            kept = Path(folder, f"bad-{name}-{seed}-{k}")
            shutil.copytree(damaged, kept)
            print(f"{kept} ({time.monotonic() - begin:.1f} s): {found}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
