"""Gather: the answers of several branches as one list a field, with all that they rest on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from orchestra.combine.branches import (
    Branch,
    absent,
    answers_of,
    evidence_of,
    joined,
    names_of,
    same,
    source_of,
)
from orchestra.core.job import Field

T = TypeVar("T")


def gather_branches(branches: Sequence[Branch]) -> dict[str, Field]:
    """For each field the list of what the branches answered, in their order, each value once.

    A list adds its items. A gathered field is as sure as the least sure answer in it: one whose
    confidence is unknown makes that of the whole unknown.
    """
    return {name: _gathered(branches, name) for name in names_of(branches)}


def _gathered(branches: Sequence[Branch], name: str) -> Field:
    answers, note = answers_of(branches, name), joined(absent(branches, name))
    if not answers:
        return Field(note=note)
    return Field(
        value=_distinct(answers),
        source=source_of(answers),
        confidence=_least(answer.confidence for answer in answers),
        probability=_least(answer.probability for answer in answers),
        promised=_least(answer.promised for answer in answers),
        doubt=next((answer.doubt for answer in answers if answer.doubt), None),
        contradiction=any(answer.contradiction for answer in answers),
        evidence=evidence_of(answers),
        model=", ".join(dict.fromkeys(answer.model for answer in answers if answer.model)) or None,
        prompt_hash=_only(answer.prompt_hash for answer in answers),
        note=note,
    )


def _distinct(answers: Sequence[Field]) -> list[Any]:
    values: list[Any] = []
    for answer in answers:
        for value in answer.value if isinstance(answer.value, list | tuple) else [answer.value]:
            if not any(same(value, other) for other in values):
                values.append(value)
    return values


def _least(figures: Iterable[float | None]) -> float | None:
    """The least of figures that are all known."""
    known = list(figures)
    return None if None in known else min(f for f in known if f is not None)


def _only(values: Iterable[T]) -> T | None:
    """The value that all are."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
