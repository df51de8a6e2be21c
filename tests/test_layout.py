"""The layout that CONTRIBUTING.md promises: who may import what, one component a file, nothing unsafe."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "fairseq_signals"
FOLDERS = (PACKAGE, "preprocess", "manifests")
REGISTERED = ("tasks", "models", "criterions")
#: What each folder may import of the others, in the order of the data's way, beside the root's files.
MAY_IMPORT: dict[str, set[str]] = {
    "safety": set(),
    "ecg": set(),
    "formats": {"ecg"},
    "synthetic": {"ecg"},
    "store": {"ecg", "formats"},
    "text": {"ecg", "store"},
    "manifest": {"ecg", "store"},
    "transforms": {"ecg"},
    "batches": {"ecg", "store", "manifest", "transforms"},
    "modules": {"ecg"},
    "metrics": set(),
    "checkpoints": {"ecg", "modules"},
    "models": {"ecg", "modules", "checkpoints"},
    "criterions": {"modules", "metrics", "models"},
    "tasks": {
        *("ecg", "text", "manifest", "batches", "transforms", "modules", "metrics", "checkpoints"),
        *("models", "criterions"),
    },
    "inference": {"ecg", "formats", "store", "manifest", "batches", "modules", "metrics", "checkpoints"},
    "evaluation": {
        *("ecg", "text", "store", "manifest", "transforms", "batches", "modules", "metrics", "checkpoints"),
    },
    "plots": {"ecg", "transforms", "metrics"},
    "report": {"ecg", "checkpoints", "inference", "evaluation", "plots"},
}
MAY_IMPORT["training"] = {"ecg", "store", "manifest", "modules", "checkpoints", "inference"}
MAY_IMPORT["benchmark"] = set(MAY_IMPORT)
MAY_IMPORT["commands"] = set(MAY_IMPORT)  # the end of the way
#: What every room may import.
AT_THE_ROOT = ("errors", "files", "installed", "safety", "__version__")
#: Folders and files that must start fast, or work where there is no PyTorch model in sight.
WITHOUT_TORCH = (
    *(
        f"{PACKAGE}/{folder}/"
        for folder in (
            *("ecg", "formats", "synthetic", "text", "manifest", "metrics", "transforms", "plots"),
        )
    ),
    *("preprocess/", "manifests/"),
)
LONGEST_FILE = 300
#: Registered names that no module can have, and the modules that have them.
MODULE_OF = {"3kg": "three_kg"}


@dataclass
class File:
    """A file of ours, parsed.

    Attributes:
        name: its path from the root of the checkout.
        module: its full name as a module; of `__init__.py`, the package's.
        n_lines: its length.
        docstring: of the module, None without one.
        imports: full names of what it imports, wherever in the file it does.
        needs: the same, but for what only type checkers import.
        calls: every call, with what is called as text.
    """

    name: str
    module: str
    n_lines: int
    docstring: str | None
    imports: set[str]
    needs: set[str]
    calls: list[tuple[str, ast.Call]]

    @property
    def room(self) -> str:
        """The folder of the package that it lies in, or its own name."""
        return self.name.split("/")[1].removesuffix(".py")

    @property
    def packages(self) -> set[str]:
        return {name.split(".")[0] for name in self.imports}


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> File:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    nodes = list(ast.walk(tree))
    assert not any(getattr(node, "level", 0) for node in nodes), f"{path}: imports are absolute"
    guards = [n for n in nodes if isinstance(n, ast.If) and ast.unparse(n.test).endswith("TYPE_CHECKING")]
    guarded = {node for guard in guards for statement in guard.body for node in ast.walk(statement)}
    return File(
        name=path.relative_to(ROOT).as_posix(),
        module=".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"),
        n_lines=len(text.splitlines()),
        docstring=ast.get_docstring(tree),
        imports=set(imported(nodes)),
        needs=set(imported(node for node in nodes if node not in guarded)),
        calls=[(ast.unparse(node.func), node) for node in nodes if isinstance(node, ast.Call)],
    )


@pytest.fixture(scope="module")
def files() -> list[File]:
    """Every file of ours, parsed once."""
    return [parsed(path) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.fixture(scope="module")
def package(files) -> list[File]:
    return [file for file in files if file.name.startswith(f"{PACKAGE}/")]


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that can all be reached from each other."""
    reached = {}
    for node in arrows:
        reached[node], waiting = set(), [node]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - reached[node]
            reached[node] |= new
            waiting += new
    groups = {frozenset(b for b in reached[a] if a in reached.get(b, ())) for a in arrows}
    return sorted(sorted(group) for group in groups if group)


