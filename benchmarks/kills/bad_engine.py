"""A model that is bad by itself, for a canary: a quarter of its calls each way, by their text.

It answers, says that it is away (for nothing), answers what is no JSON (which is charged), or
answers late.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestra.core.call import Call, IsCancelled, OnText, Reply
from orchestra.core.errors import ModelUnavailable, OrchestraError
from workers.onnx.engine import OnnxEngine

LATE_S = 0.5
WAYS = ("well", "away", "garbage", "late")


class BadEngine:
    """The engine of a card's checkpoint, spoilt."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @classmethod
    def load(cls, checkpoint: Path | str, **options: Any) -> BadEngine:
        """As `OnnxEngine.load`."""
        return cls(OnnxEngine.load(checkpoint, **options))

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """See `Engine.generate`."""
        answers = self._engine.generate(calls, is_cancelled, on_text)
        ways = [way_of(call.text or "") for call in calls]
        if "late" in ways:
            time.sleep(LATE_S)
        return [_spoilt(way, answer) for way, answer in zip(ways, answers, strict=True)]

    def count_tokens(self, call: Call) -> int:
        """See `Engine.count_tokens`."""
        return self._engine.count_tokens(call)


def way_of(text: str) -> str:
    """How a call with this text is answered."""
    return WAYS[hashlib.sha256(text.encode()).digest()[0] % len(WAYS)]


def _spoilt(way: str, answer: Reply | OrchestraError) -> Reply | OrchestraError:
    if way == "away":
        return ModelUnavailable("The model is away. Send the request again.")
    if way == "garbage" and isinstance(answer, Reply):
        return replace(answer, text="no JSON", value=None)
    return answer
