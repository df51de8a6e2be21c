"""The documentation is true: its commands, options, configuration keys, paths and names exist."""

from __future__ import annotations

import io
import itertools
import re
import runpy
import shlex
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTED_FOLDERS = ("docs", "examples", "manifests", "preprocess", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in DOCUMENTED_FOLDERS for p in (ROOT / f).rglob("*.md"))])
#: Programs of ours, of which options are checked, and the reader's own, of which they are not.
OURS = ("make", "python", "fairseq-signals", "fairseq-hydra-train", "pip")
FOREIGN = ("cd", "source", "export", "git", "wget", "unzip", "mkdir", "ls", "pytest")
#: How pages write the checkout and the installed copy of its folders.
CHECKOUT = re.compile(r"^(?:\$PWD/|/path/to/checkout/|\$\(fairseq-signals (?=examples\)))")
#: Groups whose schema hydra learns after it has read the overrides: it knows the keys of the YAML file only.
NAMED_GROUPS = ("task", "model", "criterion", "optimizer", "lr_scheduler")
SUFFIXES = ("py", "md", "yaml", "csv", "txt", "toml", "cff")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> list[list[str]]:
    """The commands in a page's fenced blocks without a language (or sh), each as a list of words."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL)
    blocks = [block for _, language, block in blocks if language in ("", "sh", "bash")]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):  # environment
            words = words[1:]
        if words and program(words) in (*OURS, *FOREIGN):
            found.append(words)
    return found


def program(words: list[str]) -> str:
    name = Path(words[0]).name
    return "python" if re.fullmatch(r"python[\d.]*", name) else name


def of_program(name: str) -> list:
    """Parameters of a test: every documented command of one program."""
    return [
        pytest.param(words, id=f"{page_id(page)}: {' '.join(words)[:60]}")
        for page in PAGES
        for words in commands(page)
        if program(words) == name
    ]


@cache
def help_text(*command: str) -> str:
    """What `python COMMAND --help` prints; it runs in this process, as starting Python takes long."""
    ours = command[0] == "-m"
    script = ROOT / "fairseq_signals" / "commands" / "main.py" if ours else ROOT / command[0]
    shown, before, modules = io.StringIO(), (sys.argv, [*sys.path]), set(sys.modules)
    sys.argv = [str(script), *command[2:], "--help"]
    sys.path.insert(0, str(ROOT if ours else script.parent))
    try:
        with redirect_stdout(shown), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
        if not ours:  # what is beside the script may have the name of a package
            for name in set(sys.modules) - modules:
                if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == script.parent:
                    del sys.modules[name]
    assert not end.value.code, command
    return shown.getvalue()


def check_options(command: list[str], arguments: list[str]) -> None:
    known = set(re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", help_text(*command)))
    given = {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{' '.join(command)} has no {', '.join(sorted(given - known))}"


def test_documentation_has_pages_and_commands():
    assert ROOT / "README.md" in PAGES
    assert {program(words) for words in commands(ROOT / "README.md")} >= set(OURS)


@pytest.mark.parametrize("words", of_program("make"))
def test_make_targets_in_the_documentation_exist(words):
    targets = set(
        re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = {word for word in words[1:] if "=" not in word}
    assert named <= targets


@pytest.mark.parametrize("words", of_program("python"))
def test_scripts_in_the_documentation_exist_and_have_those_options(words):
    script = words[1]
    if script in ("-m", "-c"):
        pytest.skip("a module of someone else's")
    assert (ROOT / script).is_file(), script
    check_options([script], words[2:])


@pytest.mark.parametrize("words", of_program("fairseq-signals"))
def test_subcommands_in_the_documentation_exist_and_have_those_options(words):
    n_names = 2 if words[1] in ("preprocess", "manifest", "plot") else 1
    check_options(["-m", "fairseq_signals.commands.main", *words[1 : 1 + n_names]], words[1 + n_names :])


@pytest.mark.parametrize("words", of_program("pip"))
def test_files_given_to_pip_in_the_documentation_exist(words):
    for option, value in itertools.pairwise(words):
        if option in ("-c", "-r"):
            assert (ROOT / value).is_file(), value


@pytest.mark.parametrize("words", of_program("fairseq-hydra-train"))
def test_configurations_and_overrides_in_the_documentation_exist(words, config_keys):
    given = dict(zip(words[1::2], words[2::2]))
    folder = CHECKOUT.sub("", given["--config-dir"]).replace("examples)", "examples")
    file = ROOT / folder / f"{given['--config-name']}.yaml"
    assert file.is_file(), file
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    overrides = [word.partition("=")[0] for word in words[1:] if re.match(r"\+?[a-z_]+\.\w+=", word)]
    stock = config["task"]["_name"] == "translation"  # what needs nothing of ours
    assert ("common.user_dir" in overrides) != stock
    for key in overrides:
        group, name = key.lstrip("+").split(".")
        known = config_keys(group, config.get(group, {}).get("_name"))
        assert name in known, f"{group} of {file.name} has no {name}"
        if group in NAMED_GROUPS and not key.startswith("+"):
            assert name in config[group], f"hydra needs +{key}=..., as {file.name} does not have it"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    names = re.findall(rf"`([\w.-]+(?:/[\w.-]+)*/[\w.-]+\.(?:{'|'.join(SUFFIXES)}))`", text)
    names = [name for name in names if not name.startswith("outputs/") and not re.search(r"[A-Z]{4}", name)]
    for name in [*links, *names]:
        assert any((folder / name).exists() for folder in (page.parent, ROOT, ROOT / "fairseq_signals")), name


@pytest.mark.parametrize("kind", ["task", "model", "criterion"])
def test_readme_lists_exactly_the_registered_names(kind, registered_names):
    row = re.search(
        rf"^\| {kind}s? \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert row, f"README.md has no row of {kind}s"
    assert set(re.findall(r"`([\w]+)`", row[1])) == registered_names(kind)
