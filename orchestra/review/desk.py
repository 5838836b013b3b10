"""The desk at which a batch is reviewed: its book, the index of its fields, and what is decided.

Decisions are written to the book as they are made, and to nothing else. It knows no HTTP and no
page. Safe for several threads.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic_core import from_json

from orchestra.batch.decided import Standing
from orchestra.batch.folder import Folder
from orchestra.batch.output.report_view import display_name
from orchestra.batch.spec import BatchSpec
from orchestra.book.decisions import Action, Decision, NewDecision
from orchestra.book.groups import DecisionSpan
from orchestra.book.journal import FinishedRow
from orchestra.core.errors import InvalidDecision
from orchestra.core.job import Field, Result
from orchestra.core.values import folded
from orchestra.pages.regions import regions_of
from orchestra.review.alike import Alike
from orchestra.review.card import (
    Item,
    ProductCard,
    columns_beside,
    item_of,
    photos_of,
    text_parts,
)
from orchestra.review.findings import KINDS
from orchestra.review.index import Index, Mask
from orchestra.review.load import load, note, read_row, state_of

NO_FIELD = Field()
OPEN_STATES = ("open", "skipped")
MOST_GROUPS = 16  # of which is known where their fields stand


class Desk:
    """What a person sees and decides of one batch; `by` is their name."""

    def __init__(self, folder: Folder, by: str) -> None:
        self.folder = folder
        self.by = by
        self.spec: BatchSpec = folder.spec
        self.lock = threading.RLock()
        self.standing = Standing.of(folder.book)
        self._loaded = load(folder, self.spec, self.standing)
        self._groups: dict[str, tuple[Alike, bool]] = {}  # of this session, as they stand
        self._terms = _terms(self.spec)

    @classmethod
    def open(cls, out: Path, by: str) -> Self:
        """The desk of the batch in `out`. Raises `BookError` when it holds none."""
        folder = Folder.read(out)
        try:
            return cls(folder, by)
        except BaseException:
            folder.book.close()
            raise

    def close(self) -> None:
        """Close the book and drop what was read."""
        with self.lock:
            self._loaded.cells.close()
            self.folder.book.close()

    @property
    def index(self) -> Index:
        """The fields of the batch."""
        return self._loaded.index

    @property
    def name(self) -> str:
        """What the batch is called: its table's name."""
        return self.spec.table.name

    @property
    def doubles(self) -> tuple[int, ...]:
        """Rows of the table that have the id of another row, so that nothing can be decided."""
        return self._loaded.doubles

    def refresh(self) -> None:
        """Read what another process wrote since: decisions, and rows that ran."""
        with self.lock:
            if self.folder.book.versions != self._loaded.version:
                self.standing = self.standing.renewed(self.folder.book)
                self._loaded.cells.close()
                self._loaded = load(self.folder, self.spec, self.standing)
                self._groups.clear()
            elif self.folder.book.state != self.standing.state:
                self._note(list(self.folder.book.decisions(self.standing.state)))

    def cards(self, rows: Sequence[int], matched: Mask) -> list[ProductCard]:
        """The products with these numbers; fields outside `matched` come last, marked as such."""
        with self.lock:
            return [self._card(row, matched) for row in rows]

    def items(self, row_ids: Iterable[str], most: int) -> list[Item]:
        """Up to `most` fields of rows by their ids, as they stand."""
        with self.lock:
            found: list[Item] = []
            for row_id in row_ids:
                if len(found) >= most:
                    break
                if (number := self.index.row(row_id)) is not None:
                    _, result, now = self.results(number)
                    found += self._items(number, result, now, None)
            return found[:most]

    def state_of(self, row_id: str, name: str) -> str:
        """What stands decided of a field; it may be open all the same."""
        return state_of(self.standing.row(row_id), name)[0]

    def _card(self, number: int, matched: Mask) -> ProductCard:
        key = self.index.rows[number]
        found, result, now = self.results(number)
        values, parts = self._loaded.cells.of(number), text_parts(result)
        return ProductCard(
            number=number,
            ordinal=key.ordinal,
            row_id=key.row_id,
            name=display_name(key.row_id, values),
            status=found.status,
            photos=photos_of(result, self.folder.images),
            regions=regions_of(result.fields),
            text=parts,
            columns=columns_beside(key.row_id, values, parts),
            errors=result.errors,
            notes=result.notes,
            questions=result.questions,
            items=self._items(number, result, now, matched),
        )

    def results(self, number: int) -> tuple[FinishedRow, Result, Result]:
        """A row's record, what the models said, and that with what people decided."""
        return read_row(self.index, number, self.folder, self.standing)

    def _items(
        self, number: int, result: Result, now: Result, matched: Mask | None
    ) -> tuple[Item, ...]:
        row_id, index = self.index.rows[number].row_id, self.index
        decided, items = self.standing.row(row_id), list[Item]()
        for place in index.fields_of(number):
            name = index.key(place)[1]
            fields = (result.fields.get(name, NO_FIELD), now.fields.get(name, NO_FIELD))
            items.append(
                item_of(
                    place,
                    row_id,
                    name,
                    KINDS[int(index.columns["kind"][place])],
                    fields,
                    (index.state(place), state_of(decided, name)[1]),
                    is_matched=matched is None or bool(matched[place]),
                )
            )
        return tuple(sorted(items, key=lambda item: not item.is_matched))

    def decide(
        self, row_id: str, name: str, action: Action, value: str = "", why: str = ""
    ) -> tuple[Decision, ...]:
        """Decide of one field. `value` is the text of an edit; an empty one means it has none.

        The field "" is the row itself. Raises `InvalidDecision` for a field that there is not, and
        `BookError`.
        """
        with self.lock:
            self._check(row_id, name)
            told = self.read_value(row_id, name, value) if action == "edit" else None
            return self.write(
                [NewDecision(row_id, action, field=name or None, value=told, why=why)]
            )

    def decide_row(self, row_id: str, action: Action) -> tuple[Decision, ...]:
        """Approve or reject a product whole. Raises as `decide` does."""
        with self.lock:
            self._row(row_id)
            return self.write([NewDecision(row_id, action)])

    def write(
        self, decisions: Sequence[NewDecision], group: str | None = None, why: str = ""
    ) -> tuple[Decision, ...]:
        """Write decisions as one `group`, which is written once however often it is sent."""
        if not decisions:
            return ()
        if group is None and len(decisions) > 1:
            group = uuid.uuid4().hex
        with self.lock:
            written = self.folder.book.decide(decisions, by=self.by, why=why, group=group)
            self._note(written)
            return written

    def decide_alike(self, alike: Alike, group: str, why: str = "") -> int:
        """Approve or skip many fields as one `group`; how many decisions that is.

        Raises `InvalidDecision` where rows ran since they were read, and `BookError`.
        """
        with self.lock:
            before, book = self.standing.state, self.folder.book
            count = book.decide_alike(
                alike.action,
                alike.by_field(self.index),
                versions=self._loaded.version,
                by=self.by,
                group=group,
                why=why,
            )
            self._keep(group, alike, is_made=True)
            self._note_alike(alike, before, count, is_made=True)
            return count

    def undo_span(self, span: DecisionSpan) -> int:
        """Take back what was written together; how many decisions that is.

        Raises `InvalidDecision` where some of it is taken back already, and `BookError`.
        """
        with self.lock:
            before, book, group = self.standing.state, self.folder.book, uuid.uuid4().hex
            count = book.undo_alike(span, by=self.by, group=group)
            known = self._groups.get(span.group or "")
            if known is None:
                self._note_rows({row_id: None for row_id, _, _ in book.members(span)})
                return count
            alike, was_made = known
            self._keep(group, alike, is_made=not was_made)
            self._note_alike(alike, before, count, is_made=not was_made)
            return count

    def _keep(self, group: str, alike: Alike, *, is_made: bool) -> None:
        self._groups[group] = (alike, is_made)
        if len(self._groups) > MOST_GROUPS:
            del self._groups[next(iter(self._groups))]

    def _note_alike(self, alike: Alike, before: int, count: int, *, is_made: bool) -> None:
        one_by_one = alike.note_made(self.index) if is_made else alike.note_undone(self.index)
        since = self.folder.book.state
        self._note_rows({self.index.rows[int(row)].row_id: None for row in one_by_one})
        if since != before + count:  # another process decided too
            self._note(list(self.folder.book.decisions(before, up_to=since)))

    def undo(self, ids: Sequence[int]) -> tuple[Decision, ...]:
        """Take decisions back. Raises `InvalidDecision` for a number that is none."""
        with self.lock:
            group = uuid.uuid4().hex if len(ids) > 1 else None
            written = self.folder.book.undo(ids, by=self.by, group=group)
            self._note(written)
            return written

    def _note(self, decisions: Sequence[Decision]) -> None:
        """Take over into the index what was decided or taken back."""
        names: dict[str, set[str | None]] = {}
        for one in decisions:
            # What changes a value may raise another field, or no longer raise it.
            is_of_all = one.action in ("edit", "reject")
            names.setdefault(one.row_id, set()).add(None if is_of_all else one.field)
        self._note_rows(
            {
                row_id: None if None in fields else {name for name in fields if name}
                for row_id, fields in names.items()
            }
        )

    def _note_rows(self, names: Mapping[str, Collection[str] | None]) -> None:
        """Note what stands of some rows: of these fields, or of all."""
        self.standing = self.standing.renewed(self.folder.book)
        for row_id, fields in names.items():
            row = self.index.row(row_id)
            if row is not None:
                decided = self.standing.row(row_id)
                note(self.index, row, decided, self.folder, self.standing, fields)

    def read_value(self, row_id: str, name: str, text: str) -> Any:
        """An edit as it was typed: by the recipe's name for it, JSON where the field has such."""
        plain = text.strip()
        if not plain:
            return None
        if plain[:1] in ("[", "{"):
            ordinal = self.index.rows[self._row(row_id)].ordinal
            record = from_json(next(self.folder.book.rows(after=ordinal - 1, limit=1)).record_json)
            own = (record.get("fields") or {}).get(name) or {}
            if isinstance(own.get("value"), list | dict):
                with suppress(ValueError):
                    return json.loads(plain)
        return self._terms.get(name, {}).get(folded(plain), plain)

    def words_of(self, name: str) -> list[str]:
        """The values that the recipe allows for a field; none where it may be any."""
        return sorted(set(self._terms.get(name, {}).values()))

    def _row(self, row_id: str) -> int:
        row = self.index.row(row_id)
        if row is None:
            raise InvalidDecision(
                f"No row {row_id!r} is in {str(self.folder.path)!r}. Open the page again."
            )
        return row

    def _check(self, row_id: str, name: str) -> None:
        self._row(row_id)
        if self.index.place(row_id, name) is None:
            raise InvalidDecision(
                f"Row {row_id!r} has no field {name!r} (it has: "
                f"{', '.join(self._names(row_id))}). Open the page again."
            )

    def _names(self, row_id: str) -> list[str]:
        return [self.index.key(place)[1] for place in self.index.fields_of(self._row(row_id))]


def _terms(spec: BatchSpec) -> Mapping[str, Mapping[str, str]]:
    """For each choice of the recipe, every word for a value with the value itself."""
    if spec.recipe is None:
        return {}
    return {
        name: {folded(word): value for value, words in rule.terms.items() for word in words}
        for name, rule in spec.recipe.fields.items()
        if rule.type == "choice"
    }
