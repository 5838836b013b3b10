"""Tells the photos of a cell apart; pure, and knows no table.

Shops put several addresses into one cell: between commas, semicolons, pipes or lines, or as a JSON
list. A comma may also stand in an address, so a separator counts only between two addresses.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.core.job import PhotoRole
from orchestra.images.web_address import BARE, EXTENSION, cleaned

KEYS = ("src", "url", "link", "href", "image", "path", "source", "file")  # of a photo in JSON
BEGINS = re.compile(r"https?:|file:|data:image/|//|\\\\|[A-Za-z]:[\\/]", re.IGNORECASE)
SURE = re.compile(r"\s*[\r\n]+\s*|\s*\|+\s*")  # what no address holds
MAYBE = re.compile(r"(?:\s*[,;，；、])+\s*|\s+(?=https?://)")
REMARK = re.compile(r"\s+!\s+(?:alt|title|desc|caption)\s*:.*", re.IGNORECASE | re.DOTALL)
ANOTHER = re.compile(r"[,;|\s](?:data:|https?:|//)", re.IGNORECASE)  # behind a data URI
DATA = re.compile(r"data:[^,\s]*,[A-Za-z0-9+/=_%-]*", re.IGNORECASE)
MOST_JSON_DEPTH = 4
COLUMN_ROLES: tuple[tuple[PhotoRole, re.Pattern[str]], ...] = (
    ("swatch", re.compile(r"swatch|colou?r (?:chip|image|photo)|色卡|色块")),
    ("variant", re.compile(r"variant|variation|规格图|sku ?图")),
    ("packaging", re.compile(r"packag|\bpack\b|\bbox\b|label|nutrition|ingredient|包装")),
    ("lifestyle", re.compile(r"lifestyle|scene|model (?:image|photo)|in use|场景")),
    ("detail", re.compile(r"detail|close ?up|zoom|texture|back (?:image|photo)|细节|详情")),
    (
        "additional",
        re.compile(
            r"additional|other|more|extra|gallery|further|secondary|附图|副图|更多"
            r"|(?:image|photo|picture|img|pic|url|src|link)s? ?0*(?:[2-9]|[1-9]\d+)\b"
        ),
    ),
    ("main", re.compile(r"\bmain\b|primary|featured?|cover|hero|front|image link$|主图|首图")),
)


@dataclass(frozen=True, slots=True)
class NamedPhotos:
    """The addresses of a product's photos, and what each of them shows it as."""

    images: tuple[str, ...] = ()
    roles: tuple[PhotoRole, ...] = ()


def named_photos(cells: Iterable[tuple[str, str]], base: Path | None = None) -> NamedPhotos:
    """All photos of a product, from its cells with the names of their columns; each address once.

    The column's name says what a photo is, else its place does: the first is the main one.
    """
    found: dict[str, PhotoRole | None] = {}
    for column, cell in cells:
        role = role_of_column(column)
        for address in split_addresses(cell, base):
            found.setdefault(address, role)
    is_named = "main" in found.values()
    roles: list[PhotoRole] = []
    for role in found.values():
        if role is None or (role == "main" and "main" in roles):
            role = "additional" if is_named or "main" in roles else "main"
        roles.append(role)
    return NamedPhotos(tuple(found), tuple(roles))


def role_of_column(name: str) -> PhotoRole | None:
    """What a column of photos holds by its name, as in `additional_image_link`; None for any."""
    words = " ".join(re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name)).casefold()
    return next((role for role, pattern in COLUMN_ROLES if pattern.search(words)), None)


def split_addresses(cell: str, base: Path | None = None) -> tuple[str, ...]:
    """The addresses and paths that a cell names, in its order, each once.

    A cell that is the name of a file under `base` as it stands is that one file.
    """
    text = cell.strip()
    if not text:
        return ()
    if base is not None and MAYBE.search(text) and os.path.isfile(base / text):
        return (text,)
    found = _from_json(text) if text[0] in "[{" else None
    if found is None:
        found = [part for line in _lines(text) for part in _parts(line)]
    named = (cleaned(REMARK.sub("", one)) for one in found)
    return tuple(dict.fromkeys(one for one in named if one))


def _from_json(text: str) -> list[str] | None:
    """Addresses of a JSON list, or of one as Python prints it; None for what is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if not isinstance(value, list | dict):
            return None
        return list(_named(value, 0)) or ([] if not value else None)
    return None


def _named(value: Any, depth: int) -> Iterator[str]:
    if depth > MOST_JSON_DEPTH:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _named(part, depth + 1)
    elif isinstance(value, Mapping):
        own = [value[key] for key in KEYS if value.get(key)]
        inner = own[:1] or [
            part
            for part in value.values()
            if isinstance(part, list | dict) or (isinstance(part, str) and _is_named(part))
        ]
        for part in inner:
            yield from _named(part, depth + 1)


def _lines(text: str) -> Iterator[str]:
    """Parts between what no address holds; a data URI is one address, whatever is in it."""
    if text[:5].lower() == "data:":
        if not ANOTHER.search(text, 5):
            yield text
            return
        found = DATA.match(text)
        if found is not None:
            yield found[0]
            yield from _lines(text[found.end() :].lstrip(" \t\r\n,;|"))
            return
    for line in SURE.split(text):
        if line.strip():
            yield line


def _parts(line: str) -> Iterator[str]:
    """A line, cut where a separator stands between two addresses."""
    if line[:5].lower() == "data:":
        yield line
        return
    start, at = 0, 0
    for separator in MAYBE.finditer(line):
        left, right = line[start : separator.start()], _next(line, separator.end())
        at = separator.end()
        if not left.strip():
            start = at
        elif _is_boundary(left, separator[0], right, line[separator.end() :]):
            yield left
            start = at
    if line[start:].strip(" \t,;"):
        yield line[start:].rstrip(" \t,;")


def _next(line: str, at: int) -> str:
    """What follows a separator, up to the next one."""
    following = MAYBE.search(line, at)
    return line[at : following.start() if following else len(line)]


def _is_boundary(left: str, separator: str, right: str, rest: str) -> bool:
    """Whether a separator stands between two addresses rather than inside one.

    `right` reaches to the next separator, `rest` to the end of the line.
    """
    left, right = left.strip().strip("\"'"), right.strip().strip("\"'")
    if not right:
        return False
    if _begins(right):
        return True
    is_web = _begins(left)
    if is_web and not right.startswith("/"):
        return False  # a comma of the web, as in w_100,h_200/a.jpg
    # Behind a blank the next name may have a comma of its own.
    if _is_photo(left) and _is_photo(rest.strip() if separator[-1].isspace() else right):
        return True
    bare = ";" in separator or "；" in separator
    return bare and not is_web and "=" not in right and _is_photo(left) == _is_photo(right)


def _is_named(text: str) -> bool:
    return _begins(text) or _is_photo(text)


def _begins(text: str) -> bool:
    return bool(BEGINS.match(text) or BARE.match(text))


def _is_photo(text: str) -> bool:
    return bool(EXTENSION.search(re.split(r"[?#]", text, maxsplit=1)[0]))
