"""A language model as an engine sees it: how a call becomes a prompt, and a batch a session.

It knows no library that runs models, no schema and no job.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from orchestra.core.call import Call, Reply
from orchestra.core.errors import UsageError
from workers.decoding.prompt import PromptWriter
from workers.decoding.sampling import Draws
from workers.decoding.standing import Standing
from workers.decoding.taught import Taught


class AnySession(Protocol):
    """What decoding needs of a session."""

    block_tokens: int

    def extend(self, blocks: Sequence[Sequence[int]], image_features: Any = None) -> Any:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token.

        A row with an empty block keeps its place; its logits mean nothing. `image_features`
        (images, tokens, width) fill the image tokens of the blocks in order. Logits are an array
        of the library that runs the model, which `pick` takes.
        """
        ...

    def pick(
        self, logits_BV: Any, allowed_BV: NDArray[np.bool_], draws: Draws | None
    ) -> tuple[list[int], list[float]]:
        """Each row's next token, and its probability among the allowed ones at temperature 1."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        ...


# Makes a session of rows that hold at most so many tokens each; the id marks image tokens.
OpenSession = Callable[[Sequence[int], int | None], AnySession]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of one call, and its images as pixels, or None.

    `pixels` has one tensor (images, 3, height, width) for each resolution that the vision tower
    takes, by the name that transformers gives it. `standings` and `seen`, what the tower made of
    each image (E), are filled when the images are looked at, by a model that knows its domain.
    """

    ids: list[int]
    pixels: dict[str, Any] | None = None
    standings: list[Standing] = field(default_factory=list)
    seen: list[NDArray[np.float32]] = field(default_factory=list)


class SecondOpinion(Protocol):
    """What somebody else makes of a call's photo, to be joined with the model's answer."""

    def joined(self, reply: Reply) -> Reply:
        """`reply`, in the model's words, in the light of it."""
        ...

    def told(self, reply: Reply) -> Reply:
        """`reply`, in the user's words, with what the model itself does not know."""
        ...


class SecondLook(Protocol):
    """Looks at the photo of a call again, beside the model."""

    def opinion(self, asked: Call, posed: Call, prompt: Prompt) -> SecondOpinion | None:
        """Of a call as the user `asked` and as it was `posed` to the model; None where none is."""
        ...


class TextModel:
    """A causal language model with its tokenizer and prompt format.

    `taught` are the choices of photos that it knows, where its checkpoint says so; `second_look`
    is what looks at photos beside it.
    """

    taught: Taught | None = None
    second_look: SecondLook | None = None

    def __init__(
        self,
        tokenizer: Any,  # an AnyTokenizer; transformers' own hide some of its attributes from types
        open_session: OpenSession,
        *,
        vocab_size: int,
        context_tokens: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.context_tokens = context_tokens
        self.writer = PromptWriter(tokenizer)
        self._open_session = open_session

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call. Raises UsageError for an image."""
        if call.images:
            raise UsageError(
                f"This model reads text only, but the call has {len(call.images)} images. "
                "Route it to a card whose modalities hold 'image'."
            )
        return Prompt(self.writer.encode(call))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`."""
        return len(self.prepare(call).ids)

    def open(self, prompts: Sequence[Prompt], capacity: Sequence[int]) -> tuple[AnySession, Any]:
        """A session for these rows, and the image features to fill their prompts with.

        `capacity` is the most tokens that each row will hold, its answer included.
        """
        return self._open_session(capacity, None), None
