"""What the shared encoder makes of texts, for taggers; nothing where its wheel is not installed."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.core.errors import MissingExtra
from workers.encoder.content import Encoded
from workers.encoder.encoder import shared_encoder
from workers.tagging.neural import LAYER

AT_ONCE = 256


def encoded_all(texts: Sequence[str]) -> list[Encoded]:
    """The states of each text; an empty list without the encoder."""
    try:
        encoder = shared_encoder(1)
    except MissingExtra:
        return []
    found: list[Encoded] = []
    for begin in range(0, len(texts), AT_ONCE):
        found += encoder.encode(texts[begin : begin + AT_ONCE], states_of=LAYER)
    return found


def encoded(text: str) -> Encoded:
    """The states of one text. Raises what `shared_encoder` raises."""
    return shared_encoder(1).encode([text], states_of=LAYER)[0]
