"""Drop from a checkpoint what the ones beside it have, and note in `parts.json` where it lies.

    python -m workers.training.share workers/checkpoints/v3 vl r1

Tensors are shared where all of one prefix are equal to the last bit; other large files where they
are equal byte for byte. It knows names and bytes, no model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from workers.loading.parts import FILE

WEIGHTS = "model.safetensors"
WHOLE_FILES = ("domain.safetensors",)
Tensors = Mapping[str, NDArray[Any]]


def share(folder: Path, siblings: list[str]) -> int:
    """Share with each of `siblings` in turn; returns the bytes that this frees."""
    tensors = load_file(folder / WEIGHTS)
    before = sum(path.stat().st_size for path in folder.iterdir())
    parts: dict[str, Any] = {"weights": [], "files": {}}
    for sibling in siblings:
        path = folder.parent / sibling / WEIGHTS
        for prefix, becomes, names in _equal(load_file(path), tensors):
            parts["weights"].append(
                {**_named(path), "prefix": prefix, "becomes": becomes},
            )
            tensors = {name: part for name, part in tensors.items() if name not in names}
        for name in WHOLE_FILES:
            own, other = folder / name, folder.parent / sibling / name
            if own.is_file() and other.is_file() and own.read_bytes() == other.read_bytes():
                parts["files"][name] = _named(other)
                own.unlink()
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    (folder / FILE).write_text(json.dumps(parts, indent=2) + "\n", encoding="utf-8")
    _write_sums(folder)
    return before - sum(path.stat().st_size for path in folder.iterdir())


def _equal(theirs: Tensors, ours: Tensors) -> list[tuple[str, str, set[str]]]:
    """Prefixes there and here under which all tensors there are ours, and our names of those."""
    votes = Counter(
        (name.removesuffix(end), own.removesuffix(end))
        for own in ours
        for name in theirs
        for end in _common_ends(name, own)
        if theirs[name].shape == ours[own].shape
    )
    found: list[tuple[str, str, set[str]]] = []
    for (prefix, becomes), _ in votes.most_common():
        names = {name: becomes + name.removeprefix(prefix) for name in theirs
                 if name.startswith(prefix)}  # fmt: skip
        taken = set().union(*(known for *_, known in found))
        if taken.isdisjoint(names.values()) and all(
            own in ours and np.array_equal(theirs[name], ours[own]) for name, own in names.items()
        ):
            found.append((prefix, becomes, set(names.values())))
    return found


def _common_ends(one: str, other: str) -> list[str]:
    """What two dotted names end with alike, the shortest first."""
    ends: list[str] = []
    for a, b in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if a != b:
            break
        ends.append(".".join([a, *ends[-1:]]))
    return ends


def _named(path: Path) -> dict[str, str]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": f"{path.parent.name}/{path.name}", "sha256": sha256}


def _write_sums(folder: Path) -> None:
    """Bring `checksums.json` up to date with what the folder holds, `parts.json` among it."""
    path = folder / "checksums.json"
    listed = {*json.loads(path.read_text(encoding="utf-8")), FILE}
    sums = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(listed)
        if (folder / name).is_file()
    }
    path.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and share."""
    parser = argparse.ArgumentParser(description="Store once what checkpoints have in common.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("siblings", nargs="+", help="names of the folders beside it")
    given = parser.parse_args()
    print(f"{share(given.checkpoint, given.siblings):,} bytes freed")


if __name__ == "__main__":
    main()
