"""Files of tenants: what is known of them in the database, their bytes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from orchestra.book.database import Database
from orchestra.book.filing.entries import OVER, FiledFile
from orchestra.core.errors import FileInUse, FilesFull

_COLUMNS = "id, tenant, purpose, filename, bytes, created, expires"
_OVER = ", ".join(f"'{status}'" for status in OVER)


class Files(Database):
    """The files of a filing; `folder` holds their bytes."""

    folder: Path

    def path_of(self, id: str) -> Path:
        """Where the bytes of a file lie."""
        return self.folder / id

    def add_file(self, file: FiledFile, *, most_files: int, most_bytes: int) -> None:
        """Note a file whose bytes are there; again changes nothing.

        Raises `FilesFull` where the tenant would have more than that many files or bytes.
        """
        with self.transaction():
            row = self._read_one(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM files WHERE tenant = ? AND id <> ?",
                (file.tenant, file.id),
            )
            files, size = (0, 0) if row is None else row
            if files + 1 > most_files or size + file.bytes > most_bytes:
                raise FilesFull(
                    f"There is no room for {file.filename[:80]!r} of {file.bytes:,} bytes: "
                    f"{files:,} files of {size:,} bytes are kept, and at most {most_files:,} of "
                    f"{most_bytes:,}. Delete some (DELETE /v1/files/ID)."
                )
            self._insert_file(file)

    def _insert_file(self, file: FiledFile) -> None:
        self._write(
            f"INSERT OR IGNORE INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(file)
        )

    def file(self, id: str, tenant: str) -> FiledFile | None:
        """The tenant's file of that name."""
        row = self._read_one(
            f"SELECT {_COLUMNS} FROM files WHERE id = ? AND tenant = ?", (id, tenant)
        )
        return None if row is None else FiledFile(*row)

    def list_files(
        self, tenant: str, *, purpose: str | None, after: str | None, limit: int, newest: bool
    ) -> list[FiledFile]:
        """At most `limit` of the tenant's files, those behind `after`."""
        where, parameters = page_of("files", tenant, after, newest=newest)
        if purpose is not None:
            where, parameters = f"{where} AND purpose = ?", [*parameters, purpose]
        order = "DESC" if newest else "ASC"
        rows = self._read(
            f"SELECT {_COLUMNS} FROM files WHERE {where} ORDER BY number {order} LIMIT ?",
            [*parameters, limit],
        )
        return [FiledFile(*row) for row in rows]

    def delete_file(self, id: str, tenant: str) -> bool:
        """Forget a file; whether there was one. Raises `FileInUse` while a batch reads it."""
        with self.transaction():
            used = self._read_one(
                f"SELECT id FROM batches WHERE input_file = ? AND status NOT IN ({_OVER})", (id,)
            )
            if used is not None:
                raise FileInUse(
                    f"The batch {used[0]!r} reads the file {id!r}. Cancel it (POST /v1/batches/"
                    f"{used[0]}/cancel), or wait until it ends."
                )
            done = self._write("DELETE FROM files WHERE id = ? AND tenant = ?", (id, tenant))
        if done.rowcount:
            self.path_of(id).unlink(missing_ok=True)
        return bool(done.rowcount)

    def expire_files(self, now: int) -> int:
        """Forget files whose time is over and that no batch reads; how many."""
        with self.transaction():
            rows = self._write(
                "DELETE FROM files WHERE expires <= ? AND id NOT IN"
                f" (SELECT input_file FROM batches WHERE status NOT IN ({_OVER})) RETURNING id",
                (now,),
            ).fetchall()
        for (id,) in rows:
            self.path_of(id).unlink(missing_ok=True)
        return len(rows)


def page_of(
    table: str, tenant: str, after: str | None, *, newest: bool
) -> tuple[str, Sequence[str]]:
    """A condition for a tenant's rows behind the one of the id `after`, and its parameters."""
    if after is None:
        return "tenant = ?", [tenant]
    way = "<" if newest else ">"
    return f"tenant = ? AND number {way} (SELECT number FROM {table} WHERE id = ?)", [tenant, after]
