"""Brings the bytes of a photo from a path, a `data:` URI or a web address; it decodes none."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from orchestra.core.errors import (
    ImageForbidden,
    ImageNotFound,
    ImageUnreadable,
)
from orchestra.images.download import Downloads, download
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown, too_large
from orchestra.images.web_address import cleaned, page_instead, web_address

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def is_fetched(source: str | Path) -> bool:
    """Whether `source` is an address of the web, whose server decides how long it takes."""
    return isinstance(source, str) and web_address(source) is not None


def name_of_photo(source: str, base: Path) -> str | None:
    """An address as it is, or the whole path of a file; None for a file that is not there."""
    text = cleaned(source)
    if text[:5].lower() == "data:" or (is_fetched(text) and not os.path.isfile(base / text)):
        return text
    if text[:5].lower() == "file:":
        text = unquote(urlsplit(text).path) if "[" not in text else ""
    place = _place_of(Path(text), base)
    return str(place) if text and os.path.isfile(place) else None


def read_source(
    source: str | Path, base: Path | None, limits: ImageLimits, downloads: Downloads | None = None
) -> bytes:
    """The bytes of `source`, at most `limits.max_bytes` of them.

    `base` is the folder that relative paths start at: a table's, or None for the working directory.
    What was fetched before may come from `downloads`.
    """
    if isinstance(source, Path):
        return _read_path(source, source, base, limits)
    text = source.strip()
    if text[:5].lower() == "data:":
        return _read_data_uri(text, limits)
    text = cleaned(text)
    address = web_address(text)
    if address is not None and not _is_file_here(text, base, limits):
        page = page_instead(address)
        if page is not None:
            found = ImageUnreadable(f"Image {shown(source)} is {page}")
            found.is_open = True  # nobody was asked
            raise found
        return download(address, limits, downloads)
    named = ADDRESS.match(text)
    scheme = named[1].lower() if named else "file"
    if scheme != "file":
        raise ImageForbidden(
            f"Image {shown(text)} has scheme {scheme!r}; only http, https, data and file are read. "
            "Download the photo and give its path."
        )
    path = _path_of(text) if named else text
    if not path:
        raise ImageNotFound("No image is named: the path is empty. Give a path or an address.")
    return _read_path(text, Path(path), base, limits)


def _is_file_here(text: str, base: Path | None, limits: ImageLimits) -> bool:
    """Whether what looks like an address without a scheme is a file's name after all."""
    if ADDRESS.match(text) or not limits.allow_files:
        return False
    return os.path.isfile(Path(text) if base is None else base / text)


def _path_of(address: str) -> str:
    """The path of a `file:` address."""
    try:
        return unquote(urlsplit(address).path)
    except ValueError as error:  # a bracket that opens no IPv6 host
        raise ImageNotFound(
            f"Image {shown(address)} is not a valid address ({error}). Give the path alone."
        ) from error


def _read_path(source: str | Path, path: Path, base: Path | None, limits: ImageLimits) -> bytes:
    """The bytes at `path`; errors name `source`, which is how the user wrote it."""
    name = shown(source)
    if not limits.allow_files:
        raise ImageForbidden(
            f"Image {name} is a path on this machine, and paths are not taken here. "
            "Send the photo as a data URI or an https address."
        )
    place = _place_of(path, base)
    try:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageUnreadable(f"Image {name} is a folder. Name the file inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnreadable(f"Image {name} is not a regular file. Copy it to one.")
        if status.st_size > limits.max_bytes:
            raise too_large(str(source), f"{status.st_size:,}", limits)
        return place.read_bytes()
    except PermissionError as error:
        raise ImageUnreadable(
            f"Image {name} may not be read by this user. Change its permissions."
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        start = "of the working directory" if base is None else "of the table"
        raise ImageNotFound(
            f"Image {name} does not exist. Check the name and its capitals; a path that is not "
            f"absolute starts at the folder {start}."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise ImageNotFound(f"Image {name} cannot be read: {why}. Correct the path.") from error


def _place_of(path: Path, base: Path | None) -> Path:
    """Where a path leads; as it is written, or else as it was meant where a file is there."""
    own = path if base is None else base / path
    try:
        if own.exists():
            return own
        others = (Path(name) if base is None else base / name for name in _spellings(str(path)))
        return next((other for other in others if other.is_file()), own)
    except (OSError, ValueError):  # told by who reads it
        return own


def _spellings(name: str) -> Iterator[str]:
    """Other ways to write a path: of Windows, of the web, and in Unicode's other form."""
    for other in dict.fromkeys((name, name.replace("\\", "/"), unquote(name))):
        yield other
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, other)


def _read_data_uri(text: str, limits: ImageLimits) -> bytes:
    header, comma, body = text.partition(",")
    if not comma:
        raise ImageUnreadable(f"Image {shown(text, 60)} is a data URI without a comma.")
    if len(body) * 3 // 4 > limits.max_bytes:
        raise too_large(text[:60], f"about {len(body) * 3 // 4:,}", limits)
    try:
        raw = unquote_to_bytes(body)
    except UnicodeEncodeError as error:
        raise ImageUnreadable(
            f"Image {shown(text, 60)} holds half of a surrogate pair. Encode the file again."
        ) from error
    if not header.lower().endswith(";base64"):
        return raw
    packed = re.sub(rb"\s+", b"", raw).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImageUnreadable(
            f"Image {shown(text, 60)} is not valid base64 ({error}). Encode the file again."
        ) from error
