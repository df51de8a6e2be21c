"""`examples/paper/kubernetes.py`: what kubectl is asked, with a kubectl that only notes it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """#!/bin/sh
# properties = {properties}
cd /shared && python -m snakemake ...
"""
KUBECTL = """#!/bin/sh
echo "$@" >> "$NOTES/calls"
if [ "$1" = create ]; then cat > "$NOTES/manifest.json"; else cat "$NOTES/job.json"; fi
"""


@pytest.fixture
def call(repo_dir: Path, tmp_path):
    """`call(*arguments)`: run the script, with a kubectl that notes what it gets in `tmp_path`."""
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)

    def run(*arguments: object) -> subprocess.CompletedProcess:
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        command = [
            sys.executable,
            str(repo_dir / "examples" / "paper" / "kubernetes.py"),
            *map(str, arguments),
        ]
        env = {**os.environ, "PATH": path, "NOTES": str(tmp_path)}
        return subprocess.run(command, env=env, capture_output=True, text=True)

    return run


def submit(call, folder: Path, properties: dict) -> dict:
    script = folder / "job.sh"
    script.write_text(SCRIPT.format(properties=json.dumps(properties)))
    done = call("submit", "--image", "lab/ecg:1", "--volume", "data:/shared", script)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / "manifest.json").read_text())
    assert done.stdout == manifest["metadata"]["name"] + "\n"
    return manifest


def test_a_job_asks_for_what_its_rule_has_and_runs_its_script_on_the_volume(call, tmp_path):
    resources = {"mem_mb": 48000, "runtime": 90, "gpu": 2, "gpu_manufacturer": "nvidia"}
    manifest = submit(call, tmp_path, {"rule": "pretrain", "threads": 8, "resources": resources})
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "lab/ecg:1"
    assert container["command"] == ["/bin/bash", str(tmp_path / "job.sh")]
    assert container["resources"]["requests"] == {"cpu": "8", "memory": "48000M", "nvidia.com/gpu": "2"}
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert container["volumeMounts"][0] == {"name": "shared", "mountPath": "/shared"}
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data"}
    assert manifest["spec"]["activeDeadlineSeconds"] == 5400
    assert manifest["spec"]["backoffLimit"] == 0  # Snakemake decides about another try
    assert (tmp_path / "calls").read_text() == "create -f -\n"


def test_a_job_without_gpu_asks_for_none(call, tmp_path):
    manifest = submit(call, tmp_path, {"rule": "manifests", "threads": 1, "resources": {}})
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "1"}, "limits": {}}


def test_two_jobs_of_a_rule_have_names_of_their_own_that_kubernetes_allows(call, tmp_path):
    names = [
        submit(call, tmp_path, {"rule": "some_rule", "resources": {}})["metadata"]["name"] for _ in range(2)
    ]
    assert names[0] != names[1]
    assert all(name.startswith("paper-some-rule-") and len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ([], "running"),
        ([{"type": "Complete", "status": "True"}], "success"),
        ([{"type": "Failed", "status": "True"}], "failed"),
        ([{"type": "Failed", "status": "False"}], "running"),
        ([{"type": "SuccessCriteriaMet", "status": "True"}], "running"),
    ],
)
def test_a_status_is_one_of_the_three_that_snakemake_knows(call, tmp_path, conditions, status):
    (tmp_path / "job.json").write_text(json.dumps({"status": {"conditions": conditions}}))
    assert call("status", "paper-x").stdout == f"{status}\n"
    assert (tmp_path / "calls").read_text() == "get job paper-x -o json\n"


def test_a_script_that_is_not_snakemakes_is_refused(call, tmp_path):
    (tmp_path / "job.sh").write_text("echo\n")
    done = call("submit", "--image", "i", "--volume", "a:/b", tmp_path / "job.sh")
    assert done.returncode == 1
    assert "is it a script of Snakemake?" in done.stderr
