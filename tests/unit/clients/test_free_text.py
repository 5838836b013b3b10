"""A free answer is text, whole or piece by piece, whatever object a model puts around it."""

from __future__ import annotations

import pytest

from orchestra.clients.free_text import MOST_CHARS, Unwrapped, complete, unwrapped
from orchestra.core.call import Call, OnPiece, Reply, Tool, Turn


class Says:
    """A client that answers with the pieces it was given."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        for piece in self.pieces:
            if on_piece is not None:
                on_piece(piece)
        text = "".join(self.pieces)
        return Reply(text, text)

    async def count_tokens(self, call: Call) -> int:
        return 1

    async def prepare(self) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('{"answer":"Apple"}', "Apple"),
        (' { "summary" : "A story.\\nTwo." }\n', "A story.\nTwo."),
        ('```json\n{"answer": "苹果"}\n```', "苹果"),
        ('{"count": 3}', "3"),
        ('{"is_ripe": true}', "true"),
        ('{"answer": null}', ""),
    ],
)
def test_the_text_within_an_object_of_one_key_is_the_answer(said: str, text: str) -> None:
    assert unwrapped(said) == text


@pytest.mark.parametrize(
    "said",
    [
        "Apple",
        "",
        "{not json}",
        '{"a": 1, "b": 2}',
        '{"items": ["a", "b"]}',
        '{"maker": {"name": "Acme"}}',
        'Say {"answer": "x"}',
        '{"answer": "' + "a" * MOST_CHARS + '"}',
        "```python\nprint(1)\n```",
    ],
)
async def test_any_other_text_stays_as_it_is_and_is_told_whole(said: str) -> None:
    assert unwrapped(said) == said
    heard: list[str] = []
    reply = await complete(Says(*said), Call("What?"), on_piece=heard.append)
    assert "".join(heard) == reply.text == said


async def test_pieces_of_an_object_are_told_as_its_text_once_it_is_whole() -> None:
    heard: list[str] = []
    said = Says("{", '"ans', 'wer":"Ap', 'ple"}')
    reply = await complete(said, Call("What?"), on_piece=heard.append)
    assert (heard, reply.text, reply.value) == (["Apple"], "Apple", "Apple")


def test_a_plain_answer_is_told_as_it_comes() -> None:
    heard: list[str] = []
    telling = Unwrapped(heard.append)
    for piece in ("It", " is {", "an} apple"):
        telling.feed(piece)
    telling.end()
    assert heard == ["It", " is {", "an} apple"]


@pytest.mark.parametrize(
    "call",
    [
        Call("Answer as JSON."),
        Call("What?", schema={"type": "object", "properties": {"answer": {"type": "string"}}}),
        Call("What?", turns=(Turn("system", "Always answer in Json."),)),
        Call("What?", tools=(Tool("find", "Finds.", {}),)),
    ],
)
async def test_who_asks_for_an_object_gets_it(call: Call) -> None:
    assert (await complete(Says('{"answer":"Apple"}'), call)).text == '{"answer":"Apple"}'
