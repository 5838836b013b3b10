"""Holds the files under `deploy/kubernetes` to Kubernetes' own schemas; see `make deploy-check`.

A RayService is no kind of Kubernetes: of it the pods are held to a pod's schema.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # pyright: ignore[reportMissingImports]  # in an environment of its own
import yaml

FOLDER = Path(__file__).parent / "kubernetes"
VERSION = "1.34"


def built(form: str) -> list[dict[str, Any]]:
    """The objects of a kustomization."""
    command = ["kubectl", "kustomize", str(FOLDER / form)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def checkable(thing: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What has a schema: the object itself, or the pods in it."""
    if thing["kind"] != "RayService":
        yield thing
        return
    cluster = thing["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        name = {"name": group.get("groupName", "head")}
        template = group["template"]
        metadata = template["metadata"] | name
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def main() -> int:
    """Check every form; the number of objects that do not validate."""
    wrong = 0
    for form in ("single", "kuberay", "example"):
        for thing in built(form):
            for one in checkable(thing):
                place = f"{form}: {one['kind']} {one['metadata']['name']}"
                try:
                    kubernetes_validate.validate(one, VERSION, strict=True)
                    print(f"ok     {place}")
                except kubernetes_validate.ValidationError as error:
                    print(f"wrong  {place}: {error.message}")
                    wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
