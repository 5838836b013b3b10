"""Asks an engine where it looked: an engine may offer `attend` beside the engine contract.

Which methods there are, the engine says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client
from orchestra.core.errors import UsageError
from orchestra.images.attention import AttentionMap
from orchestra.images.intake import normalise
from orchestra.images.limits import ImageLimits

ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["answer"],
}
ANSWER_TOKENS = 66  # as graph `answer` bounds it
FULL_SIZE = ImageLimits(side_px=65_536)


@runtime_checkable
class Attends(Protocol):
    """What an engine offers that can say where it looked. Not thread-safe."""

    def attend(self, call: Call, method: str = ...) -> list[AttentionMap]:
        """One map for each value of the answer to `call` that the model had a choice about.

        Raises the call's typed error, and `UsageError` for an unknown method.
        """
        ...


def attending(engine: Any, name: str) -> Attends:
    """`engine`, if it gives maps. Raises `UsageError`."""
    if isinstance(engine, Attends):
        return engine
    raise UsageError(
        f"The model {name!r} ({type(engine).__name__}) gives no attention maps: its engine has no "
        "attend(). Ask one that does, such as mini's vl."
    )


def question_call(
    question: str, photo: Image.Image, schema: Mapping[str, Any] | None = None
) -> Call:
    """The call that asks `question` about `photo`, by default as graph `answer` does."""
    if not question.strip():
        raise UsageError(f"The question is {question!r}, and a map belongs to an answer. Ask.")
    return Call(question, images=(photo,), schema=schema or ANSWER, max_tokens=ANSWER_TOKENS)


def taken_in(source: str | Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """A photo as jobs take it in, and its own size in pixels, upright. Raises ImageError."""
    photo = normalise(source)
    if max(photo.size) < ImageLimits().side_px:
        return photo, photo.size
    return photo, normalise(source, limits=FULL_SIZE).size


async def attend(client: Client, model: str, call: Call, method: str | None) -> list[AttentionMap]:
    """The maps of the `model` behind `client` for `call`, by its default method if None is given.

    Raises `UsageError` for a model that is not in this process or gives no maps, and what the
    engine raises.
    """
    if not isinstance(client, InProcessClient):
        raise UsageError(
            f"The model {model!r} is reached over a network ({type(client).__name__}), where no "
            "attention can be read. Ask a model whose card has hosting.worker."
        )
    engine = attending(await client.engine(), model)
    methods = () if method is None else (method,)
    return await client.in_thread(lambda: engine.attend(call, *methods))
