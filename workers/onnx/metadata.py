"""Reads what an ONNX file says of itself, without loading it; knows no graph.

An ONNX file is one protobuf message, ModelProto (onnx.proto of the ONNX project), whose field 14
holds pairs of a key (field 1) and a value (field 2). Before a session can be given a graph's
weights one has to know their names, which are such a value.
"""

from __future__ import annotations

from collections.abc import Iterator

PAIRS, KEY, VALUE = 14, 1, 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def metadata(model: bytes) -> dict[str, str]:
    """The pairs of an ONNX file. Raises ValueError for what is none."""
    found = {}
    for field, part in _fields(model):
        if field == PAIRS:
            pair = dict(_fields(part))
            found[pair.get(KEY, b"").decode()] = pair.get(VALUE, b"").decode()
    return found


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and content of each field that holds bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind in (FIXED64, FIXED32):
            at += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"byte {at} begins a field of the unknown kind {kind!r}")
    if at != len(message):
        raise ValueError(f"the file ends {at - len(message)} bytes before its last field")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the least first, and where it ends."""
    number = shift = 0
    while True:
        if at >= len(message):
            raise ValueError(f"the file ends at byte {at}, in a number")
        number |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not message[at - 1] & 0x80:
            return number, at
