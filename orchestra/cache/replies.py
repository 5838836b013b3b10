"""Which replies are shared between runs, and under which model; it knows no graph and no ledger.

Only whole answers are kept: a reply that ended at its bound of tokens is not, and failures never
reach it. A model that draws its tokens gives another answer each time, so its replies are kept only
where its card says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from orchestra.cache.kept import call_key, from_json, to_json
from orchestra.cache.store import ReplyStore
from orchestra.core.call import Call, Reply
from orchestra.core.card import Card
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
