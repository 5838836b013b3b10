"""Reads a shop's own tree: nested names in YAML or JSON, or a table of names with their parents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestra.batch.tables.table import Row, Table
from orchestra.batch.taxonomy.links import Link, linked
from orchestra.batch.taxonomy.tree import JOINT, Category, Taxonomy, checked
from orchestra.core.errors import InvalidTaxonomy

NAME, PARENT, ID, ZH, SYNONYMS, ATTRIBUTES = "name", "parent", "id", "zh", "synonyms", "attributes"
DEEPEST = 32


def read_nested(raw: Any, where: str) -> Taxonomy:
    """The taxonomy of names nested in mappings and lists, as `Home: {Kitchen: [Mugs, Pans]}`.

    Raises `InvalidTaxonomy` for a branch that contains itself (a YAML alias can), a name that
    stands twice beside itself, and what is no name.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise InvalidTaxonomy(
            f"{where} holds {raw!r:.60}, and no tree. Write names below names: "
            "'Home: {Kitchen: [Mugs, Pans]}'."
        )
    return Taxonomy(checked(_walked(raw, (), (), where), where, whole=False))


def _walked(
    branch: Any, path: tuple[str, ...], within: tuple[int, ...], where: str
) -> Iterator[Category]:
    if id(branch) in within or len(path) > DEEPEST:
        raise InvalidTaxonomy(
            f"{where}: the branch {JOINT.join(path[:4])!r} contains itself. Give each branch names "
            "of its own."
        )
    if branch is None:
        return
    if isinstance(branch, Mapping):
        for name, below in branch.items():
            inner = (*path, _name(name, path, where))
            yield Category(inner, place=f"{JOINT.join(inner)!r}")
            yield from _walked(below, inner, (*within, id(branch)), where)
    elif isinstance(branch, Sequence) and not isinstance(branch, str):
        for one in branch:
            if isinstance(one, Mapping):
                yield from _walked(one, path, (*within, id(branch)), where)
            else:
                inner = (*path, _name(one, path, where))
                yield Category(inner, place=f"{JOINT.join(inner)!r}")
    else:
        inner = (*path, _name(branch, path, where))
        yield Category(inner, place=f"{JOINT.join(inner)!r}")


def _name(name: Any, path: tuple[str, ...], where: str) -> str:
    if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
        raise InvalidTaxonomy(
            f"{where}: below {JOINT.join(path)!r} stands {name!r}, which is no name. Write words "
            "(in quotes, where YAML reads them as something else: 'No', 'On')."
        )
    return str(name).strip()


def read_links(table: Table, where: str) -> Taxonomy:
    """The taxonomy of a table with the columns `name` and `parent`, which is empty for a root.

    Beside them it may have `id` (then `parent` is one), `zh`, and `synonyms` and `attributes` with
    `|` between several. Raises `InvalidTaxonomy`.
    """
    lacking = [name for name in (NAME, PARENT) if name not in table.columns]
    if lacking:
        raise InvalidTaxonomy(
            f"{where} has no column {lacking[0]!r} (it has: {', '.join(table.columns)}). A table "
            f"of categories has {NAME!r} and {PARENT!r}."
        )
    has_ids = ID in table.columns
    return Taxonomy(linked((_link(row, has_ids, where) for row in table.rows()), where))


def _link(row: Row, has_ids: bool, where: str) -> Link:
    if row.error is not None:
        raise InvalidTaxonomy(f"{where}, row {row.ordinal}: {row.error.message}")
    cells = {name: value.strip() for name, value in row.values.items()}
    key = cells[ID] if has_ids else cells[NAME]
    if not key:
        raise InvalidTaxonomy(
            f"{where}, row {row.ordinal} has no {ID if has_ids else NAME}. Name each category."
        )
    return Link(
        key,
        cells[NAME],
        cells[PARENT] or None,
        zh=cells.get(ZH, ""),
        synonyms=_several(cells.get(SYNONYMS, "")),
        attributes=_several(cells.get(ATTRIBUTES, "")),
        place=f"row {row.ordinal}",
    )


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())
