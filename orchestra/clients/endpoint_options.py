"""Which parts of a request are ours to leave out, and which of them a server's refusal blames.

Ours is what the card's author did not write down: the temperature, the seed, log-probabilities and
how the server is held to a schema all have defaults. What was written down is never left out; the
refusal is then an error of the card. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.clients.endpoint_errors import CONTEXT, FILTERED, NO_JSON, SCHEMA
from orchestra.clients.endpoint_refusal import Refusal
from orchestra.clients.endpoint_schema import BOUNDS
from orchestra.core.card import Card, Endpoint, Hosting

WHOLE = "a whole answer"  # asked as a stream instead: some models answer in no other way
FREELY_LEFT_OUT = ("stream_options", *BOUNDS)
DRAWN_BY = ("temperature", "top_p", "seed")
STREAM_ONLY = re.compile(r"non-streaming|only supports? stream|stream=.?false", re.IGNORECASE)
UNKNOWN_WORD = re.compile(
    r"max_completion_tokens|un(supported|known|recogni[sz]ed|expected)|not (supported|permitted)",
    re.IGNORECASE,
)
# What is wrong with one schema says nothing of the others.
ONE_SCHEMA = re.compile(
    r"invalid (json )?schema|schema error|grammar|compil|too (complex|large|many)", re.IGNORECASE
)
REFUSING = frozenset({400, 403, 422, 501})


@dataclass(frozen=True, slots=True)
class Part:
    """What of a request was refused: to be left out, for this call or from now on.

    `is_ours`: whether it may be; what the card's author asked for may not.
    """

    name: str
    is_ours: bool = True
    lasts: bool = True


def structured_of(endpoint: Endpoint, without: Collection[str]) -> str:
    """How the server is held to a schema once it refused the better ways."""
    if "response_format" in without:
        return "prompt"
    if "json_schema" in without and endpoint.structured == "json_schema":
        return "json_object"
    return endpoint.structured


def refused_part(refusal: Refusal, body: Mapping[str, Any], card: Card) -> Part | None:
    """The part of the request `body` that the server names as unknown or wrong, if it is one."""
    if refusal.status not in REFUSING or refusal.is_out_of_credit:
        return None
    if any(refusal.names(other) for other in (CONTEXT, NO_JSON, FILTERED)):
        return None  # these may quote the text, which may hold any word
    if "stream" not in body and refusal.names(STREAM_ONLY):
        return Part(WHOLE)
    sent = json.dumps({key: value for key, value in body.items() if key != "messages"})
    for name in FREELY_LEFT_OUT:
        if f'"{name}"' in sent and _blames(refusal, name):
            return Part(name)
    if "max_tokens" in body and _blames(refusal, "max_tokens") and refusal.names(UNKNOWN_WORD):
        return Part("max_tokens")
    for name in (*DRAWN_BY, "logprobs"):
        if name in body and _blames(refusal, name):
            return Part(name, is_ours=_is_default(card.hosting, name))
    return _way_refused(refusal, body, card.hosting)


def _way_refused(refusal: Refusal, body: Mapping[str, Any], hosting: Hosting) -> Part | None:
    """The way of holding the server to a schema, where that is what it refuses."""
    way = body.get("response_format", {}).get("type")
    if way is None or not (SCHEMA.search(refusal.said) or _blames(refusal, "response_format")):
        return None
    name = "json_schema" if way == "json_schema" else "response_format"
    is_ours = _is_default(hosting, "structured")
    return Part(name, is_ours=is_ours, lasts=not refusal.names(ONE_SCHEMA))


def _is_default(hosting: Hosting, name: str) -> bool:
    place = hosting.sampling if name in DRAWN_BY else hosting.endpoint
    return place is None or name not in place.model_fields_set


def _blames(refusal: Refusal, name: str) -> bool:
    if refusal.param.split(".")[0] == name:
        return True
    named = rf"(?<!\w){re.escape(name)}(?!\w)"
    return re.search(named, refusal.said, re.IGNORECASE) is not None
