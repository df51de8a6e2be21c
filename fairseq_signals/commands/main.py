"""The `fairseq-signals` command. Each subcommand is imported, or its script found, when it is called."""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import runpy
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq_signals import __version__
from fairseq_signals.commands.outcome import exit_code
from fairseq_signals.errors import SignalWarning, did_you_mean
from fairseq_signals.installed import SCRIPT_FOLDERS, find_folder, find_scripts
from fairseq_signals.safety.text import tell

PROG = "fairseq-signals"
COMMANDS = {
    "preprocess": "raw records -> record store: `preprocess NAME ...` runs preprocess/NAME.py",
    "manifest": "record store -> manifests: `manifest NAME ...` runs manifests/NAME.py",
    "pretrain": "manifests -> an encoder, pre-trained without labels, by fairseq",
    "finetune": "manifests and a pre-trained model -> a classifier, identifier or regression, by fairseq",
    "info": "what a checkpoint is: architecture, leads, labels, training",
    "embed": "recordings -> one vector each, as Parquet or npy",
    "predict": "recordings -> the probability of each class, or numbers, as CSV or Parquet",
    "identify": "whose recordings they are, by a gallery of enrolled ones",
    "evaluate": "test a fine-tuned checkpoint on lead sets",
    "zeroshot": "classes told by what is written of them: AUROC of a model of ECGs and texts",
    "probe": "what a few examples of each class tell an encoder: accuracy over episodes",
    "retrieve": "the nearest recordings of a base, their reports, and a vote over their codes",
    "compare": "two evaluations of the same records: is one model better?",
    "calibrate": "make a classifier as sure as it is right: a temperature in its weights",
    "clusters": "frames -> clusters, whose numbers model ecg_hubert learns to tell",
    "outlier": "let a model say how unlike its training data a recording is",
    "benchmark": "methods compared on tasks, lead sets and label fractions: a leaderboard",
    "plot": "draw records, results and trainings: `plot PICTURE ...`, see `plot --help`",
    "report": "a training in one HTML file: model, losses, test results, recordings",
    "examples": "print the folder of the example configurations",
}
USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for arguments that cannot be parsed, 1 for a wrong input."""
    for stream in (sys.stdout, sys.stderr):  # names that the terminal's encoding does not have
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = parser.parse_args(arguments[:1])
    if known.command is None:
        parser.print_help(sys.stderr)
        return USAGE_ERROR
    if known.command not in COMMANDS:
        return _unknown("command", known.command, COMMANDS)
    with _tidy_warnings():
        return exit_code(lambda: _dispatch(known.command, arguments[1:]), f"{PROG} {known.command}: ")


@contextmanager
def _tidy_warnings() -> Iterator[None]:
    """What is odd about a recording is told in one line, without the place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SignalWarning)
        show = warnings.showwarning

        def show_tidily(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, SignalWarning):
                tell(f"warning: {message}")
            else:
                show(message, category, *where)

        warnings.showwarning = show_tidily  # type: ignore[assignment]
        yield


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name.ljust(width)}  {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=PROG,
        usage=f"{PROG} COMMAND ...",
        description="Lead-agnostic self-supervised learning of ECGs. Training is fairseq's: `pretrain` and "
        "`finetune` print its command, `fairseq-hydra-train`, which takes all else.",
        epilog=f"commands:\n{listing}\n\n`{PROG} COMMAND --help` tells more about each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    return parser


def _dispatch(command: str, arguments: list[str]) -> int:
    if command in SCRIPT_FOLDERS:
        return run_script(command, arguments)
    if command == "examples":
        parser = argparse.ArgumentParser(prog=f"{PROG} examples", description=f"{COMMANDS[command]}.")
        parser.parse_args(arguments)
        print(find_folder("examples"))
        return 0
    module = importlib.import_module(f"fairseq_signals.commands.{command}")
    return module.main(arguments, prog=f"{PROG} {command}")


def run_script(command: str, arguments: list[str]) -> int:
    """Run `preprocess/NAME.py` or `manifests/NAME.py` as if it were called by path."""
    scripts = find_scripts(command)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_listing(command, scripts), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else USAGE_ERROR
    name = arguments[0].replace("-", "_")
    name = name[:-3] if name.endswith(".py") else name
    if name not in scripts:
        return _unknown(f"{command} script", arguments[0], scripts, _listing(command, scripts))
    saved_argv, saved_path = sys.argv, list(sys.path)
    sys.argv = [str(scripts[name]), *arguments[1:]]
    sys.path.insert(0, str(scripts[name].parent))
    try:
        runpy.run_path(str(scripts[name]), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = saved_argv, saved_path
    return 0


def _listing(command: str, scripts: dict[str, Path]) -> str:
    width = max(map(len, scripts), default=0)
    lines = [f"  {name.ljust(width)}  {first_docstring_line(path)}" for name, path in scripts.items()]
    usage = f"usage: {PROG} {command} NAME ...    (`{PROG} {command} NAME --help` tells more)"
    return "\n".join([usage, "", "NAME is one of:", *lines])


def first_docstring_line(path: Path) -> str:
    """What a script says about itself, read without running it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _unknown(what: str, name: str, known: dict, listing: str | None = None) -> int:
    hint = did_you_mean(name.replace("-", "_"), known)
    tell(f"{PROG}: there is no {what} {name!r}{hint}")
    print(listing or f"commands: {', '.join(known)}", file=sys.stderr)
    return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
