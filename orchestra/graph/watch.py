"""What is seen of a call of a model: its span, and how long its first token and the others took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from orchestra.core.call import Call, OnPiece, Reply
from orchestra.core.card import Card
from orchestra.core.errors import OrchestraError
from orchestra.observe.genai import inference_span, response_of
from orchestra.observe.metrics import Times, count_answer
from orchestra.observe.trace import is_on, mark, note


class TellAnswer(Protocol):
    """Told what a call came to; `reused` where no model was asked for it."""

    def __call__(self, answer: Reply | OrchestraError, *, reused: bool) -> None: ...


@contextmanager
def watched(card: Card, call: Call, node: str, *, streams: bool) -> Iterator[TellAnswer]:
    """A span around one call, whoever answers it in the end; nothing where nobody traces."""
    if not is_on():
        yield _unheard
        return
    more = {"orchestra.node": node}
    with inference_span(card, call, streams=streams, more=more) as span:

        def tell(answer: Reply | OrchestraError, *, reused: bool) -> None:
            span.set_attribute("orchestra.reused", reused)
            if isinstance(answer, OrchestraError):
                mark(span, answer.kind)
            elif not reused:  # a reply that was paid for before used no tokens now
                span.set_attributes({**response_of(card, answer), **_engine(answer)})

        yield tell


def _unheard(answer: Reply | OrchestraError, *, reused: bool) -> None:
    """Nobody traces."""


def _engine(reply: Reply) -> dict[str, Any]:
    """What our own engine tells of its batch."""
    served = reply.served
    if not served.batch:
        return {}
    waited_s = round(served.waited_s, 6)
    return {"orchestra.batch_size": served.batch, "orchestra.queue_seconds": waited_s}


@dataclass(slots=True)
class FirstPiece:
    """Passes an answer on piece by piece, and notes when the first one came.

    `since` is when the model was asked, by the monotonic clock.
    """

    hear: OnPiece
    since: float
    first_s: float | None = None

    def __call__(self, piece: str) -> None:
        """Hear the next piece."""
        if self.first_s is None:
            self.first_s = time.monotonic() - self.since
        self.hear(piece)


def count_times(card: Card, reply: Reply, seconds: float, first: FirstPiece | None) -> None:
    """Count what a reply took: `seconds` in all, its first piece as `first` noted it."""
    heard_s = None if first is None else first.first_s
    first_s = _first_s(card, reply, seconds) if heard_s is None else heard_s
    served, tokens = reply.served, reply.usage.output_tokens
    count_answer(card.name, Times(seconds, tokens, first_s, served.batch, served.waited_s))
    if heard_s is not None:
        note("gen_ai.response.time_to_first_chunk", round(heard_s, 6))


def _first_s(card: Card, reply: Reply, seconds: float) -> float | None:
    """Seconds to the first token of a reply that was not streamed; None where nobody knows.

    Our engines say it, and one that decodes nothing has its first token together with its last.
    """
    if card.hosting.endpoint is not None:
        return None
    first_s = reply.served.first_s
    return seconds if first_s is None else reply.served.waited_s + first_s
