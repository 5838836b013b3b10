"""Opens a taxonomy file of any form that it knows, by the file's ending and its first bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestra.batch.tables.table import open_table
from orchestra.batch.taxonomy.lines import read_lines
from orchestra.batch.taxonomy.own import read_links, read_nested
from orchestra.batch.taxonomy.shopify import read_shopify
from orchestra.batch.taxonomy.tree import Taxonomy
from orchestra.core.errors import InvalidTable, InvalidTaxonomy
from orchestra.core.files.yaml_file import load_yaml

POINTER = "version https://git-lfs"
MOST_BYTES = 256 << 20  # Shopify's whole taxonomy.json is about half of it


def read_taxonomy(path: Path) -> Taxonomy:
    """The taxonomy in `path`: .txt (Shopify, Google, paths), .json, .yaml, .csv or .tsv.

    Raises `InvalidTaxonomy`, with the place in the file, for one that is missing, damaged, of
    another form, or whose categories make no tree.
    """
    where = f"The taxonomy {str(path)!r}"
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        try:
            return read_links(open_table(path), where)
        except InvalidTable as error:
            raise InvalidTaxonomy(f"{where}: {error}") from error
    if suffix in (".yaml", ".yml"):
        return read_nested(load_yaml(path, what="taxonomy", error=InvalidTaxonomy), where)
    text = _text(path, where)
    if text.startswith(POINTER):
        raise InvalidTaxonomy(
            f"{where} is a pointer of Git LFS, not the file itself. Fetch it: 'git lfs pull'."
        )
    if suffix == ".json":
        return _json(text, where)
    return read_lines(text.splitlines(), where)


def _text(path: Path, where: str) -> str:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InvalidTaxonomy(
                f"{where} has {size:,} bytes, and at most {MOST_BYTES:,} are read. Give the file "
                "of categories alone, or of one branch."
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidTaxonomy(
            f"{where} cannot be read: {reason}. Check the path; it is relative to the recipe."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidTaxonomy(
            f"{where} is not UTF-8 at byte {error.start}. Fetch it again, or save it as UTF-8."
        ) from error


def _json(text: str, where: str) -> Taxonomy:
    try:
        raw: Any = json.loads(text)
    except ValueError as error:
        raise InvalidTaxonomy(
            f"{where} is no JSON: {error}. It may be cut off; fetch it again."
        ) from error
    if isinstance(raw, dict) and "verticals" in raw:
        return read_shopify(raw, where)
    return read_nested(raw, where)
