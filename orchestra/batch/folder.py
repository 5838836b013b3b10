"""The output folder of a batch: its book, photos and specification; it resumes only itself.

Another table of the same products is the same batch: what is finished of it takes its place there.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from orchestra.batch.mismatch import differences
from orchestra.batch.spec import TABLE, BatchSpec, row_key
from orchestra.batch.tables.table import Table, open_table
from orchestra.book.book import Book
from orchestra.book.messages import OpenAccount
from orchestra.book.tables import Seat, TableState
from orchestra.core.errors import BookError, BookLocked, DiskFull, OutputMismatch
from orchestra.core.job import Budget, Result
from orchestra.core.money import limit_micro
from orchestra.images.store import ImageStore

BOOK = "book.sqlite"
IMAGES = "images"
SPEC = "spec"
IDENTITY = "identity"
BATCH_ACCOUNT = "batch"
LOCKED_S = 20.0
SECONDS = "seconds"
PLAN = "plan"
TAKEN_ALONG = (
    "What people decided can be taken along: `orchestra decisions OUT --save FILE`, then "
    "`orchestra apply NEW --file FILE`."
)


@dataclass(frozen=True, slots=True)
class Folder:
    """An opened output folder; `came` is the table that has just taken another's place in it."""

    path: Path
    book: Book
    images: ImageStore
    came: TableState | None = None

    @classmethod
    def open(
        cls, path: Path, spec: BatchSpec, *, table: Table | None = None, patient: bool = False
    ) -> Folder:
        """Open or make the folder of the settled batch `spec`, and keep that in it.

        With its `table` the batch may have had another one: rows that it has as they were stay
        finished. `patient` waits for the processes of a run on a cluster whose driver was killed.

        Raises `OutputMismatch` when it holds another batch, or another table without `table`,
        `BookLocked` when that batch runs now, `DiskFull`.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputMismatch(
                f"The output {str(path)!r} is a file. Give --out the name of a folder."
            ) from None
        except OSError as cause:
            if cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(
                    f"The folder {str(path)!r} cannot be made: the disk is full. Free some space."
                ) from cause
            raise OutputMismatch(
                f"The folder {str(path)!r} cannot be made: {cause.strerror}. "
                "Give --out a folder that you may write to."
            ) from cause
        if not (path / BOOK).exists() and any(path.iterdir()):
            raise OutputMismatch(
                f"The folder {str(path)!r} is not empty and holds no batch. "
                "Give --out a new folder, or empty this one."
            )
        book = open_patiently(path / BOOK) if patient else Book.open(path / BOOK)
        try:
            came = _keep(path, book, spec, table)
        except BaseException:
            book.close()
            raise
        return cls(path, book, ImageStore(path / IMAGES), came)

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Open a folder to look into it. Raises `BookError` when it holds no batch."""
        if not (path / BOOK).exists():
            raise BookError(
                f"{str(path)!r} holds no batch (no {BOOK} in it). "
                "Give the folder that `orchestra batch --out` wrote."
            )
        return cls(path, Book.open(path / BOOK, exclusive=False), ImageStore(path / IMAGES))

    def open_account(self, budget: Budget) -> None:
        """Open the batch's account within `budget`, or change its limits to that.

        Raises `BudgetExceeded` when more is spent already.
        """
        cost = budget.cost_usd
        limits = (None if cost is None else limit_micro(cost), budget.tokens)
        try:
            self.book.spent(BATCH_ACCOUNT)
        except BookError:
            self.book.do(OpenAccount(BATCH_ACCOUNT))
        self.book.set_limits(BATCH_ACCOUNT, cost_micro=limits[0], tokens=limits[1])

    @property
    def seconds(self) -> float:
        """How long the batch was run, over all its runs."""
        return float(self.book.meta(SECONDS) or 0)

    def add_seconds(self, seconds: float) -> None:
        """Count the time of one run."""
        self.book.set_meta(SECONDS, str(self.seconds + seconds))

    def results(self) -> dict[str, Result]:
        """The results of the finished rows, and of those that wait, by row id."""
        results: dict[str, Result] = {}
        for row in self.book.rows():
            results.setdefault(row.row_id, Result.model_validate_json(row.record_json))
        return results

    def own_table(self) -> Table:
        """The table that the batch ran, as it was read. Raises `OutputMismatch` where it has
        changed since, `BookError` when the batch never started, and `InvalidTable`.
        """
        spec = self.spec
        table = open_table(spec.table, spec.read_as)
        if table.fingerprint != spec.table_hash:
            raise OutputMismatch(
                f"The table {str(spec.table)!r} has changed since the batch in {str(self.path)!r} "
                "ran. Run `orchestra batch` again, which takes the new table, or put the old back."
            )
        return table

    @property
    def spec(self) -> BatchSpec:
        """The batch, settled. Raises `BookError` when it never started."""
        return _kept_spec(self.path, self.book)


