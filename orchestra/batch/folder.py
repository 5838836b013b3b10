"""The output folder of a batch: its book, images and identity, so that it resumes only itself."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from orchestra.batch.columns import Columns
from orchestra.batch.mismatch import differences
from orchestra.book.book import Book
from orchestra.book.messages import OpenAccount
from orchestra.core.errors import BookError, BookLocked, DiskFull, OutputMismatch
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro
from orchestra.images.store import ImageStore

BOOK = "book.sqlite"
IMAGES = "images"
IDENTITY = "identity"
SOURCE = "source"
BATCH_ACCOUNT = "batch"
LOCKED_S = 20.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch's rows came from and how they were read, so that one can be shown again."""

    table: str
    fleet: str
    columns: Columns
    recipe: str | None
    language: Literal["en", "zh", "auto"]
    images: str | None = None  # what photo paths are relative to, if not the table's folder

    @classmethod
    def of_json(cls, text: str) -> Source:
        """The source that `Folder.remember` wrote."""
        raw = json.loads(text)
        columns = raw.pop("columns")
        return cls(columns=Columns(tuple(columns["text"]), columns["image"], columns["id"]), **raw)


@dataclass(frozen=True, slots=True)
class Folder:
    """An opened output folder."""

    path: Path
    book: Book
    images: ImageStore

    @classmethod
    def open(
        cls,
        path: Path,
        identity: Mapping[str, str],
        *,
        source: Source | None = None,
        patient: bool = False,
    ) -> Folder:
        """Open or make the folder for the batch that `identity` describes.

        `source` is only for the words of an error. `patient` waits for the processes of a run on
        a cluster whose driver was killed.

        Raises `OutputMismatch` when it holds another batch, `BookLocked` when that batch runs
        now, `DiskFull`.
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
            _check_identity(path, book, identity, source)
        except BaseException:
            book.close()
            raise
        return cls(path, book, ImageStore(path / IMAGES))

    @classmethod
    def read(cls, path: Path) -> Folder:
        """Open a folder to look into it. Raises `BookError` when it holds no batch."""
        if not (path / BOOK).exists():
            raise BookError(
                f"{str(path)!r} holds no batch (no {BOOK} in it). "
                "Give the folder that `orchestra batch --out` wrote."
            )
        return cls(path, Book.open(path / BOOK, exclusive=False), ImageStore(path / IMAGES))

    def remember(self, source: Source) -> None:
        """Keep where the rows come from."""
        self.book.set_meta(SOURCE, json.dumps(asdict(source)))

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
    def source(self) -> Source:
        """Where the rows come from. Raises `BookError` when the batch never started."""
        stored = self.book.meta(SOURCE)
        if stored is None:
            raise BookError(f"The batch in {str(self.path)!r} never started. Run it again.")
        return Source.of_json(stored)

    @property
    def identity(self) -> dict[str, str]:
        """What the batch was started with."""
        return json.loads(self.book.meta(IDENTITY) or "{}")

    @property
    def models(self) -> dict[str, str]:
        """Fingerprints of the models that the batch runs on, by their names.

        What is learnt from the batch holds for no others. Raises `BookError` when it never started.
        """
        stored = self.identity.get("models")
        if stored is None:
            raise BookError(
                f"The batch in {str(self.path)!r} does not say which models it ran on. Run it "
                "again into a new folder."
            )
        return json.loads(stored)


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


def _check_identity(
    path: Path, book: Book, identity: Mapping[str, str], now: Source | None
) -> None:
    stored = book.meta(IDENTITY)
    if stored is None:
        book.set_meta(IDENTITY, json.dumps(dict(identity)))
        return
    source = book.meta(SOURCE)
    before = None if source is None else Source.of_json(source)
    differing = differences(json.loads(stored), identity, before, now)
    if differing:
        raise OutputMismatch(
            f"The folder {str(path)!r} holds another batch: {'; '.join(differing)}. "
            "Give --out a new folder, or run the batch it holds."
        )


def row_key(identity: Mapping[str, str], row_id: str, ordinal: int) -> str:
    """The journal's key of a row: the batch, the row's id, and its place in the table."""
    text = json.dumps([dict(sorted(identity.items())), row_id, ordinal])
    return hashlib.sha256(text.encode()).hexdigest()


def resume_command(argv: Sequence[str]) -> str:
    """The command line that continues a batch: the one that started it."""
    program = os.path.basename(argv[0]) if argv else "orchestra"
    return shlex.join([program, *argv[1:]])
