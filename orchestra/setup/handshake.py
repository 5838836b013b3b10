"""Tries a connected model out: how its server is held to JSON, and whether it thinks first.

One tiny call for each way that could do; it knows no file and no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.endpoint_request import most_usage
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.card import Card
from orchestra.core.errors import (
    AnswerInvalid,
    AnswerTruncated,
    InvalidFleet,
    InvalidSchema,
    ThoughtTruncated,
)
from orchestra.core.pricing import Work, cost_micro

THINKING_TOKENS = 4096  # of a model that reasons first; an assumption, marked on the card
THINKING_TIMEOUT_S = 300.0  # so many tokens take minutes on a slow server
WAYS = tuple((m, p) for m in ("json_schema", "json_object", "prompt") for p in (True, False))
# Only the schema tells the key, so that a server which ignores schemas is found out.
HANDSHAKE = Call(
    "Which colour does the text name?",
    text="A red cotton shirt.",
    schema={"type": "object", "properties": {"c1": {"enum": ["red", "blue", None]}}},
    max_tokens=1000,
)
MOST_TEMPLATE_TOKENS = 32  # end marks and white space that a server may count beside the answer


async def settle_on(cards: Sequence[Card]) -> tuple[list[Card], int]:
    """`cards` as their server wants to be asked, and what trying cost at most, in micro-dollars.

    The first connected card is tried, and the others of its server follow it. Raises what a call
    raises that no other way could mend, and `InvalidSchema` when every way gave a wrong answer.
    """
    first = next(card for card in cards if card.hosting.endpoint is not None)
    spent = 0
    wrong: list[str] = []
    for mode, logprobs in WAYS:
        if any(entry.startswith(f"{mode}: ") for entry in wrong):
            continue  # log-probabilities were not what was wrong with it
        tried = _asking(first, mode, logprobs=logprobs)
        try:
            reply = await _answer(tried)
        except (InvalidSchema, AnswerInvalid, AnswerTruncated) as error:
            spent += _cost(tried, error.used or _most(tried)) if error.may_have_spent else 0
            if isinstance(error, ThoughtTruncated) and not first.limits.thinking_tokens:
                settled, more = await settle_on(_with_room(cards, first))
                return settled, spent + more
            wrong.append(f"{mode}: {error}")
            continue
        except InvalidFleet as error:
            if logprobs and "logprobs" in str(error):
                continue
            if "structured" in str(error):
                wrong.append(f"{mode}: {error}")
                continue
            if "temperature" in str(error) and not first.hosting.sampling.temperature:
                return await settle_on([_warm(card) for card in cards])
            raise
        if reply.abstained:
            spent += _cost(tried, reply.usage)
            wrong.append(f"{mode}: {', '.join(reply.abstained.values())}")
            continue
        found = logprobs and bool(reply.confidence)
        seen = _with_room(cards, first) if _thought(reply) else cards
        settled = [_asking(card, mode, logprobs=found) for card in seen]
        return settled, spent + _cost(tried, reply.usage)
    raise InvalidSchema(
        f"{first.name!r} answered no way of asking for JSON rightly ({'; '.join(wrong)}). "
        "Choose a stronger model with --model."
    )


async def _answer(card: Card) -> Reply:
    client = EndpointClient(card)
    try:
        return await client.complete(_call(card))
    finally:
        await client.close()


def _call(card: Card) -> Call:
    return replace(HANDSHAKE, thinking_tokens=card.limits.thinking_tokens)


def _thought(reply: Reply) -> bool:
    """Whether the model thought before it answered, shown or only counted.

    A token has at least one byte, so more tokens than bytes were not all of the answer.
    """
    if reply.thinking:
        return True
    shown = len(reply.text.encode()) + MOST_TEMPLATE_TOKENS
    return not reply.usage.is_bound and reply.usage.output_tokens > shown


def _with_room(cards: Sequence[Card], thinker: Card) -> list[Card]:
    """`cards` with room for thoughts, and time for them, on those of the model of `thinker`."""

    def needs_room(card: Card) -> bool:
        here, there = card.hosting.endpoint, thinker.hosting.endpoint
        if here is None or there is None or card.limits.thinking_tokens:
            return False
        return here.model == there.model

    return [with_thoughts(card) if needs_room(card) else card for card in cards]


def with_thoughts(card: Card) -> Card:
    """`card`, of an endpoint, with room for thoughts and time for them."""
    raw = card.model_dump(exclude_unset=True)
    most = card.limits.context_tokens // 2  # of a small context, half
    raw["limits"]["thinking_tokens"] = min(THINKING_TOKENS, most)
    raw["hosting"]["endpoint"]["timeout_s"] = THINKING_TIMEOUT_S
    if "limits" not in card.estimated:
        raw["estimated"] = [*card.estimated, "limits.thinking_tokens"]
    return Card.model_validate(raw)


def _warm(card: Card) -> Card:
    """`card` drawing at temperature 1, the only one that some reasoning models take."""
    if card.hosting.endpoint is None:
        return card
    sampling = card.hosting.sampling.model_copy(update={"temperature": 1.0})
    hosting = card.hosting.model_copy(update={"sampling": sampling})
    return card.model_copy(update={"hosting": hosting})


def _most(card: Card) -> Usage:
    endpoint = card.hosting.endpoint
    return Usage() if endpoint is None else most_usage(_call(card), endpoint, 0)


def _cost(card: Card, usage: Usage) -> int:
    return cost_micro(card, Work(usage.input_tokens, usage.output_tokens))


def _asking(card: Card, mode: str, *, logprobs: bool) -> Card:
    """`card` that asks for just this, so that the client does not go on without it."""
    if card.hosting.endpoint is None:
        return card
    raw = card.model_dump(exclude_unset=True)
    raw["hosting"]["endpoint"] |= {"structured": mode, "logprobs": logprobs}
    raw["hosting"]["sampling"] = {
        "temperature": card.hosting.sampling.temperature,
        **raw["hosting"].get("sampling", {}),
    }
    return Card.model_validate(raw)
