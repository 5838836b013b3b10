"""A book that a server has open and looks after, while another process writes into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestra.book.book import Book
from orchestra.book.keys.key_messages import ListTenants, SaveTenant
from orchestra.book.keys.terms import TenantTerms
from orchestra.book.shared.health import FileHealth
from tests.unit.book.book_audit import discrepancies

WRITER = """
import sys
from pathlib import Path
from orchestra.book.book import Book
from orchestra.book.keys.key_messages import SaveTenant
from orchestra.book.keys.terms import TenantTerms
with Book.open(Path(sys.argv[1]), exclusive=False) as book, book.transaction(is_shared=True):
    book.do(SaveTenant(sys.argv[2], TenantTerms(), is_new=True))
"""


def test_what_another_process_writes_is_seen_and_nothing_is_lost_as_it_leaves(
    tmp_path: Path,
) -> None:
    path = tmp_path / "book.sqlite"
    with Book.open(path) as book:
        book.do(SaveTenant("first", TenantTerms(), is_new=True))
        book.checkpoint()  # as a server does: a new book's first page stood in its log alone
        health = FileHealth(path)
        log = path.with_name(f"{path.name}-wal")
        before = log.stat().st_ino
        for name in ("second", "third"):
            health.check()  # it must not take the book's locks away, as closing its file would
            subprocess.run([sys.executable, "-c", WRITER, path, name], check=True, timeout=60)
            assert log.stat().st_ino == before  # who leaves does not take it for the last one
            assert book.do(ListTenants(name))
        book.do(SaveTenant("fourth", TenantTerms(), is_new=True))
        health.check()
        health.close()
    with Book.open(path) as again:
        names = [entry.name for entry in again.do(ListTenants())]
    assert names == ["first", "fourth", "second", "third"]
    assert discrepancies(path) == []
