"""The engine contract: what any model engine takes and gives; it knows no model library.

`Call` is one prompt with its data, images and response schema. `Reply` is one raw
answer with its confidences and its metered work. An engine answers a list of calls
with a list of replies *or errors*, in order: one bad call never costs another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orchestra.core.errors import OrchestraError
from orchestra.core.usage import NO_USE
from orchestra.core.usage import Usage as Usage  # a word of replies, for who writes a worker

Box = tuple[float, float, float, float]
ENCODE = "encode"  # the capability of a model that gives vectors


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for; `parameters` is a JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's request to run the tool `name`; `id` is what its result names."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of a conversation.

    `calls` are what an assistant asked for, `answers` the id of the call that a tool's turn is the
    result of. `photos` is how many of the call's images belong to this turn, in order. Engines are
    never given a tool's turn: `clients/tools.py` writes them as plain ones.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    photos: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One model call.

    `text` is data, never instructions: it is rendered between delimiters. `schema` is a
    JSON schema of an object. `x-span: true` holds a string to a verbatim run of whole words
    of `text`. Choices and sentences of the text reach an engine as plain enumerations. `turns`
    are the messages before the instruction, oldest first. `max_tokens` bounds the answer,
    `thinking_tokens` what a reasoning model writes before it; at 0 both share `max_tokens`.
    With `schema_in_prompt` the model reads the schema, too, and is not only held to it. With
    `regions` the reply says where in the photo its values were seen, if the engine can; that costs
    more than the answer itself.
    `tools` may be asked for instead of an answer; `tool_choice` is `auto`, `any`, or a tool's name.
    With `texts` a model that offers `encode` gives a vector of each, instead of an answer; the
    instruction is empty then.
    `beside` are texts of the same table, without answers, for a model whose card says `settles`.
    """

    instruction: str
    text: str | None = None
    images: tuple[Image.Image, ...] = ()
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 128
    turns: tuple[Turn, ...] = ()
    thinking_tokens: int = 0
    schema_in_prompt: bool = False
    regions: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    texts: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def written_tokens(self) -> int:
        """The most tokens that the model may write, thoughts included."""
        return self.max_tokens + self.thinking_tokens


@dataclass(frozen=True, slots=True)
class Served:
    """How a reply came about, as far as who made it tells: for metrics and traces alone.

    `batch` is how many calls the engine answered together with this one, itself included, and 0
    where nobody says; `waited_s` is how long it waited for them, and `first_s` the seconds from
    their start to the first token. `model` is what a server calls the model that answered.
    """

    batch: int = 0
    waited_s: float = 0.0
    first_s: float | None = None
    model: str = ""


UNTOLD = Served()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    `value` is the parsed JSON object (or the text itself without a schema).
    `confidence` maps each top-level property to the probability of its value under the
    constraint: the product of its tokens' probabilities, renormalised over allowed tokens;
    for strings that are neither enumerated nor spans, their geometric mean. A model that reports
    no probabilities leaves it empty. `thinking` is what a reasoning model wrote before its answer.
    Within an object or list, leaves have theirs by their place (`maker.country`, `parts[0]`).
    `abstained` maps a property or a place whose given value was refused, and is None now, to why;
    `notes` one whose value stands to what must be known of it.
    `modality_weights` maps `text` and `image` to their parts in the answer, together 1; only a
    fused model gives it. `regions` maps a property to the part of the photo that decided it, as
    fractions (left, top, right, bottom); `heat` to the map behind it, as in `Evidence`; `words` to
    what is printed there, of models that read. `read_off` maps a property or a place to the
    characters (first, end) of the call's text that its value was read off, by models that know; the
    value may be another form of them, as a number in another unit. `judged` are properties whose
    value is a choice that the whole text was given, and that need not stand in it. `cached`: a
    cache gave it, and no model was called. `vectors` (texts, width) are of the call's `texts`.
    `shares` says of a property how likely each of its choices is, in all 1 or less, by models that
    weigh them all; one that is missing has hardly any. `served` is how it came about.
    """

    text: str
    value: Any
    confidence: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = NO_USE
    finish: Literal["stop", "length"] = "stop"
    thinking: str = ""
    abstained: Mapping[str, str] = field(default_factory=dict)
    modality_weights: Mapping[str, float] = field(default_factory=dict)
    regions: Mapping[str, Box] = field(default_factory=dict)
    heat: Mapping[str, str] = field(default_factory=dict)
    read_off: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    judged: tuple[str, ...] = ()
    cached: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = field(default=None, compare=False)
    served: Served = field(default=UNTOLD, compare=False)


def thinking_cure(call: Call) -> str:
    """What helps when the thoughts of `call` took all their tokens."""
    room = (
        "Raise it on the card (thoughts often take thousands of tokens)"
        if call.thinking_tokens
        else f"So thoughts had to share max_tokens={call.max_tokens!r} with the answer: set it"
    )
    return (
        f"The card's limits.thinking_tokens is {call.thinking_tokens!r}. {room}, or ask a model "
        "that does not think first."
    )


IsCancelled = Callable[[int], bool]
OnText = Callable[[int, str], None]
OnPiece = Callable[[str], None]


class Engine(Protocol):
    """A model in memory. Not thread-safe: one caller at a time.

    One without tokens of its own may leave `count_tokens` out; bytes are counted then.
    """

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch, greedily.

        `on_text(row, piece)` is given each piece of a row's text as it is decoded, whole
        characters only; the pieces joined are the reply's text.

        `is_cancelled(row)` is asked before each decoding step; a cancelled row returns
        `Cancelled` and costs the others nothing. A call that cannot be run returns its
        error in its place (`PromptTooLong`, `InvalidSchema`, `AnswerTruncated`,
        `ThoughtTruncated`, `AnswerInvalid`).
        """
        ...

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens that `call` would use, image tokens included."""
        ...


class Client(Protocol):
    """How a node reaches a model.

    `complete` may use `left_s` to stop work elsewhere by itself; the caller stops waiting then
    in any case, by cancelling. `on_piece` is given the text as it is decoded.
    """

    async def prepare(self) -> None: ...

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply: ...

    async def count_tokens(self, call: Call) -> int: ...
