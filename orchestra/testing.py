"""Fakes for tests of graphs and batches: an engine that answers from a function, no weights."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import Cancelled, OrchestraError

Answer = Mapping[str, Any] | str | Reply | Exception
CHARS_PER_TOKEN = 4
IMAGE_TOKENS = 64
CANCEL_POLL_S = 0.005


@dataclass
class ScriptedEngine:
    """An `Engine` that answers each call with `answer(call)`.

    A mapping becomes a JSON reply with confidence 1 for each key, a string a text reply, a
    `Reply` is passed on as it is. An `OrchestraError`, returned or raised, takes its row's
    place; any other exception is raised by `generate`, as a crash would be. Each row takes
    `delay_s`, during which it can be cancelled. `calls` holds every call in order, `batches`
    the size of every batch.
    """

    answer: Callable[[Call], Answer]
    delay_s: float = 0.0
    cpu_s: float = 0.0
    calls: list[Call] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer in order; see `Engine.generate`. A text is told word by word."""
        self.calls.extend(calls)
        self.batches.append(len(calls))
        answers = [self._answer(row, call, is_cancelled) for row, call in enumerate(calls)]
        for row, answer in enumerate(answers):
            if on_text is not None and isinstance(answer, Reply):
                for piece in re.findall(r"\s*\S+|\s+", answer.text):
                    on_text(row, piece)
        return answers

    def count_tokens(self, call: Call) -> int:
        """A prompt token for every four characters, and 64 for every image."""
        chars = len(call.instruction) + len(call.text or "")
        return -(-chars // CHARS_PER_TOKEN) + IMAGE_TOKENS * len(call.images)

    def _answer(
        self, row: int, call: Call, is_cancelled: IsCancelled | None
    ) -> Reply | OrchestraError:
        if self._wait(row, is_cancelled):
            return Cancelled(f"Row {row} was cancelled by its caller. Call again if it is wanted.")
        try:
            answer = self.answer(call)
        except OrchestraError as error:
            return error
        if isinstance(answer, Reply | OrchestraError):
            return answer
        if isinstance(answer, Exception):
            raise answer
        return self._reply(call, answer)

    def _wait(self, row: int, is_cancelled: IsCancelled | None) -> bool:
        """Sleep `delay_s` in short naps; true when the row was cancelled meanwhile."""
        until = time.monotonic() + self.delay_s
        while True:
            if is_cancelled is not None and is_cancelled(row):
                return True
            left_s = until - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(left_s, CANCEL_POLL_S))

    def _reply(self, call: Call, answer: Mapping[str, Any] | str) -> Reply:
        value = answer if isinstance(answer, str) else dict(answer)
        if isinstance(value, str):
            text = value
        else:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        usage = Usage(
            input_tokens=self.count_tokens(call),
            output_tokens=-(-len(text) // CHARS_PER_TOKEN),
            images=len(call.images),
            cpu_s=self.cpu_s,
        )
        keys = value if isinstance(value, dict) else ()
        return Reply(text=text, value=value, confidence=dict.fromkeys(keys, 1.0), usage=usage)
