"""Checks a checkpoint folder before it is trusted: files, hashes, architecture.

Only safetensors are accepted, nothing is downloaded and no code of a checkpoint is run. It
knows which files a checkpoint needs, neither the library that reads them nor what the model does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestra.core.errors import CheckpointInvalid
from workers.loading.parts import require_parts

RESTORE = "Restore the folder (git checkout, or download the checkpoint again)."
SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
INDEX = "model.safetensors.index.json"
# What config.json says of weights that `workers.onnx.int8` packed.
INT8 = {"quant_method": "int8-rows", "bits": 8}


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a checkpoint whose files are all there and unchanged."""
    if not folder.is_dir():
        raise CheckpointInvalid(f"No checkpoint folder at {str(folder)!r}. {RESTORE}")
    if not any(folder.glob("*.safetensors")):
        raise CheckpointInvalid(
            f"No .safetensors file in {str(folder)!r} (found {sorted(_names(folder))!r}). Other "
            "weight formats can run code and are not read; convert them with save_pretrained()."
        )
    for name in missing_files(folder):
        raise CheckpointInvalid(f"{name!r} is missing from {str(folder)!r}. {RESTORE}")
    _check_hashes(folder)
    require_parts(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointInvalid(
            f"config.json in {str(folder)!r} is not JSON: {error}. {RESTORE}"
        ) from error
    return config


def architecture(config: dict[str, Any]) -> str:
    """The first architecture that a config names, or an empty string."""
    return next(iter(config.get("architectures") or ()), "")


def missing_files(folder: Path) -> list[str]:
    """Names of the files without which `folder` is no whole checkpoint."""
    missing = [name for name in SMALL_FILES if not (folder / name).is_file()]
    if (folder / INDEX).is_file():
        try:
            shards = set(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            return [*missing, INDEX]
        return missing + sorted(name for name in shards if not (folder / name).is_file())
    return missing if any(folder.glob("*.safetensors")) else [*missing, "model.safetensors"]


def require_known(name: str, known: Sequence[str], folder: Path) -> None:
    """Raise CheckpointInvalid unless architecture `name` is among `known`."""
    if name not in known:
        raise CheckpointInvalid(
            f"Architecture {name!r} in {str(folder / 'config.json')!r} is not one that this "
            f"engine runs ({len(known)} are: {', '.join(known[:3])}, and the causal language "
            "models of transformers). Connect it as an endpoint instead."
        )


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _check_hashes(folder: Path) -> None:
    """Compare files with `checksums.json` ({file name: sha256}), where there is one."""
    listing = folder / "checksums.json"
    if not listing.is_file():
        return
    for name, expected in json.loads(listing.read_text(encoding="utf-8")).items():
        path = folder / Path(name).name
        found = _sha256(path) if path.is_file() else "no file"
        if found != expected:
            raise CheckpointInvalid(
                f"{str(path)!r} has sha256 {found!r}, checksums.json says {expected!r}. {RESTORE}"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
