"""Checks a checkpoint folder before it is trusted: files, hashes, architecture, weights.

Only safetensors are read, nothing is downloaded and no code of a checkpoint is run. It
knows which files a checkpoint needs, not what the model does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from orchestra.errors import CheckpointInvalid
from workers.device import Place
from workers.location import missing_files
from workers.tokenizer import RESTORE


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


def load_weights(model_class: Any, folder: Path, place: Place) -> PreTrainedModel:
    """The model at `place`, ready to run. Raises CheckpointInvalid for damaged weights."""
    logging.disable_progress_bar()
    try:
        model, report = model_class.from_pretrained(
            folder,
            dtype=place.dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointInvalid(
            f"{len(missing)} tensors are missing from the weights in {str(folder)!r}, "
            f"{missing[0]!r} first. {RESTORE}"
        )
    return place.put(model.eval().requires_grad_(False))


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
