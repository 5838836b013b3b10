"""What people decided of a batch's rows, as known answers: for calibration, scores and learning.

An edit says what is true, and an approval that the value was. A rejection says only what is not,
and approvals that were given to many rows at once look at none of them: neither is a label. They
are of rows that somebody looked at, which are not like all others; each stands for itself alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestra.batch.decided import RowStanding, Standing
from orchestra.batch.folder import Folder
from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.gold import GOLD, NOTHING, Drawn, read_gold, read_truths
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Result
from orchestra.core.values import text_of
from orchestra.quality.readings import Truth, Truths

DECIDED = "decided"  # the stratum of rows that people decided of


def decided_rows(folder: Folder) -> list[Drawn]:
    """A row of a gold set for each row of which a decision tells a true value."""
    standing, found, recipe = Standing.of(folder.book), [], folder.spec.recipe
    groups = Counter(one.group for one in folder.book.decisions())
    for row_id, decided in standing.rows():
        row = folder.book.row_by_id(row_id)
        if row is None or decided.is_rejected:
            continue
        said = Result.model_validate_json(row.record_json)
        now = standing.applied(row, said)
        names = [name for name in now.fields if _is_read(name, recipe, said)]
        values = _values(decided, now, names, groups)
        if values:
            states = {name: state for name, (_, state) in values.items()}
            true = {name: value for name, (value, _) in values.items()}
            found.append(Drawn(row_id, 1.0, DECIDED, true, states))
    return found


def _values(
    decided: RowStanding, now: Result, names: Sequence[str], groups: Mapping[str | None, int]
) -> dict[str, tuple[str, str]]:
    """The true value of each of the fields that was decided of, with how that was said."""
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        held, field = decided.held(name), now.fields[name]
        if held is None or field.doubt or held.said.action == "reject":
            continue
        group = held.last.group
        is_bulk = group is not None and groups[group] > 1 and held.last.action == "approve"
        is_edit, value = held.said.action == "edit", text_of(field.value)
        if not is_edit and (is_bulk or (value is None and held.last.field is None)):
            continue
        state = ("corrected" if is_edit else "accepted") if value is not None else "nothing"
        found[name] = (NOTHING if value is None else value, state)
    return found


def _is_read(name: str, recipe: Recipe | None, said: Result) -> bool:
    """Whether a field is read off text or photo: what is written of it is no label."""
    if recipe is not None:
        return name in recipe.fields
    return name not in said.fields or said.fields[name].source != "derived"


def labelled_rows(folder: Folder) -> tuple[list[Drawn], list[str]]:
    """The batch's gold set with what people decided beside it, and its fields.

    Of a field that stands in both the decision counts. Raises `InvalidTable` where there is
    neither.
    """
    path = folder.path / GOLD
    drawn, fields = read_gold(path) if path.is_file() else ([], [])
    known = {row.row_id: row for row in drawn}
    for row in decided_rows(folder):
        before = known.get(row.row_id)
        known[row.row_id] = row if before is None else _joined(before, row)
    if not known:
        raise _unlabelled(folder)
    names = dict.fromkeys([*fields, *(name for row in known.values() for name in row.values)])
    return list(known.values()), list(names)


def truths_of(folder: Folder) -> Truths:
    """Known answers of the batch: its gold set, or the table in that place, and what people
    decided. Raises `InvalidTable` where there is neither.
    """
    path, columns = folder.path / GOLD, folder.spec.columns
    known = read_truths(path, columns.id) if path.is_file() else Truths({}, ())
    rows, names = dict(known.rows), list(known.columns)
    for row in decided_rows(folder):
        before = rows.get(row.row_id, Truth({}))
        rows[row.row_id] = replace(before, values={**before.values, **row.values})
        names += row.values
    if not rows:
        raise _unlabelled(folder)
    return Truths(rows, tuple(dict.fromkeys(names)))


def _unlabelled(folder: Folder) -> InvalidTable:
    return InvalidTable(
        f"The batch in {str(folder.path)!r} has no labels at {str(folder.path / GOLD)!r}, and "
        f"nobody decided of its rows. Label it first: orchestra label {folder.path}."
    )


def _joined(before: Drawn, row: Drawn) -> Drawn:
    values, states = before.values | row.values, before.states | row.states
    return replace(before, values=values, states=states)
