"""A call's key, and its reply as the book keeps it; it makes no call and knows no money."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestra.core.call import Call, Reply, Turn, Usage


def call_key(call: Call, images: tuple[str, ...], model: str) -> str:
    """Names a call: the model's fingerprint, wording, data, pixels, schema, bound, tools."""
    parts = [
        model,
        call.instruction,
        call.text,
        images,
        call.schema,
        [call.max_tokens, call.thinking_tokens],
        [_turn_parts(turn) for turn in call.turns],
    ]
    if call.regions:
        parts.append("regions")
    if call.tools:
        parts += [[asdict(tool) for tool in call.tools], call.tool_choice]
    text = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _turn_parts(turn: Turn) -> list[Any]:
    """What identifies a turn: role and words, and what a turn of tools or photos has beside."""
    parts: list[Any] = [turn.role, turn.text]
    if turn.calls or turn.answers or turn.photos:
        parts += [[asdict(call) for call in turn.calls], turn.answers, turn.photos]
    return parts


def to_json(reply: Reply) -> str:
    """`reply` as it is kept."""
    usage = reply.usage
    return json.dumps(
        {
            "text": reply.text,
            "value": reply.value,
            "confidence": dict(reply.confidence),
            "usage": [usage.input_tokens, usage.output_tokens, usage.images],
            "finish": reply.finish,
            "thinking": reply.thinking,
            "abstained": dict(reply.abstained),
            "regions": dict(reply.regions),
            "heat": dict(reply.heat),
            "weights": dict(reply.modality_weights),
        },
        ensure_ascii=False,
    )


def from_json(stored: str) -> Reply:
    """The reply that `to_json` wrote."""
    raw: Mapping[str, Any] = json.loads(stored)
    return Reply(
        raw["text"],
        raw["value"],
        raw["confidence"],
        Usage(*raw["usage"]),
        raw["finish"],
        raw.get("thinking", ""),
        raw.get("abstained", {}),
        raw.get("weights", {}),
        regions={name: tuple(box) for name, box in raw.get("regions", {}).items()},
        heat=raw.get("heat", {}),
    )
