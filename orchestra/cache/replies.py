"""Replies shared between runs: a call's key, the reply as JSON, and which ones are kept.

Only whole answers are kept: a reply that ended at its bound of tokens is not, and failures never
reach it. A model that draws its tokens gives another answer each time, so its replies are kept only
where its card says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.cache.store import ReplyStore
from orchestra.core.call import Call, Reply, Turn, Usage
from orchestra.core.card import Card
from orchestra.core.float_text import floats_to_text, text_to_floats
from orchestra.core.identity import identity
from orchestra.core.loops import SingleFlight


class SharedReplies:
    """The replies of `store` for the cards of a fleet whose checkpoints lie under `folder`."""

    def __init__(self, store: ReplyStore, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._models: dict[str, tuple[Card, str | None]] = {}
        self._reading: SingleFlight[str | None] = SingleFlight()

    async def key(self, call: Call, images: tuple[str, ...], card: Card) -> str | None:
        """The key of `call` to the model of `card`; None when its reply is not shared.

        `images` are the hashes of its photos.
        """
        model = await self._model(card) if is_shared(card) else None
        return None if model is None else call_key(call, images, model)

    async def _model(self, card: Card) -> str | None:
        """The fingerprint of `card`'s model, made once for each card."""
        known = self._models.get(card.name)
        if known is not None and known[0] is card:
            return known[1]

        async def read() -> str | None:
            # Weights are read for it, which may take a second.
            model = await asyncio.to_thread(
                identity, card, self._folder, every_byte=self.store.file_hash
            )
            fingerprint = None if model is None else model.fingerprint
            self._models[card.name] = (card, fingerprint)
            return fingerprint

        return await self._reading.do(read, key=id(card))

    def find(self, key: str) -> Reply | None:
        """The reply under `key`, marked `cached`, or None."""
        stored = self.store.get(key)
        if stored is None:
            return None
        try:
            return replace(from_json(stored), cached=True)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.store.drop(key)
            return None

    def keep(self, key: str, reply: Reply) -> None:
        """Share `reply`, if it is whole."""
        if reply.finish == "stop":
            self.store.put(key, to_json(reply))


def is_shared(card: Card) -> bool:
    """Whether replies of `card` may be shared: as it says, else when it draws no tokens."""
    if card.hosting.cache is not None:
        return card.hosting.cache
    return card.hosting.sampling.temperature == 0


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
    if call.texts:
        parts.append({"texts": call.texts})
    if call.beside:
        parts.append({"beside": call.beside})
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
    kept = {
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
        "read_off": dict(reply.read_off),
        "judged": list(reply.judged),
    }
    if reply.notes:
        kept["notes"] = dict(reply.notes)
    if reply.words:
        kept["words"] = dict(reply.words)
    if reply.shares:
        kept["shares"] = {name: dict(shares) for name, shares in reply.shares.items()}
    if reply.vectors is not None:
        kept["vectors"] = [len(reply.vectors), floats_to_text(reply.vectors)]
    return json.dumps(kept, ensure_ascii=False)


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
        notes=raw.get("notes", {}),
        read_off={place: tuple(span) for place, span in raw.get("read_off", {}).items()},
        judged=tuple(raw.get("judged", ())),
        words=raw.get("words", {}),
        shares=raw.get("shares", {}),
        vectors=_vectors(*raw["vectors"]) if "vectors" in raw else None,
    )


def _vectors(rows: int, text: str) -> NDArray[np.float32]:
    return text_to_floats(text).reshape(rows, -1)
