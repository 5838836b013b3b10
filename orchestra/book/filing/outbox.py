"""Messages that are to be delivered, kept until they were, or for too long."""

from __future__ import annotations

import uuid

from orchestra.book.database import Database
from orchestra.book.filing.entries import OutMessage


class Outbox(Database):
    """The messages of a filing."""

    def post(self, body: str, now: int) -> str:
        """Have a message delivered; its id."""
        id = f"evt_{uuid.uuid4().hex}"
        with self.transaction():
            self._write(
                "INSERT INTO outbox (id, body, created, due) VALUES (?, ?, ?, ?)",
                (id, body, now, now),
            )
        return id

    def due_messages(self, now: int, limit: int) -> list[OutMessage]:
        """Messages whose time has come, the first first."""
        rows = self._read(
            "SELECT id, body, tries, created FROM outbox WHERE due <= ? ORDER BY due LIMIT ?",
            (now, limit),
        )
        return [OutMessage(*row) for row in rows]

    def put_off(self, id: str, due: int) -> None:
        """Try a message again at `due`."""
        with self.transaction():
            self._write("UPDATE outbox SET tries = tries + 1, due = ? WHERE id = ?", (due, id))

    def drop_message(self, id: str) -> None:
        """Forget a message that was delivered, or will not be."""
        with self.transaction():
            self._write("DELETE FROM outbox WHERE id = ?", (id,))
