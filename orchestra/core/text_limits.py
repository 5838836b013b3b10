"""How much text is read at all: bounds in bytes that hold before anything is tokenised.

A tokenizer needs a hundred times the memory of its text, so what no model could read is refused,
and what one model cannot read is cut, without asking the tokenizer.
"""

from __future__ import annotations

from orchestra.core.card import FleetFile
from orchestra.core.errors import PromptTooLong, TextTooLong

# More than any tokenizer needs for a token of prose: English has about 4, Chinese up to 12.
MOST_TOKEN_BYTES = 16
MOST_TEXT_BYTES = 4 * 2**20  # of a job, whoever gives it: a book has a quarter of that
LEAST_PLAIN_BYTES, MOST_PLAIN_BYTES = 2**20, 16 * 2**20


def readable_bytes(context_tokens: int) -> int:
    """The most bytes of a prompt that a model of `context_tokens` could read."""
    return context_tokens * MOST_TOKEN_BYTES


def plain_bytes(file: FleetFile) -> int:
    """The most bytes of a request beside its photos: a text that the largest context of the fleet
    could hold, twice, as JSON may write it, and never less than 1 MiB.
    """
    largest = max((card.limits.context_tokens for card in file.models), default=0)
    return min(MOST_PLAIN_BYTES, max(LEAST_PLAIN_BYTES, 2 * readable_bytes(largest)))


def check_text(text: str | None) -> None:
    """Raise `TextTooLong` for a text of a job that no model reads."""
    if text is None or len(text) * 4 <= MOST_TEXT_BYTES:  # a character has at most 4 bytes
        return
    size = len(text.encode("utf-8", "replace"))
    if size > MOST_TEXT_BYTES:
        raise TextTooLong(
            f"The text has {size:,} bytes, beginning {text[:40]!r}; the limit is "
            f"{MOST_TEXT_BYTES:,}. Send the part that matters, or several jobs."
        )


def check_prompt(size: int, context_tokens: int, model: str) -> None:
    """Raise `PromptTooLong` for a prompt of `size` bytes, which no tokenizer would make fit."""
    most = readable_bytes(context_tokens)
    if size > most:
        raise PromptTooLong(
            f"The prompt has {size:,} bytes beside the data; {model} reads {context_tokens:,} "
            f"tokens, which is {most:,} bytes at most. Shorten the question or the conversation, "
            "or ask a model with a larger context."
        )
