"""Limits of a minute for models that are hosted here; a server's are kept by its own client.

It knows no job and no money. The limits are those of one process: replicas of an ingress each keep
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.clients.endpoint_pace import Pace
from orchestra.core.card import Card


@dataclass(eq=False, slots=True)
class Paces:
    """The pace of each model whose card bounds the calls or tokens of a minute."""

    _paces: dict[str, Pace] = field(default_factory=dict)

    def of(self, card: Card) -> Pace | None:
        """The pace of `card`'s calls; None where nothing bounds them here."""
        if not card.limits.is_paced or card.hosting.endpoint is not None:
            return None
        known = self._paces.get(card.name)
        if known is None:
            limits = card.limits
            made = Pace(card.name, limits.requests_per_minute, limits.tokens_per_minute)
            known = self._paces.setdefault(card.name, made)  # one minute, whichever thread is first
        return known

    def waits_ms(self) -> Mapping[str, float]:
        """How long each model's next call would have to wait now, up to a tenth second."""
        return {name: pace.wait_ms() for name, pace in list(self._paces.items())}
