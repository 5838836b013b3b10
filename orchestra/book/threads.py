"""Runs that wait for a person or were left by their process, kept in a book; it knows no graph."""

from __future__ import annotations

from orchestra.book.database import Database
from orchestra.book.holds import check_free, check_version
from orchestra.book.messages import (
    EndThread,
    KeepThread,
    KeptThread,
    LeaveThread,
    ListThreads,
    ReadThread,
    TakeThread,
    ThreadEntry,
)

NOBODY = 0  # an epoch that never is
_STATUS = "CASE WHEN held >= ? THEN 'running' ELSE status END"


class Threads(Database):
    """The threads of a book."""

    def _keep_thread(self, kept: KeepThread) -> None:
        check_free(kept.id, self._holder(kept.id), kept.by)
        number = self._write(
            "INSERT INTO threads (id, account, status, about, record, holder, held)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " account = excluded.account, status = excluded.status, about = excluded.about,"
            " record = excluded.record, holder = excluded.holder, held = excluded.held,"
            " version = threads.version + 1 RETURNING number",
            (
                kept.id,
                kept.account,
                kept.status,
                kept.about,
                kept.record,
                kept.by,
                self._epoch if kept.held else NOBODY,
            ),
        ).fetchone()[0]
        for key, photo in kept.photos.items():
            self._write(
                "INSERT INTO thread_photos (thread, key, photo) VALUES (?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (number, key, photo),
            )

    def _holder(self, id: str) -> str | None:
        """Who has the thread now."""
        row = self._read_one(
            "SELECT holder FROM threads WHERE id = ? AND held >= ?", (id, self._living)
        )
        return None if row is None else row[0]

    def _read_thread(self, asked: ReadThread) -> KeptThread | None:
        row = self._read_one(
            f"SELECT number, {_STATUS}, about, record, version FROM threads WHERE id = ?",
            (self._living, asked.id),
        )
        if row is None:
            return None
        number, status, about, record, version = row
        photos = self._read("SELECT key, photo FROM thread_photos WHERE thread = ?", (number,))
        found = {key: bytes(raw) for key, raw in photos}
        return KeptThread(asked.id, status, about, record, version, found)

    def _take_thread(self, taken: TakeThread) -> None:
        holder = self._holder(taken.id)
        if holder == taken.by:  # the message came twice, perhaps to the book of another epoch
            self._write("UPDATE threads SET held = ? WHERE id = ?", (self._epoch, taken.id))
            return
        check_free(taken.id, holder, taken.by)
        row = self._read_one("SELECT version FROM threads WHERE id = ?", (taken.id,))
        check_version(taken, None if row is None else row[0])
        self._write(
            "UPDATE threads SET holder = ?, held = ?, version = version + 1 WHERE id = ?",
            (taken.by, self._epoch, taken.id),
        )

    def _leave_thread(self, left: LeaveThread) -> None:
        self._write(
            "UPDATE threads SET held = ? WHERE id = ? AND holder = ?", (NOBODY, left.id, left.by)
        )

    def _end_thread(self, ended: EndThread) -> None:
        self._write("DELETE FROM threads WHERE id = ? AND holder = ?", (ended.id, ended.by))

    def _list_threads(self, asked: ListThreads) -> list[ThreadEntry]:
        query = f"SELECT id, {_STATUS}, about FROM threads"
        if asked.id is None:
            found = self._read(f"{query} ORDER BY number", (self._living,))
        else:
            found = self._read(f"{query} WHERE id = ?", (self._living, asked.id))
        return [ThreadEntry(*row) for row in found]

    def _free_threads(self, account: str) -> None:
        self._write("UPDATE threads SET held = ? WHERE account = ?", (NOBODY, account))
