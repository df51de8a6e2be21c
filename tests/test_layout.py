"""The layout that CONTRIBUTING.md promises: who may import what, one component a file, nothing unsafe."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fairseq_signals"
FILES = sorted(
    p for folder in ("fairseq_signals", "preprocess", "manifests") for p in (ROOT / folder).rglob("*.py")
)
REGISTERED = ("tasks", "models", "criterions")
#: What each folder of the package may import of the others; all may import `errors`.
MAY_IMPORT = {
    "ecg": set(),
    "metrics": set(),
    "transforms": {"ecg"},
    "plots": {"ecg", "transforms", "metrics"},
    "modules": {"ecg"},
    "data": {"ecg", "transforms"},
    "evaluation": {"ecg", "data", "metrics", "modules"},
    "inference": {"ecg", "data", "metrics", "modules"},
    "models": {"ecg", "modules"},
    "criterions": {"ecg", "modules", "metrics", "models"},
    "tasks": {"ecg", "modules", "metrics", "data", "transforms", "models", "criterions"},
}
#: Folders and files that must start fast, or work where there is no PyTorch model in sight.
WITHOUT_TORCH = (
    *(f"fairseq_signals/{folder}/" for folder in ("ecg", "metrics", "transforms", "plots")),
    *("preprocess/", "manifests/"),
)
LONGEST_FILE = 320
#: Registered names that no module can have, and the modules that have them.
MODULE_OF = {"3kg": "three_kg"}


def file_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """The full names of what a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folders_depend_on_each_other_in_one_direction(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        ours = {name.split(".")[1] for name in imports(path) if name.startswith("fairseq_signals.")}
        extra = ours - MAY_IMPORT[folder] - {folder, "errors", "__version__"}
        assert not extra, f"{file_id(path)} imports {sorted(extra)}"


def test_every_folder_of_the_package_has_its_place_in_that_order():
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()}
    assert folders == set(MAY_IMPORT)


def test_only_registered_components_import_fairseq():
    users = {file_id(path) for path in FILES if "fairseq" in packages(path)}
    assert users
    strangers = {user for user in users if user.split("/")[1] not in REGISTERED}
    assert not strangers


def test_what_must_start_fast_does_not_import_torch():
    users = {file_id(path) for path in FILES if "torch" in packages(path)}
    assert not {user for user in users if user.startswith(WITHOUT_TORCH)}


@pytest.mark.parametrize("folder", REGISTERED)
def test_a_registered_component_has_a_file_of_its_name(folder):
    for path in (PACKAGE / folder).glob("*.py"):
        names = [
            call.args[0].value
            for function, call in calls(path)
            if function in ("register_task", "register_model", "register_criterion")
            and isinstance(call.args[0], ast.Constant)
        ]
        assert [MODULE_OF.get(name, name) for name in names] in ([], [path.stem]), file_id(path)


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_a_file_can_be_read_in_one_sitting_and_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert ast.get_docstring(ast.parse(text)), "no docstring at the top"


@pytest.mark.parametrize("path", FILES, ids=file_id)
def test_no_input_is_executed(path):
    for function, call in calls(path):
        assert function.split(".")[0] not in ("pickle", "shelve", "marshal"), f"line {call.lineno}"
        assert function not in ("eval", "exec", "os.system"), f"line {call.lineno}"
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert options.get("shell") != "True", f"line {call.lineno}"
        if function == "torch.load":
            assert options.get("weights_only") == "True", f"line {call.lineno}"
        if function == "np.load":
            assert options.get("allow_pickle", "False") == "False", f"line {call.lineno}"