@pytest.fixture(scope="module")
def arrows(package) -> dict[str, set[str]]:
    """Which modules of the package each of its modules imports, in functions too."""
    modules = {file.module for file in package}
    found = {}
    for file in package:
        # `from a.b import c` imports the module a.b.c where there is one, else a name in a.b
        names = {name if name in modules else name.rpartition(".")[0] for name in file.needs}
        found[file.module] = (names & modules) - {file.module}
    return found


def test_folders_depend_on_each_other_in_one_direction(package):
    offenders = []
    for file in package:
        ours = {name.split(".")[1] for name in file.imports if name.startswith(f"{PACKAGE}.")}
        allowed = MAY_IMPORT.get(file.room, ours) | {file.room, *AT_THE_ROOT}
        offenders += [f"{file.name} imports {name}" for name in sorted(ours - allowed)]
    assert not offenders


def test_every_folder_of_the_package_has_its_place_in_that_order(package):
    folders = {file.room for file in package if file.name.endswith(f"{file.room}/__init__.py")}
    assert folders == set(MAY_IMPORT)


def test_circles_are_found_whatever_leads_into_them():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"f"}, "f": {"g"}, "g": {"e"}}
    assert circles(graph) == [["b", "c"], ["e", "f", "g"]]


def test_modules_do_not_import_each_other_in_circles(arrows):
    assert sum(map(len, arrows.values())) > len(arrows)  # it sees the imports
    assert circles(arrows) == []


def test_folders_do_not_import_each_other_in_circles(arrows):
    rooms: dict[str, set[str]] = {folder: set() for folder in MAY_IMPORT}
    for module, targets in arrows.items():
        room, *others = ([*name.split("."), ""][1] for name in (module, *targets))
        if room in rooms:
            rooms[room] |= set(rooms).intersection(others) - {room}
    assert any(rooms.values())
    assert circles(rooms) == []


def test_only_registered_components_import_fairseq(files):
    users = [file for file in files if "fairseq" in file.packages]
    assert users
    assert not [file.name for file in users if file.room not in REGISTERED]


def test_one_module_knows_the_library_of_tokenizers(files):
    users = [file.name for file in files if "sentencepiece" in file.packages]
    assert users == [f"{PACKAGE}/text/tokenizer.py"]


def test_what_must_start_fast_does_not_import_torch(files):
    users = [file.name for file in files if "torch" in file.packages]
    assert users
    assert not [name for name in users if name.startswith(WITHOUT_TORCH)]


def test_a_registered_component_has_a_file_of_its_name(package):
    registers = ("register_task", "register_model", "register_criterion")
    offenders, found = [], 0
    for file in package:
        if file.room in REGISTERED:
            calls = [call.args[0] for function, call in file.calls if function in registers]
            names = [MODULE_OF.get(arg.value, arg.value) for arg in calls if isinstance(arg, ast.Constant)]
            found += len(names)
            if names not in ([], [file.module.rpartition(".")[2]]):
                offenders.append(f"{file.name} registers {names}")
    assert found >= len(REGISTERED)
    assert not offenders


def test_a_file_can_be_read_in_one_sitting_and_says_what_it_is(files):
    offenders = [f"{file.name} has {file.n_lines} lines" for file in files if file.n_lines > LONGEST_FILE]
    offenders += [f"{file.name} has no docstring at the top" for file in files if not file.docstring]
    assert not offenders


def executes(function: str, call: ast.Call) -> bool:
    """Whether a call runs what is in its input, or may."""
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return (
        function.split(".")[0] in ("pickle", "shelve", "marshal")
        or function in ("eval", "exec", "os.system")
        or options.get("shell") == "True"
        or (function == "torch.load" and options.get("weights_only") != "True")
        or (function == "np.load" and options.get("allow_pickle", "False") != "False")
    )


@pytest.mark.parametrize(
    "call",
    ["pickle.loads(x)", "eval(x)", "os.system(x)", "run(x, shell=True)", "torch.load(x)",
     "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)"],
)  # fmt: skip
def test_calls_that_execute_their_input_are_recognised(call):
    node = ast.parse(call, mode="eval").body
    assert executes(ast.unparse(node.func), node)


def test_no_input_is_executed(files):
    assert not [
        f"{file.name}, line {call.lineno}: {function}"
        for file in files
        for function, call in file.calls
        if executes(function, call)
    ]
