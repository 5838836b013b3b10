"""A node that is asked only where others left something open: for what it waits, as a route says.

Pure. Which nodes may wait stands in `routes`; whether something is open shows as the job runs
(`graph/waiting.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from orchestra.core.ask import Ask
from orchestra.core.errors import InvalidPlan

MARK, BOUND = "?", "@"


@dataclass(frozen=True, slots=True)
class Unless:
    """Do not ask where `fields` (none: all that both sides answer) are answered as sure as `least`.

    With 0 any answer does, also one whose confidence is unknown.
    """

    least: float
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ",".join(quote(name, safe="") for name in self.fields)
        return f"{names}{BOUND if names else ''}{self.least:g}"

    @classmethod
    def named(cls, text: str) -> Unless:
        """What `str` made. Raises `InvalidPlan`."""
        names, _, least = text.rpartition(BOUND)
        try:
            bound = float(least)
        except ValueError:
            bound = -1.0
        if not 0 <= bound <= 1:
            raise InvalidPlan(
                f"The route's condition {text!r} names no confidence from 0 to 1. Write it as in "
                "'look=MODEL?0.5' or 'look=MODEL?category@0.5', or plan the batch again."
            )
        return cls(bound, tuple(unquote(name) for name in names.split(",") if name))


@dataclass(frozen=True, slots=True)
class Condition:
    """`fields` that the nodes `on` leave open, or are less sure of than `least`, have it asked.

    `beside` are those of `on` that begin together with the node; the others ended before it.
    """

    on: tuple[str, ...]
    fields: tuple[str, ...]
    least: float
    beside: tuple[str, ...]
    unless: Unless

    def __str__(self) -> str:
        who, what = " or ".join(self.on), " or ".join(self.fields)
        unsure = f", or is less than {self.least:g} sure of it" if self.least else ""
        return f"if {who} leaves {what} open{unsure}"

    def public(self) -> dict[str, Any]:
        """As it stands in `plan --json`."""
        return {"after": list(self.on), "fields": list(self.fields), "least": self.least}


def condition_after(ask: Ask, on: Iterable[str]) -> Condition:
    """The condition of a cascade's second ask, which the graph itself makes: on all its fields."""
    least = 0.0 if ask.after is None else ask.after.least
    return Condition(tuple(on), ask.fields, least, (), Unless(least))


def split(models: str) -> tuple[str, Unless | None]:
    """The models of a route's part, and its condition: `vl?0.5` is `vl` unless 0.5."""
    plain, mark, rest = models.rpartition(MARK)
    return (plain, Unless.named(rest)) if mark else (models, None)
