"""Answers by the keys that clients gave their requests, so that one sent again is done once."""

from __future__ import annotations

from orchestra.book.database import Database
from orchestra.book.filing.entries import KeptAnswer


class KeptAnswers(Database):
    """The answers of a filing."""

    def claim_key(
        self, tenant: str, key: str, asked: str, *, now: int, until: int
    ) -> KeptAnswer | None:
        """Have the key for a request whose hash is `asked`; None where it is had now.

        Else what was asked under it before, and the answer if it is there. A claim that ends in no
        answer is over at `until`.
        """
        with self.transaction():
            self._write("DELETE FROM answers WHERE until <= ?", (now,))
            row = self._read_one(
                "SELECT asked, status, kind, body FROM answers WHERE tenant = ? AND key = ?",
                (tenant, key),
            )
            if row is not None:
                return KeptAnswer(*row)
            self._write(
                "INSERT INTO answers (tenant, key, asked, until) VALUES (?, ?, ?, ?)",
                (tenant, key, asked, until),
            )
        return None

    def keep_answer(self, tenant: str, key: str, answer: KeptAnswer, *, until: int) -> None:
        """Keep the answer that the request of a key had."""
        with self.transaction():
            self._write(
                "UPDATE answers SET status = ?, kind = ?, body = ?, until = ?"
                " WHERE tenant = ? AND key = ?",
                (answer.status, answer.kind, answer.body, until, tenant, key),
            )

    def free_key(self, tenant: str, key: str) -> None:
        """Let the key be had again: its request came to no answer that may be given twice."""
        with self.transaction():
            self._write(
                "DELETE FROM answers WHERE tenant = ? AND key = ? AND status IS NULL",
                (tenant, key),
            )
