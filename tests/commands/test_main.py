"""The `fairseq-signals` command and its dispatch to scripts."""

import subprocess
import sys

import pytest

import fairseq_signals
from fairseq_signals import installed
from fairseq_signals.commands import main as cli
from fairseq_signals.errors import ConfigError, StoreError

LESS = "Give it more, or less to do at a time (--batch-size, --workers)."
SCRIPT = '''"""Say what was given.

More text.
"""

import sys

import helper

if __name__ == "__main__":
    print(sys.argv, helper.NAME, __file__)
    sys.exit(3 if "fail" in sys.argv else 0)
'''


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A folder with one script and its helper, in place of `preprocess/` and `manifests/`."""
    (tmp_path / "say_it.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text('"""A helper."""\nNAME = "helper"\n')
    (tmp_path / "_hidden.py").write_text("")
    monkeypatch.setattr(installed, "find_folder", lambda name: tmp_path)
    yield tmp_path
    sys.modules.pop("helper", None)


def test_a_script_runs_as_if_called_by_path(scripts, capsys):
    before = sys.argv, list(sys.path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["preprocess", "say_it", "--x", "1"])
    assert stopped.value.code == 0
    expected = f"['{scripts / 'say_it.py'}', '--x', '1'] helper {scripts / 'say_it.py'}"
    assert capsys.readouterr().out.strip() == expected
    assert (sys.argv, sys.path) == before


def test_the_exit_code_of_a_script_is_ours(scripts):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["manifest", "say-it.py", "fail"])
    assert stopped.value.code == 3


def test_scripts_are_listed_with_what_they_say_about_themselves(scripts, capsys):
    assert cli.main(["preprocess", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "  say_it  Say what was given." in shown
    assert "_hidden" not in shown


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "usage: fairseq-signals COMMAND"),
        (["evalute"], "there is no command 'evalute'; did you mean evaluate"),
        (["preprocess"], "NAME is one of:"),
        (["preprocess", "say_them"], "there is no preprocess script 'say_them'; did you mean say_it?"),
        (["manifest", "zzz"], "there is no manifest script 'zzz'\n"),
    ],
)
def test_a_call_without_a_known_name_lists_what_exists_and_exits_with_2(argv, message, scripts, capsys):
    assert cli.main(argv) == 2
    assert message in capsys.readouterr().err


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == f"fairseq-signals {fairseq_signals.__version__}"


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in cli.COMMANDS)


def test_examples_prints_a_folder_with_configurations(capsys):
    assert cli.main(["examples"]) == 0
    folder = cli.Path(capsys.readouterr().out.strip())
    assert list(folder.glob("*/config/**/*.yaml"))


@pytest.mark.parametrize("command", ["preprocess", "manifest"])
def test_every_shipped_script_says_what_it_does_and_explains_its_options(command, repo_dir, capsys):
    scripts = installed.find_scripts(command)
    assert {path.stem for path in (repo_dir / installed.SCRIPT_FOLDERS[command]).glob("[!_]*.py")} == set(
        scripts
    )
    for name, path in scripts.items():
        assert len(cli.first_docstring_line(path)) > 10
        with pytest.raises(SystemExit) as stopped:
            cli.main([command, name, "--help"])
        assert stopped.value.code == 0
        assert "--dest" in capsys.readouterr().out or name == "check"


def test_scripts_inside_the_package_come_before_those_beside_it(tmp_path):
    package = tmp_path / "site" / "fairseq_signals"
    (tmp_path / "site" / "preprocess").mkdir(parents=True)
    package.mkdir()
    assert installed.find_folder("preprocess", package) == tmp_path / "site" / "preprocess"
    (package / "scripts" / "preprocess").mkdir(parents=True)
    assert installed.find_folder("preprocess", package) == package / "scripts" / "preprocess"
    with pytest.raises(ConfigError, match="no folder manifests"):
        installed.find_folder("manifests", package)


def test_bad_input_is_one_line_and_exit_code_1(monkeypatch, capsys):
    def fail(command, arguments):
        raise StoreError("shard-00000.arrow: damaged")

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["evaluate", "x"]) == 1
    expected = "fairseq-signals evaluate: StoreError: shard-00000.arrow: damaged\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/x/e.npy"), "/x/e.npy: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError(), f"there is not enough memory. {LESS}"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), f"there is not enough memory. {LESS}"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_exit_code_1(monkeypatch, capsys, error, said):
    def fail(command, arguments):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main(["embed", "x"]) == 1
    assert capsys.readouterr().err == f"fairseq-signals embed: {said}\n"


def test_help_needs_neither_torch_nor_scikit_learn():
    code = (
        "import sys\nfrom fairseq_signals.commands import main as cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "cli.main(['preprocess', '--help'])\n"
        "heavy = {'torch', 'sklearn', 'fairseq', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