def book_path(out: Path) -> Path:
    """The book of the batch in `out`, or `out` itself, where that is a book's file.

    Raises `BookError` where neither is there.
    """
    path = out / BOOK if out.is_dir() else out
    if not path.exists():
        raise BookError(
            f"{str(out)!r} is no book and holds none. Give the folder that `orchestra batch --out` "
            "wrote, or a book's file."
        )
    return path


def open_patiently(path: Path) -> Book:
    """The book at `path`; one that a dying process still holds is waited for.

    Raises `BookLocked` when it is held for longer than `LOCKED_S`.
    """
    until = time.monotonic() + LOCKED_S
    while True:
        try:
            return Book.open(path)
        except BookLocked:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _keep(path: Path, book: Book, spec: BatchSpec, table: Table | None) -> TableState | None:
    """Keep `spec`, also of the same batch again: its files may have moved.

    The identity is kept as it was derived: keys of finished rows were made of it. The table that
    came in the place of another, where one did.
    """
    begun, before, came = book.meta(IDENTITY), None, None
    with suppress(BookError):  # identities can be told apart without
        before = _kept_spec(path, book)
    known, now = json.loads(begun or "{}"), spec.identity
    is_new_table = bool(begun) and table is not None and known.get(TABLE) != now[TABLE]
    if is_new_table:
        known[TABLE] = now[TABLE]
    if begun and (differing := differences(known, now, before, spec)):
        raise OutputMismatch(
            f"The folder {str(path)!r} holds another batch: {'; '.join(differing)}. "
            f"Give --out a new folder, or run the batch it holds. {TAKEN_ALONG}"
        )
    with book.transaction():
        if not begun:
            book.begin_table(str(spec.table))
        elif is_new_table and table is not None:
            came = _take_table(path, book, spec, table)
        book.set_meta(SPEC, spec.model_dump_json(by_alias=True))
        book.set_meta(IDENTITY, json.dumps(now))
    return came


def _take_table(path: Path, book: Book, spec: BatchSpec, table: Table) -> TableState:
    """Seat the finished rows in another table. Raises `OutputMismatch` where that cannot be."""
    by_id = spec.columns.id is not None
    if not by_id and next(book.decisions(), None) is not None:
        raise OutputMismatch(
            f"The table {spec.table.name!r} has other content than the one that people decided of, "
            f"and no column of ids, so nobody can tell which row of {str(path)!r} is which. Run it "
            "into a new folder with --id-column, or put the table back as it was."
        )
    had_rows = bool(book.counts())
    came = book.seat(str(spec.table), _seats(spec, table), by_id=by_id)
    if had_rows and not (came.kept or came.back):
        known = f" ({came.changed} of its ids do)" if came.changed else ""
        raise OutputMismatch(
            f"The folder {str(path)!r} holds another batch: not one row of {spec.table.name!r} "
            f"stands in it as it is{known}. Give --out a new folder, or run the batch it holds. "
            f"{TAKEN_ALONG}"
        )
    book.drop_meta(PLAN)  # it was of the rows of the table before
    return came


def _seats(spec: BatchSpec, table: Table) -> Iterator[Seat]:
    columns, work, base = spec.columns, spec.work, spec.base
    for row in table.rows():
        row_id = columns.row_id(row)
        key = row_key(work, row_id, row.ordinal)
        named = row.error is None and columns.has_id(row)
        yield Seat(row.ordinal, key, row_id, columns.source(row, base), named)


def _kept_spec(path: Path, book: Book) -> BatchSpec:
    kept = book.meta(SPEC)
    if kept is None:
        raise BookError(f"The batch in {str(path)!r} never started. Run it again.")
    try:
        return BatchSpec.model_validate_json(kept)
    except ValidationError as cause:
        first = cause.errors()[0]
        raise BookError(
            f"The batch in {str(path)!r} was begun by another release of Orchestra (of its "
            f"{'.'.join(map(str, first['loc']))!r}: {first['msg']}). Run it into a new folder."
        ) from cause


def resume_command(argv: Sequence[str]) -> str:
    """The command line that continues a batch: the one that started it."""
    program = os.path.basename(argv[0]) if argv else "orchestra"
    return shlex.join([program, *argv[1:]])
