"""What preprocess/README.md says about options and about reading a store."""

import re
import subprocess
import sys


def test_every_script_is_described_and_every_option_exists(repo_dir):
    text = (repo_dir / "preprocess" / "README.md").read_text()
    scripts = sorted((repo_dir / "preprocess").glob("*.py"))
    shared = (repo_dir / "fairseq_signals" / "commands").glob("*.py")
    sources = [path.read_text() for path in (*scripts, *shared)]
    for path in scripts:
        assert f"`{path.name}`" in text
    text = re.sub(r"^dask .*$", "", text, flags=re.MULTILINE)  # another program's options
    for option in set(re.findall(r"--[a-z][a-z-]+", text)):
        assert any(f'"{option}"' in source for source in sources), f"no script has {option}"


def test_the_example_reads_a_store_with_arrow_alone(repo_dir, tmp_path, write_wfdb, ecg_adu):
    text = (repo_dir / "preprocess" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    from fairseq_signals.store.building import build_store
    from fairseq_signals.store.conversion import iter_folder

    write_wfdb(tmp_path / "raw", "r", ecg_adu(2), ["V1", "I"])
    build_store(iter_folder(tmp_path / "raw", "x"), tmp_path / "STORE", workers=1, progress=False)
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "r ['I', 'V1'] 500.0 (2, 3000)\n"


def test_the_columns_are_those_of_the_schema(repo_dir):
    from fairseq_signals.store.shards import SCHEMA

    text = (repo_dir / "preprocess" / "README.md").read_text().partition("## The format")[2]
    described = re.findall(r"^\| `(\w+)` \| ([a-z0-9 ,]+) \|", text, re.MULTILINE)
    assert [name for name, _ in described] == SCHEMA.names
    nullable = [name for name, kind in described if "nullable" in kind]
    assert nullable == [field.name for field in SCHEMA if field.nullable]
