"""How long the calls of a book took, and what their plans knew of them; it fits nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.book.database import Database

PAGE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One settled call: what it took, on what work, and beside what.

    `job` is the number of its account, and `account` its name. `at_ms` is when it was sent, by a
    clock that means something within one job only. `beside` are calls of other jobs under way then,
    by model; `siblings` those of its own job that its plan expected. `planned_ms` is what the plan
    said, None where it was not asked (a loop's visits, a fallback).
    """

    job: int
    model: str
    ask: str
    ms: float
    text_bytes: int
    input_tokens: int
    output_tokens: int
    images: int
    beside: Mapping[str, int]
    siblings: int
    planned_ms: float | None
    account: str = ""
    at_ms: float = 0.0


class Timings(Database):
    """The timed calls of a book."""

    def timed_calls(self) -> Iterator[TimedCall]:
        """Every settled call that says how long it took, in the order reserved.

        Calls whose work the server did not report, and those of a cache, say nothing.
        """
        last = 0
        while page := self._read(
            "SELECT entries.number, account, accounts.id, model, measured FROM entries"
            " JOIN accounts ON accounts.number = account WHERE entries.number > ?"
            " AND state = 'settled' AND measured IS NOT NULL"
            f" ORDER BY entries.number LIMIT {PAGE_ROWS}",
            (last,),
        ):
            last = page[-1][0]
            for _, number, account, model, measured in page:
                yield _timed(number, account, model, json.loads(measured))


def _timed(job: int, account: str, model: str, raw: Mapping[str, Any]) -> TimedCall:
    prompt, output, images = raw["work"]
    return TimedCall(
        job=job,
        model=model,
        ask=raw["ask"],
        ms=raw["ms"],
        text_bytes=raw["bytes"],
        input_tokens=prompt,
        output_tokens=output,
        images=images,
        beside=raw["beside"],
        siblings=raw["siblings"],
        planned_ms=raw["planned"],
        account=account,
        at_ms=raw["at"],
    )
