"""The bytes of a table: a file, packed by gzip or not, or a copy of what an address has.

It knows what a file is by how its content begins, and parses nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from orchestra.core.errors import InvalidTable

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
GZIP = b"\x1f\x8b"
Kind = Literal["excel", "parquet", "xml", "json", "jsonl", "text"]
REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "Save it as .xlsx or as 'CSV UTF-8'."),
    (b"BZh", "a bzip2 archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"%PDF", "a PDF", "Export the table as CSV."),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV."),
)
WEB_PAGE = re.compile(rb"<(?:!doctype html|html|head|body|table|meta)\b", re.IGNORECASE)
JSON_START = re.compile(rb'\[\s*\{|\{\s*"')


@dataclass(frozen=True, slots=True)
class Source:
    """A file with a table in it."""

    path: Path
    is_gzip: bool = False

    @classmethod
    def of(cls, path: Path) -> Source:
        """The file at `path`. Raises InvalidTable where it cannot be read."""
        with _reading(path), path.open("rb") as file:
            return cls(path, file.read(len(GZIP)) == GZIP)

    @property
    def name(self) -> str:
        """As messages call it."""
        return str(self.path)

    @property
    def suffix(self) -> str:
        """The file's suffix in lower case, without that of gzip."""
        path = self.path
        if path.suffix.lower() in (".gz", ".gzip"):
            path = path.with_suffix("")
        return path.suffix.lower()

    def open(self) -> IO[bytes]:
        """The content, from its beginning."""
        if self.is_gzip:
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def seekable(self) -> IO[bytes]:
        """The content as a file that can be read from any place."""
        if not self.is_gzip:
            return self.path.open("rb")
        whole = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with _reading(self.path), self.open() as file:
            shutil.copyfileobj(file, whole, BLOCK_BYTES)
        whole.seek(0)
        return whole

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks of 1 MiB. Raises InvalidTable when it cannot be read."""
        with _reading(self.path), self.open() as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def head(self) -> bytes:
        """How the content begins."""
        with _reading(self.path), self.open() as file:
            return file.read(HEAD_BYTES)

    def content_hash(self) -> str:
        """sha256 hex of the content."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def kind(self) -> Kind:
        """What the content is. Raises InvalidTable for an archive and other files of no table."""
        head = self.head()
        for magic, what, cure in REFUSED:
            if head.startswith(magic):
                raise InvalidTable(f"Table {self.name!r} is {what}. {cure}")
        if head.startswith(b"PK\x03\x04"):
            return self._office()
        if head.startswith(b"PAR1"):
            return "parquet"
        if self.suffix == ".parquet":
            raise InvalidTable(
                f"Table {self.name!r} is not a readable Parquet file (it does not begin with "
                "PAR1). Export it again."
            )
        return self._text(head)

    def _office(self) -> Kind:
        """A ZIP archive that is a workbook."""
        try:
            with self.seekable() as file, zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidTable(
                f"Table {self.name!r} is a damaged Excel workbook or ZIP archive ({error}). Save "
                "it again, or export it as 'CSV UTF-8'."
            ) from error
        if any(name.startswith("xl/") for name in names):
            return "excel"
        raise InvalidTable(
            f"Table {self.name!r} is a ZIP archive and no Excel workbook. Unpack it first, or "
            "export the table as 'CSV UTF-8'."
        )

    def _text(self, head: bytes) -> Kind:
        start = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:4096]
        if WEB_PAGE.match(start):
            raise InvalidTable(
                f"Table {self.name!r} is a web page, as some shops export for Excel. Open it there "
                "and save it as .xlsx or as 'CSV UTF-8'."
            )
        if start.startswith((b"<?xml", b"<rss", b"<feed")) or self.suffix == ".xml":
            return "xml"
        if self.suffix in (".jsonl", ".ndjson"):
            return "json" if _is_spread(start) else "jsonl"
        is_json = self.suffix == ".json" or JSON_START.match(start) is not None
        if not is_json:
            return "text"
        return "jsonl" if _has_lines(start) else "json"


def _is_spread(start: bytes) -> bool:
    """Whether objects run over several lines, or stand in a list."""
    lines = [line.strip() for line in start.splitlines() if line.strip()]
    if not lines or lines[0] in (b"{", b"[") or lines[0].startswith(b"[{"):
        return bool(lines)
    is_open = lines[0].startswith(b"{") and not lines[0].endswith(b"}")
    return is_open and len(lines) > 1 and lines[1].startswith(b'"')


def _has_lines(start: bytes) -> bool:
    """Whether what begins with an object goes on with another on its second line."""
    lines = [line.strip() for line in start.splitlines() if line.strip()]
    return len(lines) > 1 and lines[0].endswith(b"}") and lines[1].startswith(b"{")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Around what reads a file: its failures as InvalidTable."""
    try:
        yield
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidTable(
            f"Table {str(path)!r} cannot be read: {reason}. Check the path and its permissions, "
            "and that the file is whole."
        ) from error
