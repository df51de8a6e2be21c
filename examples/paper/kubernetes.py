"""Jobs of the workflow as Kubernetes jobs that share a volume: the commands of Snakemake's generic executor.

    python kubernetes.py submit --image IMAGE --volume CLAIM:/shared JOBSCRIPT
    python kubernetes.py status NAME

`submit` asks for the threads, memory and GPUs that the job's rule has, and prints the job's name. It calls
kubectl, as whoever is logged in there. Snakemake's own Kubernetes executor copies files to and from a store
of objects; trainings that go on after a kill need a volume, and with one nothing has to be copied.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROPERTIES = "# properties = "
#: What a job's status is to Snakemake, by the condition that Kubernetes reports of it.
STATES = {"Complete": "success", "Failed": "failed", "FailureTarget": "failed"}


def job_properties(script: Path) -> dict[str, Any]:
    """What Snakemake wrote into a job's script about the job."""
    for line in script.read_text(encoding="utf-8").splitlines():
        if line.startswith(PROPERTIES):
            return json.loads(line[len(PROPERTIES) :])
    sys.exit(f"{script}: has no line that begins with {PROPERTIES!r}; is it a script of Snakemake?")


def job_manifest(script: Path, image: str, volume: str, gpu: str = "nvidia.com/gpu") -> dict[str, Any]:
    """A Kubernetes job that runs a script in an image, with what its rule asks for.

    Args:
        script: the job's script, on the volume.
        image: of the container.
        volume: a persistent volume claim and where it is mounted, "CLAIM:/PATH".
        gpu: name of the resource that a GPU is.
    """
    properties = job_properties(script)
    claim, _, path = volume.partition(":")
    resources = properties.get("resources", {})
    wanted: dict[str, Any] = {"cpu": str(properties.get("threads", 1))}
    if "mem_mb" in resources:
        wanted["memory"] = f"{resources['mem_mb']}M"
    limits = {gpu: str(resources["gpu"])} if resources.get("gpu") else {}
    container = {
        "name": "job",
        "image": image,
        "command": ["/bin/bash", str(script.resolve())],
        "resources": {"requests": {**wanted, **limits}, "limits": limits},
        "volumeMounts": [{"name": "shared", "mountPath": path}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    volumes = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},  # workers of a data loader share memory
    ]
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    spec: dict[str, Any] = {"backoffLimit": 0, "template": {"spec": pod}, "ttlSecondsAfterFinished": 86400}
    if "runtime" in resources:
        spec["activeDeadlineSeconds"] = 60 * int(resources["runtime"])
    rule = str(properties.get("rule", "group"))
    name = f"paper-{rule.replace('_', '-')}-{uuid.uuid4().hex[:10]}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": "fairseq-signals-paper", "rule": rule}},
        "spec": spec,
    }


def job_status(job: dict[str, Any]) -> str:
    """ "success", "failed" or "running"."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition.get("status") == "True" and condition.get("type") in STATES:
            return STATES[condition["type"]]
    return "running"


def kubectl(*arguments: str, text: str | None = None) -> str:
    """The output of kubectl."""
    done = subprocess.run(["kubectl", *arguments], input=text, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"kubectl {' '.join(arguments)} ended with exit code {done.returncode}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Submit a job, or ask for its status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    action = actions.add_parser("submit", help="run a job's script")
    action.add_argument("--image", required=True, help="container image with fairseq-signals[paper]")
    action.add_argument("--volume", required=True, metavar="CLAIM:/PATH", help="claim, and its place")
    action.add_argument("--gpu", default="nvidia.com/gpu", help="resource of a GPU (default: %(default)s)")
    action.add_argument("script", type=Path)
    action = actions.add_parser("status", help="print success, running or failed")
    action.add_argument("name", help="of the job")
    args = parser.parse_args(argv)
    if args.action == "submit":
        manifest = job_manifest(args.script, args.image, args.volume, args.gpu)
        kubectl("create", "-f", "-", text=json.dumps(manifest))
        print(manifest["metadata"]["name"])
    else:
        print(job_status(json.loads(kubectl("get", "job", args.name, "-o", "json"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
