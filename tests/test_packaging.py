"""What a pip user gets: the wheel, the source archive, the pins and the make targets."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fairseq_signals

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Where each folder of the checkout lies in the wheel.
SHIPPED_FOLDERS = {
    "preprocess": "fairseq_signals/scripts",
    "manifests": "fairseq_signals/scripts",
    "examples": "fairseq_signals",
}
TARGETS = (
    "install",
    "demo",
    "demo-real",
    "paper",
    "benchmark",
    "starter",
    "test",
    "test-compat",
    "lint",
    "clean",
)


@pytest.fixture(scope="module")
def project(repo_dir: Path) -> dict:
    return tomllib.loads((repo_dir / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def build(source: Path, dest: Path, target: str) -> Path:
    """Build a wheel or an sdist of `source` without touching it, in this environment."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(dest)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = dest.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(repo_dir, tmp_path_factory.mktemp("wheel"), "wheel"))


@pytest.fixture(scope="module")
def sdist_dir(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = build(repo_dir, tmp_path_factory.mktemp("sdist"), "sdist")
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        if sys.version_info >= (3, 12):
            tar.extractall(unpacked, filter="data")
        else:
            tar.extractall(unpacked)
    (folder,) = unpacked.iterdir()
    return folder


def source_files(folder: Path, repo_dir: Path) -> set[str]:
    """Every file of a source folder that belongs to the project, relative to the checkout."""
    files = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(repo_dir).as_posix() for p in files}


def test_wheel_holds_the_package_and_the_scripts_labels_and_yaml_files_inside_it(wheel, repo_dir):
    names = set(wheel.namelist())
    expected = source_files(repo_dir / "fairseq_signals", repo_dir)
    for folder, place in SHIPPED_FOLDERS.items():
        expected |= {f"{place}/{name}" for name in source_files(repo_dir / folder, repo_dir)}
    assert expected <= names
    assert "fairseq_signals/scripts/manifests/labels/cinc2021.csv" in names
    assert any(re.fullmatch(r"fairseq_signals/examples/.+\.yaml", name) for name in names)


def test_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"fairseq_signals", f"fairseq_signals-{fairseq_signals.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".pt")) or "tests/" in name]


def test_wheel_is_small_and_has_the_starter_weights(wheel, repo_dir):
    assert sum(info.compress_size for info in wheel.infolist()) <= 20e6
    if not (repo_dir / "fairseq_signals" / "weights").is_dir():
        pytest.skip("this checkout has no starter weights: make starter")
    assert "fairseq_signals/weights/starter/model.safetensors" in wheel.namelist()


def test_wheel_states_version_license_and_command(wheel):
    info = f"fairseq_signals-{fairseq_signals.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {fairseq_signals.__version__}\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert any(name.startswith(f"{info}/") and name.endswith("LICENSE") for name in wheel.namelist())
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "fairseq-signals = fairseq_signals.commands.main:main" in entry_points


def test_wheel_built_from_the_source_archive_is_the_wheel_built_from_the_checkout(wheel, sdist_dir, tmp_path):
    again = zipfile.ZipFile(build(sdist_dir, tmp_path / "again", "wheel"))
    assert sorted(again.namelist()) == sorted(wheel.namelist())


def test_source_archive_holds_what_is_needed_to_test_and_cite_it(sdist_dir):
    for name in (
        "Makefile",
        "constraints.txt",
        "LICENSE",
        "CITATION.cff",
        "CHANGELOG.md",
        "tests/conftest.py",
        "benchmarks/embed.py",
    ):
        assert (sdist_dir / name).is_file(), name


def test_installed_version_is_the_version_of_the_sources():
    try:
        installed = importlib.metadata.version("fairseq-signals")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fairseq-signals is not installed in this environment; `make test` installs it")
    assert installed == fairseq_signals.__version__


def test_fairseq_is_the_documented_one_for_this_python():
    name, version = ("ve-fairseq", "0.12.3") if sys.version_info >= (3, 11) else ("fairseq", "0.12.2")
    assert importlib.metadata.version(name) == version


def test_installed_command_finds_the_examples_from_any_directory(tmp_path):
    command = shutil.which("fairseq-signals", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("fairseq-signals is not installed in this environment; `make test` installs it")
    done = subprocess.run([command, "examples"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    assert list(folder.rglob("w2v_cmsc_rlm.yaml"))


def test_pins_name_every_dependency_and_satisfy_it(project, repo_dir):
    requirements = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        requirements += extra
    for file, python in (("constraints.txt", "3.11"), ("constraints-py310.txt", "3.10")):
        pins = read_pins(repo_dir / file)
        for text in requirements:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name == "fairseq-signals":  # itself
                continue
            if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
                continue
            assert name in pins, f"{file} does not pin {name}"
            assert requirement.specifier.contains(pins[name]), f"{file}: {name}=={pins[name]} is not {text}"


def read_pins(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_tested_torch_on_python_311_is_the_documented_one(repo_dir):
    pins = read_pins(repo_dir / "constraints.txt")
    assert pins["torch"] == "2.13.0"
    assert pins["ve-fairseq"] == "0.12.3"
    assert not [name for name in pins if name.startswith("nvidia")]


def test_importing_the_package_loads_neither_torch_nor_fairseq(repo_dir):
    code = "import sys, fairseq_signals; print(sorted({'torch', 'fairseq', 'numpy'} & set(sys.modules)))"
    assert run_python(code, repo_dir) == "[]"


def run_python(code: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(cwd)}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target(repo_dir):
    listed = subprocess.run(["make", "help"], cwd=repo_dir, capture_output=True, text=True, check=True).stdout
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\S", listed, flags=re.MULTILINE), target


def test_continuous_integration_runs_lint_and_tests(repo_dir):
    script = repo_dir / ".ci" / "run"
    if not script.is_file():
        pytest.skip("the source archive has no .ci/run")
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("make")]
    assert lines == ["make lint", "make test"]
    assert os.access(script, os.X_OK)


def test_citation_and_changelog_agree_with_the_version(repo_dir):
    citation = (repo_dir / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {fairseq_signals.__version__}\n" in citation
    assert "arXiv:2203.06889" in citation
    headings = re.findall(r"^## (.+)$", (repo_dir / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
