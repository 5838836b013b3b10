"""What changed of a batch's rows between two states, field by field: by tables and by people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestra.batch.decided import Standing, told
from orchestra.batch.folder import Folder
from orchestra.book.journal import FinishedRow
from orchestra.core.errors import InvalidDecision
from orchestra.core.job import Result
from orchestra.core.values import shown, text_of

Change = Literal["added", "gone", "changed", "decided"]
MOST_CHARS = 200


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field before and after, as text; "" where it was empty. `why` is who decided it."""

    name: str
    before: str
    after: str
    why: str = ""

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {"field": self.name, "before": self.before, "after": self.after, "why": self.why}


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that differs; `text` is what models read of it, where that is another.

    It is `added` or `gone` with a table, `changed` where its job reads something else, and
    `decided` where people alone made the difference.
    """

    row_id: str
    change: Change
    status: tuple[str, str]
    text: tuple[str, str] | None
    fields: tuple[FieldChange, ...]

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.row_id,
            "change": self.change,
            "status": list(self.status),
            "text": None if self.text is None else list(self.text),
            "fields": [one.public() for one in self.fields],
        }


def states_of(folder: Folder, before: int | None, after: int | None) -> tuple[int, int]:
    """The states to compare: by default the one before the last table came, and the last.

    Where there was one table only, the first is as it had run. Raises `InvalidDecision` for a
    state that never was.
    """
    last, tables = folder.book.state, [table.state for table in folder.book.tables()]
    usual = tables[-1] - 1 if len(tables) > 1 else min(tables, default=0)
    found = (usual if before is None else before, last if after is None else after)
    for state in found:
        if not 0 <= state <= last:
            raise InvalidDecision(
                f"There is no state {state}: the last is {last}. `orchestra decisions` lists them."
            )
    return found


def differences_between(folder: Folder, before: int, after: int) -> Iterator[RowDifference]:
    """Rows that differ between two states, in the order of the later table; gone ones last."""
    was, now = (Standing.of(folder.book, state) for state in (before, after))
    by_id = folder.spec.columns.id is not None
    for change in folder.book.changes(before, after, by_id=by_id):
        then = _applied(was, change.before)
        result = _applied(now, change.after)
        fields = tuple(_fields(then, result))
        is_read_anew = _source(change.before) != _source(change.after)
        if change.before is None or change.after is None:
            kind: Change = "added" if change.before is None else "gone"
        elif is_read_anew:
            kind = "changed"
        elif fields or _status(was, then, change.row_id) != _status(now, result, change.row_id):
            kind = "decided"
        else:
            continue
        texts = (_text(then), _text(result))
        yield RowDifference(
            change.row_id,
            kind,
            (_status(was, then, change.row_id), _status(now, result, change.row_id)),
            texts if texts[0] != texts[1] else None,
            fields,
        )


def difference_lines(found: RowDifference) -> Iterator[str]:
    """A row's difference, for a person."""
    before, after = found.status
    status = f"  {before} -> {after}" if before and after and before != after else ""
    yield f"{found.row_id}  {found.change}{status}"
    if found.text is not None and found.change == "changed":
        yield f"  text: {_short(found.text[0])} -> {_short(found.text[1])}"
    for one in found.fields if found.change != "gone" else ():
        why = f"  ({one.why})" if one.why else ""
        yield f"  {one.name}: {_short(one.before)} -> {_short(one.after)}{why}"


def counted(found: Sequence[RowDifference]) -> dict[str, int]:
    """How many rows differ in each way."""
    kinds = [one.change for one in found]
    return {kind: kinds.count(kind) for kind in ("added", "gone", "changed", "decided")}


def _applied(standing: Standing, row: FinishedRow | None) -> Result | None:
    return (
        None if row is None else standing.applied(row, Result.model_validate_json(row.record_json))
    )


def _source(row: FinishedRow | None) -> str | None:
    return None if row is None else row.source


def _status(standing: Standing, result: Result | None, row_id: str) -> str:
    if result is None:
        return ""
    row = standing.row(row_id)
    return "rejected" if row is not None and row.is_rejected else result.status


def _text(result: Result | None) -> str:
    calls = () if result is None else result.calls
    return next((call.data for call in calls if call.data and not call.images), "")


def _fields(before: Result | None, after: Result | None) -> Iterator[FieldChange]:
    one, other = ({} if r is None else r.fields for r in (before, after))
    for name in dict.fromkeys([*other, *one]):
        then, now = one.get(name), other.get(name)
        was, is_now = ("" if f is None else text_of(f.value) or "" for f in (then, now))
        if was != is_now:
            why = told(now.decided) if now is not None and now.decided is not None else ""
            yield FieldChange(name, was, is_now, why)


def _short(text: str) -> str:
    plain = " ".join(shown(text).split())
    cut = plain if len(plain) <= MOST_CHARS else f"{plain[:MOST_CHARS]}..."
    return repr(cut) if cut else "(none)"
