"""Makes a tree of categories that each name their parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestra.batch.taxonomy.tree import JOINT, Category, checked
from orchestra.core.errors import InvalidTaxonomy
from orchestra.core.spelling import did_you_mean


@dataclass(frozen=True, slots=True)
class Link:
    """A category by its own key and that of its parent; a root has none."""

    key: str
    name: str
    parent: str | None
    id: str = ""
    zh: str = ""
    synonyms: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    place: str = ""


def linked(links: Iterable[Link], where: str) -> tuple[Category, ...]:
    """The categories, each with its whole path.

    Raises `InvalidTaxonomy` for a key or name that stands twice, a parent that there is not, and a
    category that is above itself.
    """
    known: dict[str, Link] = {}
    for one in links:
        before = known.setdefault(one.key, one)
        if before is not one:
            raise InvalidTaxonomy(
                f"{where}, {one.place}: {one.key!r} stands twice (first in {before.place}). "
                "Give each category once, or an id column where two share a name."
            )
    paths: dict[str, tuple[str, ...]] = {}
    for key in known:
        _climb(key, known, paths, where)
    return checked(
        (
            Category(
                paths[one.key], one.id or one.key, one.zh, one.synonyms, one.attributes, one.place
            )
            for one in known.values()
        ),
        where,
        whole=False,
    )


def _climb(
    key: str, known: Mapping[str, Link], paths: dict[str, tuple[str, ...]], where: str
) -> None:
    """Note the paths of `key` and of what is above it; without recursion, however deep."""
    chain: list[str] = []
    at: str | None = key
    while at is not None and at not in paths:
        if at in chain:
            circle = JOINT.join(known[each].name for each in [*chain[chain.index(at) :], at][::-1])
            raise InvalidTaxonomy(
                f"{where}, {known[at].place}: the category {known[at].name!r} is its own ancestor: "
                f"{circle}. Give it another parent, or none for a root."
            )
        if at not in known:
            child = known[chain[-1]]
            cure = did_you_mean(at, known) if len(known) < 50 else "Fetch it again."
            raise InvalidTaxonomy(
                f"{where}, {child.place}: {child.name!r} has the parent {at!r}, which the file "
                f"does not name. {cure}"
            )
        chain.append(at)
        at = known[at].parent or None
    above = paths[at] if at is not None else ()
    for each in reversed(chain):
        above = (*above, known[each].name)
        paths[each] = above
