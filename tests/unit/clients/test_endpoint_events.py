"""A stream of bytes as events, however it is cut, and pieces of text as whole characters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.clients.endpoint_events import Characters, NoEvent, events, whole_characters


async def read(chunks: Sequence[bytes]) -> list[Mapping[str, Any] | None]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in events(source())]


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(raw) + 1) for place in places} | {len(raw)})
    return [raw[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(
    st.lists(st.text(), max_size=4),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
async def test_events_are_the_same_wherever_the_stream_is_cut(
    texts: list[str], places: list[int], end: str
) -> None:
    wanted = [{"text": text} for text in texts]
    lines = [f"data: {json.dumps(event, ensure_ascii=False)}{end}{end}" for event in wanted]
    raw = f": alive{end}{end}{''.join(lines)}data: [DONE]{end}{end}".encode()
    assert await read(cut(raw, places)) == [*wanted, None]


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b'data:{"a":1}\ndata: {"a":2}\n\n', [{"a": 1}, {"a": 2}]),  # no empty line between
        (b'data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        (b'id: 7\nretry: 5\nevent: message\ndata: {"a":1}\n\n', [{"a": 1}]),
        (b'\xef\xbb\xbfdata: {"a":1}\n\n', [{"a": 1}]),
        (b'data: {"a":1}', [{"a": 1}]),
        (b'{"error": "down"}\n', [{"error": "down"}]),
        (b'event: error\ndata: {"message": "down"}\n\n', [{"error": {"message": "down"}}]),
        (b'data: {"a":1}\n\ndata: [DONE]\n\ndata: {"a":2}\n\n', [{"a": 1}, None]),
        (b"\n\n: x\n\n", []),
    ],
)
async def test_lines_are_read_as_servers_write_them(raw: bytes, wanted: list[Any]) -> None:
    assert await read([raw]) == wanted


@pytest.mark.parametrize("raw", [b'data: {"a":', b"data: hello\n\n", b"data: 5\n\n"])
async def test_data_that_is_no_object_is_no_event(raw: bytes) -> None:
    with pytest.raises(NoEvent):
        await read([raw])


@given(st.text(), st.lists(st.integers(0, 400), max_size=6))
def test_pieces_of_characters_join_to_the_text(text: str, places: list[int]) -> None:
    pieces = [piece.decode(errors="surrogateescape") for piece in cut(text.encode(), places)]
    characters = Characters()
    heard = [characters.feed(piece) for piece in pieces] + [characters.feed("", last=True)]
    assert "".join(heard) == text


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_whatever_came_can_be_written_down(text: str) -> None:
    whole = whole_characters(text)
    assert whole.encode().decode() == whole
