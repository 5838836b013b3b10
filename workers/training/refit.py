"""Fit the domain of a finished checkpoint anew, over its own tower, and write it there.

    python -m workers.training.refit --data DIR --checkpoint DIR --cache DIR --seed 0

For `vl` and `v3`, whose towers are alike. `--cache` is the one of `workers.training.vision.vl`, and
the counts must be those that it was made with. Knows no language model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import fields
from pathlib import Path

import torch

from workers.fused.model import ARCHITECTURE
from workers.fused.network import FusedForConditionalGeneration
from workers.training.fused.v3 import bundled_tower
from workers.training.pictures.photos import IMAGE_PX
from workers.training.vision.imagenet import public_tower
from workers.training.vision.vl import VisionSchedule, bound, gather
from workers.vision.domain import FILE, Domain
from workers.vision.lite import LiteTower

CHECKSUMS = "checksums.json"


def tower_of(folder: Path) -> LiteTower:
    """The tower of a checkpoint of either kind."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("architectures") != [ARCHITECTURE]:
        return bundled_tower(folder)
    model = FusedForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval().vision


def put(domain: Domain, folder: Path) -> None:
    """Write the domain into a checkpoint's folder, and its hash among the others."""
    domain.save(folder)
    (folder / FILE).chmod(0o644)
    path = folder / CHECKSUMS
    sums = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    sums[FILE] = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    path.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line, fit, and write."""
    parser = argparse.ArgumentParser(description="Fit a checkpoint's domain anew.")
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument(
        "--cache", type=Path, required=True, help="as of workers.training.vision.vl"
    )
    parser.add_argument("--seed", type=int, default=0)
    for field in fields(VisionSchedule):
        default = 1 if field.name == "views" else field.default  # the whole picture is enough
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(default), default=default
        )
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    plan = VisionSchedule(**{field.name: given[field.name] for field in fields(VisionSchedule)})
    tower = tower_of(given["checkpoint"])
    public = public_tower(IMAGE_PX, tower.config.detail_size)
    pools = gather(given["data"], public, given["cache"], plan, given["seed"], print)
    put(bound(tower, pools, given["seed"], print), given["checkpoint"])


if __name__ == "__main__":
    main()
