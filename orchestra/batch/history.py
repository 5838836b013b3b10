"""The history of a batch: its tables and what people decided, each with its number and whether it
stands; and what stands, in a form that another folder takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from orchestra.batch.decided import Standing
from orchestra.batch.folder import Folder
from orchestra.book.decisions import Decision, live
from orchestra.book.tables import TableState
from orchestra.core.job import Result
from orchestra.core.values import shown, text_of


@dataclass(frozen=True, slots=True)
class Event:
    """A decision or a table; `stands` is false for a decision that was taken back."""

    what: Decision | TableState
    stands: bool = True

    @property
    def state(self) -> int:
        """Its number."""
        return self.what.id if isinstance(self.what, Decision) else self.what.state

    def public(self) -> dict[str, Any]:
        """As JSON."""
        if isinstance(self.what, TableState):
            return {"kind": "table", **self.what.public()}
        one = self.what
        return {
            "kind": "decision",
            "state": one.id,
            "id": one.row_id,
            "field": one.field,
            "decision": one.action,
            "value": one.value,
            "by": one.by,
            "at": one.at,
            "why": one.why,
            "group": one.group,
            "undoes": one.undoes,
            "stands": self.stands,
        }

    def __str__(self) -> str:
        at = self.what.at[:16].replace("T", " ")
        if isinstance(self.what, TableState):
            rows = "" if self.what.rows is None else f", {self.what.rows:,} rows"
            return f"{self.state:>5}  {at}  table {self.what.table}{rows}"
        one = self.what
        of = one.row_id if one.field is None else f"{one.row_id} {one.field}"
        did = f"takes back {one.undoes} ({one.action})" if one.undoes is not None else one.action
        value = f" = {shown(one.value)!r:.80}" if one.action == "edit" and not one.undoes else ""
        why = f"  ({one.why})" if one.why else ""
        back = "" if self.stands else "  [taken back]"
        return f"{self.state:>5}  {at}  {one.by}: {did} {of}{value}{why}{back}"


def history(folder: Folder, row_id: str | None = None) -> list[Event]:
    """Everything that made a state, in order; of one row, only what was decided of it."""
    decisions = list(folder.book.decisions(row_id=row_id))
    standing = {one.id for one in live(decisions)}
    events = [Event(one, one.id in standing) for one in decisions]
    if row_id is None:
        events += [Event(table) for table in folder.book.tables()]
    return sorted(events, key=lambda event: event.state)


def event_lines(events: Iterable[Event]) -> Iterator[str]:
    """The history for a person: a group of decisions of one kind in one line."""
    for _, group in groupby(events, key=_alike):
        many = list(group)
        first, last = many[0].what, many[-1]
        if len(many) == 1 or isinstance(first, TableState):
            yield from map(str, many)
            continue
        did = (
            f"takes back {len(many)}" if first.undoes is not None else f"{first.action} {len(many)}"
        )
        of = "rows" if first.field is None else f"fields {first.field!r}"
        why = f"  ({first.why})" if first.why else ""
        back = "" if last.stands else "  [taken back]"
        at = first.at[:16].replace("T", " ")
        yield f"{many[0].state:>5}  {at}  {first.by}: {did} {of}, to state {last.state}{why}{back}"


def _alike(event: Event) -> tuple[Any, ...]:
    one = event.what
    if isinstance(one, TableState) or one.group is None:
        return (event.state,)
    return one.group, one.action, one.field, one.why, one.undoes is None, event.stands


def standing_lines(folder: Folder) -> Iterator[str]:
    """What stands, as JSON lines that `orchestra apply` takes into another folder.

    Each approval of a row is written as one of each of its fields, with the value that it locked:
    who applies it where a model says something else is told so.
    """
    standing = Standing.of(folder.book)
    for row_id, decided in standing.rows():
        row = folder.book.row_by_id(row_id)
        if row is None:  # gone with an earlier table
            continue
        if decided.is_rejected and decided.row is not None:
            yield _line(row_id, None, decided.row, None)
            continue
        fields = standing.applied(row, Result.model_validate_json(row.record_json)).fields
        for name, field in fields.items():
            held = decided.held(name)
            if held is not None:
                yield _line(row_id, name, held.said, text_of(field.value) or "(none)")


def _line(row_id: str, name: str | None, one: Decision, value: str | None) -> str:
    told = {
        "id": row_id,
        "field": name or "",
        "decision": one.action,
        "value": value if one.action != "reject" else "",
        "why": one.why,
        "by": one.by,
        "at": one.at,
    }
    return json.dumps(told, ensure_ascii=False)
