"""Finds what turns texts into vectors, by the name a policy has it under.

An encoder is reached as a worker is, by `module:function`, and loads at the first text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidPolicy
from orchestra.fleet.source import load_worker
from orchestra.quality.texts import NamedEncoder

DEFAULT = "e5"
# A policy is a file of figures: it names an encoder of these, and never what is imported.
PLACES = {DEFAULT: "workers.encoder.encoder:shared_encoder"}
MOST_CHARACTERS = 400  # of a text are read: its form shows early, and the pass takes its length


def encoder_of(name: str) -> NamedEncoder | None:
    """The encoder called `name`; None for "", which is none.

    Raises `InvalidPolicy` for a name that there is not, and when it is used what loading raises.
    """
    if not name:
        return None
    if name not in PLACES:
        raise InvalidPolicy(
            f"There is no encoder {name!r} (there are: {', '.join(map(repr, PLACES))}; or '' for "
            "none). Name one of them, and fit a policy that names another again with "
            "`orchestra calibrate`."
        )
    place = PLACES[name]

    def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        encoder: Any = load_worker(place)()
        return encoder.vectors([text[:MOST_CHARACTERS] for text in texts])

    return NamedEncoder(name, vectors)
