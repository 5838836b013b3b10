"""The tables that a batch has had, and how its finished rows take their places in another one.

A row that a new table has as it was keeps its record, wherever it stands now; the records of
changed and removed rows are kept as past, and one that comes back gets its record back. Nothing is
run or paid for here, and no record is read: only ids and what tells their sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orchestra.book.decisions import Decisions
from orchestra.book.journal import FinishedRow

_SEATS = """CREATE TEMP TABLE seats (ordinal INTEGER PRIMARY KEY, key TEXT, row_id TEXT,
    source TEXT, named INTEGER, match TEXT)"""
# The first row with an id has it; the others are errors, which are recorded anew.
_FIRSTS = """DELETE FROM seats WHERE named AND ordinal NOT IN
    (SELECT min(ordinal) FROM seats WHERE named GROUP BY row_id)"""
# What stood for each row under the table of a state; of two rows of an id the first.
_AT = "(SELECT ifnull(max(state), 0) FROM tables WHERE state <= ?)"
_STANDING_AT = f"""SELECT row_id, version, min(ordinal) AS ordinal FROM (
    SELECT row_id, version, ordinal FROM finished WHERE since <= {_AT}
    UNION ALL SELECT row_id, version, ordinal FROM past, (SELECT {_AT} AS at)
        WHERE since <= at AND until > at) GROUP BY row_id"""
_RANKED = "row_number() OVER (PARTITION BY {}, source ORDER BY ordinal) AS place"


@dataclass(frozen=True, slots=True)
class Seat:
    """A row of a table: its place, its key in the journal, its id, and what its job reads.

    One that is not `named` has its place for an id.
    """

    ordinal: int
    key: str
    row_id: str
    source: str
    named: bool


@dataclass(frozen=True, slots=True)
class RowChange:
    """The record that stood for a row, and the one that does; None where it was in no table."""

    row_id: str
    before: FinishedRow | None
    after: FinishedRow | None


@dataclass(frozen=True, slots=True)
class TableState:
    """A table that came in `state`: where it is, and what of it was finished already.

    `kept` rows were finished as they are, `moved` of them in another place; `back` are those that
    an earlier table had so. `changed` and `gone` rows of the table before are past.
    """

    state: int
    at: str
    table: str
    rows: int | None = None
    kept: int = 0
    moved: int = 0
    back: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def left(self) -> int:
        """Rows that have no result of this table or an earlier one."""
        return (self.rows or 0) - self.kept - self.back

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def __str__(self) -> str:
        facts = [
            f"{self.kept:,} rows are as they were" + f" ({self.moved:,} moved)" * bool(self.moved)
        ]
        facts += [f"{self.back:,} are back as they had been"] * bool(self.back)
        facts += [f"{self.changed:,} changed"] * bool(self.changed)
        facts += [f"{self.gone:,} gone"] * bool(self.gone)
        told = f"Another table than before ({self.table}): {', '.join(facts)}."
        return f"{told} {self.left:,} are to run."


class Tables(Decisions):
    """The tables of a book."""

    def tables(self) -> list[TableState]:
        """The tables that the batch has had, the first first."""
        found = self._read("SELECT state, at, about FROM tables ORDER BY state")
        return [TableState(state, at, **json.loads(about)) for state, at, about in found]

    def begin_table(self, table: str) -> None:
        """Note the first table of a batch."""
        with self.transaction():
            self._note_table(table, {})

    def seat(self, table: str, seats: Iterable[Seat], *, by_id: bool) -> TableState:
        """Give the finished rows their places in another table, all or none; what that came to.

        Rows are the same `by_id` and source, or by their source alone. Raises `BookError`.
        """
        with self.transaction():
            self._write("DROP TABLE IF EXISTS temp.seats")
            self._write("DROP TABLE IF EXISTS temp.found")
            self._write(_SEATS)
            self._write_many(
                "INSERT INTO seats VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        one.ordinal,
                        one.key,
                        one.row_id,
                        one.source,
                        one.named,
                        one.row_id if by_id else "",
                    )
                    for one in seats
                ),
            )
            rows = self._one("SELECT count(*) FROM seats")
            self._write(_FIRSTS)
            self._write("CREATE INDEX temp.seats_match ON seats (match, source, ordinal)")
            self._find(by_id=by_id)
            counts = self._leave(by_id=by_id)
            counts |= {"rows": rows, "kept": self._one("SELECT count(*) FROM found WHERE NOT back")}
            state = self._note_table(table, counts)
            self._settle(state.state)
            self._write("DELETE FROM claims")
            self._write(
                "INSERT INTO claims (row_id, ordinal) SELECT row_id, ordinal FROM seats WHERE named"
            )
            for name in ("seats", "found"):
                self._write(f"DROP TABLE temp.{name}")
            return state

    def changes(self, before: int, after: int, *, by_id: bool) -> Iterator[RowChange]:
        """Rows that another record stands for in the state `after` than `before`, or that somebody
        decided of between them; in the order of the later table, those that are gone last.

        Without ids a row is the same where its record is.
        """
        key = "row_id" if by_id else "version"
        found = self._read(
            f"""WITH one AS ({_STANDING_AT}), other AS ({_STANDING_AT})
            SELECT other.row_id, one.version, other.version, other.ordinal, 0 AS is_gone FROM other
                LEFT JOIN one ON one.{key} = other.{key}
                WHERE one.version IS NOT other.version OR other.row_id IN
                    (SELECT row_id FROM decisions WHERE id > ? AND id <= ?)
            UNION ALL
            SELECT row_id, version, NULL, ordinal, 1 FROM one
                WHERE {key} NOT IN (SELECT {key} FROM other)
            ORDER BY is_gone, ordinal""",
            (before, before, after, after, min(before, after), max(before, after)),
        )
        for row_id, was, now, *_ in found:
            yield RowChange(row_id, self.record(was), self.record(now))

    def record(self, version: int | None) -> FinishedRow | None:
        """The record of that version, as a row that stood once; None for None.

        Its key is not known any more, nor its account, and its place is 0.
        """
        if version is None:
            return None
        row_id, source, record = self._read(
            "SELECT row_id, source, record FROM records WHERE version = ?", (version,)
        )[0]
        return FinishedRow(0, "", row_id, "", record, None, source, version)

    def _find(self, *, by_id: bool) -> None:
        """In `found`, which record each seat has: its finished one, else a past one."""
        match = "row_id" if by_id else "''"
        ranked = [
            f"SELECT *, {_RANKED.format('match')} FROM seats",
            f"SELECT *, {_RANKED.format(match)} FROM finished",
        ]
        self._write(
            "CREATE TEMP TABLE found AS SELECT s.ordinal, s.key, s.row_id, f.ordinal AS was,"
            " f.status, f.source, f.version, f.since, 0 AS back"
            f" FROM ({ranked[0]}) AS s JOIN ({ranked[1]}) AS f ON f.source = s.source"
            f" AND f.place = s.place{' AND f.row_id = s.row_id' if by_id else ''}"
        )
        self._write("CREATE UNIQUE INDEX temp.found_version ON found (version)")
        self._write("CREATE UNIQUE INDEX temp.found_ordinal ON found (ordinal)")
        if by_id:  # without ids nobody knows which of the rows has come back
            self._write(
                "INSERT OR IGNORE INTO found SELECT s.ordinal, s.key, s.row_id, NULL, p.status,"
                " p.source, p.version, NULL, 1 FROM seats AS s JOIN past AS p"
                " ON p.row_id = s.row_id AND p.source = s.source"
                # What a waiting row waits as is forgotten once it is gone.
                " WHERE p.status <> 'waiting' AND s.ordinal NOT IN (SELECT ordinal FROM found)"
                " ORDER BY p.until DESC"
            )

    def _leave(self, *, by_id: bool) -> dict[str, int]:
        """What becomes of the finished rows that were not found, counted."""
        left = "SELECT row_id FROM finished WHERE version NOT IN (SELECT version FROM found)"
        changed = f"SELECT count(*) FROM ({left} AND row_id IN (SELECT row_id FROM seats))"
        all_left = self._one(f"SELECT count(*) FROM ({left})")
        changes = self._one(changed) if by_id else 0
        return {
            "moved": self._one("SELECT count(*) FROM found WHERE was <> ordinal"),
            "back": self._one("SELECT count(*) FROM found WHERE back"),
            "changed": changes,
            "gone": all_left - changes,
        }

    def _settle(self, state: int) -> None:
        """Keep what left as past, and give the others their new places."""
        self._write(
            "INSERT INTO past (ordinal, row_id, status, source, version, since, until)"
            " SELECT ordinal, row_id, status, source, version, since, ? FROM finished"
            " WHERE version NOT IN (SELECT version FROM found)",
            (state,),
        )
        self._write("DELETE FROM finished")
        self._write(
            "INSERT INTO finished (ordinal, key, row_id, status, source, version, since)"
            " SELECT ordinal, key, row_id, status, source, version, ifnull(since, ?) FROM found",
            (state,),
        )

    def _one(self, query: str) -> int:
        return int(self._read(query)[0][0])

    def _note_table(self, table: str, about: dict[str, Any]) -> TableState:
        state, at = self.state + 1, datetime.now(UTC).isoformat(timespec="milliseconds")
        about = {"table": table, **about}
        self._write(
            "INSERT INTO tables (state, at, about) VALUES (?, ?, ?)",
            (state, at, json.dumps(about, ensure_ascii=False)),
        )
        return TableState(state, at, **about)
