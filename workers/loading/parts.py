"""What a checkpoint has in common with one that lies beside it, so that it is stored once.

`parts.json` in a folder names files of sibling folders with their sha256: weights, whose tensors of
one prefix are read under another, and other files, which stand for the folder's own of that name.
It knows no library that runs models.

    {"weights": [{"file": "vl/model.safetensors", "sha256": "...",
                  "prefix": "model.vision_model.", "becomes": "vision."}],
     "files": {"domain.safetensors": {"file": "vl/domain.safetensors", "sha256": "..."}}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open

from orchestra.core.errors import CheckpointInvalid

FILE = "parts.json"
RESTORE = "Restore both folders (git checkout, or download the checkpoints again)."


class SharedFile(BaseModel):
    """A file of a sibling folder, `folder/name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[\w-][\w.-]*/[\w-][\w.-]*$")
    sha256: str


class SharedWeights(SharedFile):
    """Tensors of a sibling's weights: those whose names begin with `prefix`, renamed."""

    prefix: str
    becomes: str


class Parts(BaseModel):
    """All that a checkpoint takes from its siblings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: tuple[SharedWeights, ...] = ()
    files: Mapping[str, SharedFile] = Field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Parts:
        """The parts of a folder; nothing where it shares nothing. Raises CheckpointInvalid."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error


def require_parts(folder: Path) -> None:
    """Raise CheckpointInvalid unless everything that `folder` shares is there and unchanged."""
    parts = Parts.read(folder)
    wanted = {part.file: part.sha256 for part in (*parts.weights, *parts.files.values())}
    for name, expected in wanted.items():
        path = folder.resolve().parent / name
        found = _sha256(path) if path.is_file() else "no file"
        if found != expected:
            raise CheckpointInvalid(
                f"{str(folder)!r} shares {name!r} with the folder beside it: {str(path)!r} has "
                f"sha256 {found!r}, {FILE} says {expected!r}. {RESTORE}"
            )


def located(folder: Path, name: str) -> Path:
    """Where the file `name` of a checkpoint lies: in its folder, or shared in one beside it."""
    own = folder / name
    shared = None if own.is_file() else Parts.read(folder).files.get(name)
    return own if shared is None else folder.resolve().parent / shared.file


def open_tensors(folder: Path, framework: str) -> dict[str, tuple[Any, str]]:
    """For each tensor of a checkpoint an opened file, and its name there.

    `framework` is what safetensors makes of a tensor: `np` or `pt`. Raises what safetensors does
    for a file that it cannot read.
    """
    found: dict[str, tuple[Any, str]] = {}
    for part in Parts.read(folder).weights:
        opened = safe_open(folder.resolve().parent / part.file, framework=framework)
        for name in opened.keys():  # noqa: SIM118 (it is no mapping)
            if name.startswith(part.prefix):
                found[part.becomes + name.removeprefix(part.prefix)] = opened, name
    for path in sorted(folder.glob("*.safetensors")):
        opened = safe_open(path, framework=framework)
        found |= {name: (opened, name) for name in opened.keys()}  # noqa: SIM118
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
