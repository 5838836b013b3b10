"""What branches answered to one question, field by field, and which of their answers are the same.

Pure. Branches are those of a fan-out, or nodes that asked several models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.core.job import Evidence, Field, Source
from orchestra.core.values import canonical

MOST_NOTES = 6


@dataclass(frozen=True, slots=True)
class Branch:
    """The fields of one branch by its name; `silent` says why it has none."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    silent: str | None = None


def names_of(branches: Sequence[Branch]) -> list[str]:
    """Every field that any branch has, in the order they come."""
    return list(dict.fromkeys(name for branch in branches for name in branch.fields))


def answers_of(branches: Sequence[Branch], name: str) -> list[Field]:
    """The fields called `name` that hold a value, in branch order."""
    found = (branch.fields.get(name) for branch in branches)
    return [answer for answer in found if answer is not None and answer.answered]


def absent(branches: Sequence[Branch], name: str) -> list[str]:
    """Why branches have no value for `name`, as in `look[1]: the photo does not show it`."""
    said: list[str] = []
    for branch in branches:
        found = branch.fields.get(name)
        if found is None or not found.answered:
            why = branch.silent or (found.note if found is not None else None)
            said.append(f"{branch.name}: {why or 'left open'}")
    return said


def joined(notes: Sequence[str]) -> str | None:
    """Notes as one; of many branches the first few."""
    more = [f"and {len(notes) - MOST_NOTES} more"] if len(notes) > MOST_NOTES else []
    return "; ".join([*notes[:MOST_NOTES], *more]) or None


def source_of(answers: Iterable[Field]) -> Source:
    """Where answers come from together."""
    sources: set[Source] = {answer.source for answer in answers}
    if len(sources) == 1:
        return sources.pop()
    return "derived" if "derived" in sources else "both"


def evidence_of(answers: Iterable[Field]) -> tuple[Evidence, ...]:
    """All that answers rest on, once."""
    return tuple(dict.fromkeys(proof for answer in answers for proof in answer.evidence))


def same(left: Any, right: Any) -> bool:
    """Whether two values say the same, whatever their case and form; a list in any order."""
    return _form(left) == _form(right)


def _form(value: Any) -> Any:
    """A value as it is compared; a truth is no number."""
    if isinstance(value, Mapping):
        return ("object", tuple(sorted((str(name), repr(_form(v))) for name, v in value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(sorted(repr(_form(item)) for item in value)))
    return (isinstance(value, bool), canonical(value))
