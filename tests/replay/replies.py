"""Replays what servers were reported to answer: a file for each kind, a case for each report.

A file holds the server's ordinary completion (`good`) and its cases. A case says what is asked
(`talk`, `facts` with a schema, or `tools`; with `heard` as a stream that is listened to), what the
server says in order (`good`, or a status with `body`, `raw` or the events of a `stream`), and how
the call `ends`. In `raw` and `stream` with `bytes: true` a character is one byte, so that broken
UTF-8 can be written down. The shapes are those of public documentation and bug reports; the words
are shortened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.tools import from_form
from orchestra.core.call import Call, Reply, Tool
from orchestra.core.card import Card
from orchestra.core.errors import OrchestraError
from tests.servers.fake_server import FakeServer, Said, serving

FOLDER = Path(__file__).parent
NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOLS = (Tool("add", "Add.", NUMBERS), Tool("now", "The time.", {"type": "object"}))
SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue", None]},
        "brand": {"anyOf": [{"type": "string", "x-span": True}, {"type": "null"}]},
        "note": {"type": "string", "maxLength": 20},
    },
}
ASKS: Mapping[str, Call] = {
    "talk": Call("Say hello.", max_tokens=20),
    "facts": Call("Extract.", text="A red shirt by Arla.", schema=SCHEMA, max_tokens=50),
    "tools": Call("1 + 2?", tools=TOOLS, max_tokens=50),
}
KEY_NAME, KEY = "REPLAY_KEY", "replayed-secret"


@dataclass(frozen=True)
class Case:
    """One report: what is asked of which card, what the server says, and how it ends."""

    server: str
    name: str
    replies: tuple[Said, ...]
    ends: Mapping[str, Any]
    asks: str = "talk"
    heard: bool = False
    times: int = 1
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How the last of a case's calls ended, what was heard of it, and what was asked."""

    answer: Reply | OrchestraError
    heard: Sequence[str]
    server: FakeServer


def cases() -> list[Case]:
    """Every case of every file."""
    found: list[Case] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        for case in raw["cases"]:
            replies = tuple(_said(reply, raw["good"]) for reply in case.pop("replies"))
            found.append(Case(server=path.stem, replies=replies, **case))
    return found


def _said(reply: Any, good: Mapping[str, Any]) -> Said:
    if reply == "good":
        return Said(good)
    encoding = "latin-1" if reply.get("bytes") else "utf-8"
    headers, status = reply.get("headers", {}), reply.get("status", 200)
    breaks_off = reply.get("breaks_off", False)
    if "stream" in reply:
        raw = reply["stream"].encode(encoding)
        whole = [event + b"\n\n" for event in raw.rstrip(b"\n").split(b"\n\n")]
        if reply.get("cut"):
            whole[-1] = whole[-1].removesuffix(b"\n\n")
        # Halved, so that no event, line or character comes in one piece.
        pieces = [part for event in whole for part in _halves(event)]
        return Said(pieces=tuple(pieces), status=status, headers=headers, breaks_off=breaks_off)
    body = reply["raw"].encode(encoding) if "raw" in reply else reply.get("body")
    kind = {} if "raw" not in reply else {"Content-Type": "text/html"}
    return Said(body, status, {**kind, **headers}, breaks_off=breaks_off)


def _halves(event: bytes) -> list[bytes]:
    middle = len(event) // 2
    return [part for part in (event[:middle], event[middle:]) if part]


async def play(case: Case) -> Ended:
    """Ask what the case asks, as often as it says, of a server that answers as it says."""
    heard: list[str] = []
    with serving(*case.replies) as server:
        client = EndpointClient(_card(case, server.url))
        answer: Reply | OrchestraError | None = None
        for _ in range(case.times):
            try:
                on_piece = heard.append if case.heard else None
                answer = await client.complete(ASKS[case.asks], left_s=30, on_piece=on_piece)
            except OrchestraError as error:
                answer = error
        await client.close()
    assert answer is not None
    return Ended(answer, heard, server)


def _card(case: Case, url: str) -> Card:
    """A card whose author asked for nothing but what the case says."""
    endpoint = {"url": url, "model": "tiny", "api_key_env": KEY_NAME, **case.endpoint}
    return Card.model_validate(
        {
            "name": "far",
            "role": "text",
            "capabilities": ["text"],
            "price": {"as_of": "2026-11-01", "usd_per_million_input_tokens": "1"},
            "profile": {"origin": "estimated", "fixed_ms": 10},
            "hosting": {"memory_gib": 0, "endpoint": endpoint, "sampling": dict(case.sampling)},
            "limits": {"context_tokens": 4000},
        }
    )


def calls_asked(reply: Reply) -> list[list[Any]]:
    """[name, arguments] of each tool call of a reply to `tools`."""
    _, calls = from_form(reply.text, TOOLS, prefix="made-")
    assert all(call.id for call in calls) and len({call.id for call in calls}) == len(calls)
    return [[call.name, dict(call.arguments)] for call in calls]


def sent_with(server: FakeServer, part: str) -> list[bool]:
    """Whether each request held `part`, a key of its body or a word of its schema."""
    bodies = [{k: v for k, v in asked.items() if k != "messages"} for asked in server.asked]
    return [f'"{part}"' in json.dumps(body) for body in bodies]
