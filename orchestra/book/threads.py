"""Runs that wait for a person or were left by their process, kept in a book; it knows no graph."""

from __future__ import annotations

from orchestra.book.database import Database
from orchestra.book.messages import EndThread, KeepThread, KeptThread, ListThreads, ReadThread


class Threads(Database):
    """The threads of a book."""

    def _keep_thread(self, kept: KeepThread) -> None:
        number = self._write(
            "INSERT INTO threads (id, status, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET status = excluded.status, record = excluded.record RETURNING number",
            (kept.id, kept.status, kept.record),
        ).fetchone()[0]
        for key, photo in kept.photos.items():
            self._write(
                "INSERT OR IGNORE INTO thread_photos (thread, key, photo) VALUES (?, ?, ?)",
                (number, key, photo),
            )

    def _read_thread(self, asked: ReadThread) -> KeptThread | None:
        row = self._read_one("SELECT number, status, record FROM threads WHERE id = ?", (asked.id,))
        if row is None:
            return None
        number, status, record = row
        photos = self._read("SELECT key, photo FROM thread_photos WHERE thread = ?", (number,))
        return KeptThread(asked.id, status, record, {key: bytes(raw) for key, raw in photos})

    def _end_thread(self, ended: EndThread) -> None:
        self._write("DELETE FROM threads WHERE id = ?", (ended.id,))

    def _list_threads(self, asked: ListThreads) -> list[tuple[str, str]]:
        return [
            (id, status)
            for id, status in self._read("SELECT id, status FROM threads ORDER BY number")
        ]
