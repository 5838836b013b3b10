"""A tree of categories, checked: what each is called in two languages, and which fields it has.

It knows no file and no model. A category is named by its path ("Home > Kitchen > Mugs").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestra.core.errors import InvalidTaxonomy
from orchestra.core.spelling import did_you_mean, nearest

JOINT = " > "


@dataclass(frozen=True, slots=True)
class Category:
    """One category: its path from the root, and its id, "" where its format has none.

    `attributes` are the names of the fields that its format gives it, `zh` its own Chinese name.
    `place` is where it stands in its file, for messages.
    """

    path: tuple[str, ...]
    id: str = ""
    zh: str = ""
    synonyms: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    place: str = ""

    @property
    def name(self) -> str:
        """The path as one text."""
        return JOINT.join(self.path)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Categories in the order of their file, and the values that an attribute may have.

    `version` is what the file says of itself, or "".
    """

    categories: tuple[Category, ...]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: str = ""

    @property
    def leaves(self) -> tuple[Category, ...]:
        """The categories that have none below them."""
        above = {category.path[:-1] for category in self.categories}
        return tuple(one for one in self.categories if one.path not in above)

    def under(self, branches: Sequence[str]) -> Taxonomy:
        """The categories of these branches, each a path, and what is above them.

        Raises `InvalidTaxonomy` for a branch that there is not.
        """
        if not branches:
            return self
        known = {one.name.casefold(): one.path for one in self.categories}
        roots: list[tuple[str, ...]] = []
        for branch in branches:
            path = known.get(branch.strip().casefold())
            if path is None:
                names = [one.name for one in self.categories]
                raise InvalidTaxonomy(
                    f"The branch {branch!r} is not among the {len(names):,} categories. "
                    f"{_cure(branch, names)}"
                )
            roots.append(path)
        kept = tuple(
            one
            for one in self.categories
            if any(one.path[: len(root)] == root[: len(one.path)] for root in roots)
        )
        return replace(self, categories=kept)

    def with_chinese(self, other: Taxonomy) -> Taxonomy:
        """With the names of `other`, the same tree in Chinese, joined by id.

        Raises `InvalidTaxonomy` where one of them has no ids, or no id stands in both.
        """
        names = {one.id: one.path[-1] for one in other.categories if one.id}
        if not any(one.id in names for one in self.categories if one.id):
            raise InvalidTaxonomy(
                f"The Chinese file shares no id with the tree (of its {len(other.categories):,} "
                f"categories {len(names):,} have ids). Give the same taxonomy in Chinese, with "
                "ids, or write zh names as synonyms."
            )
        named = (replace(one, zh=names.get(one.id, one.zh)) for one in self.categories)
        return replace(self, categories=tuple(named))

    def with_synonyms(self, synonyms: Mapping[str, Sequence[str]]) -> Taxonomy:
        """With more words for categories, by path or by a last name that only one has.

        Raises `InvalidTaxonomy` for a name that there is not, or that several have, and for a
        word that two categories are given.
        """
        if not synonyms:
            return self
        added: dict[tuple[str, ...], tuple[str, ...]] = {}
        given: dict[str, tuple[str, ...]] = {}
        for name, words in synonyms.items():
            path = self._named(name)
            for word in words:
                other = given.setdefault(word.casefold(), path)
                if other != path:
                    raise InvalidTaxonomy(
                        f"The synonym {word!r} is given to {JOINT.join(other)!r} and to "
                        f"{JOINT.join(path)!r}. Leave it to one of them."
                    )
            added[path] = (*added.get(path, ()), *words)
        return replace(
            self,
            categories=tuple(
                replace(one, synonyms=(*one.synonyms, *added[one.path]))
                if one.path in added
                else one
                for one in self.categories
            ),
        )

    def _named(self, name: str) -> tuple[str, ...]:
        asked = name.strip().casefold()
        paths = [one.path for one in self.categories if one.name.casefold() == asked]
        paths = paths or [one.path for one in self.categories if one.path[-1].casefold() == asked]
        if not paths:
            names = [one.name for one in self.categories]
            raise InvalidTaxonomy(f"There is no category {name!r}. {_cure(name, names)}")
        if len(paths) > 1:
            shown = " and ".join(repr(JOINT.join(path)) for path in paths[:3])
            raise InvalidTaxonomy(
                f"The name {name!r} means {len(paths)} categories: {shown}. Write the whole path."
            )
        return paths[0]


def checked(categories: Iterable[Category], where: str, *, whole: bool) -> tuple[Category, ...]:
    """The categories, none of them doubled and, of a `whole` file, each below one that is there.

    Raises `InvalidTaxonomy`, naming the place in the file `where`.
    """
    listed = tuple(categories)
    if not listed:
        raise InvalidTaxonomy(f"{where} names no category. Give the file that the shop publishes.")
    paths: dict[tuple[str, ...], Category] = {}
    ids: dict[str, Category] = {}
    for one in listed:
        _check_names(one, where)
        _once(paths, tuple(name.casefold() for name in one.path), one, one.name, where)
        if one.id:
            _once(ids, one.id, one, one.id, where)
    if whole:
        for one in listed:
            above = tuple(name.casefold() for name in one.path[:-1])
            if above and above not in paths:
                raise InvalidTaxonomy(
                    f"{where}, {one.place}: {one.name!r} stands below "
                    f"{JOINT.join(one.path[:-1])!r}, which the file does not name, so it is "
                    "damaged or cut off. Fetch it again."
                )
    return listed


def _check_names(one: Category, where: str) -> None:
    if not one.path or not all(name.strip() for name in one.path):
        raise InvalidTaxonomy(
            f"{where}, {one.place}: the category {one.name!r} has a step without a name. "
            "Write each step of the path between '>' signs."
        )


def _once(seen: dict[Any, Category], key: Any, one: Category, name: str, where: str) -> None:
    before = seen.setdefault(key, one)
    if before is not one:
        raise InvalidTaxonomy(
            f"{where}, {one.place}: {name!r} stands twice (first in {before.place}, as "
            f"{before.name!r}). Give each category once, and a name of its own."
        )


def words_of(categories: Sequence[Category]) -> dict[str, tuple[str, ...]]:
    """By path, the words that mean a category alone; what two have in common decides neither."""
    own = {one.name: (one.path[-1], one.zh, *one.synonyms) for one in categories}
    shared = Counter(
        word.casefold() for words in own.values() for word in {w.casefold(): w for w in words if w}
    )
    return {
        name: tuple(dict.fromkeys(word for word in words if word and shared[word.casefold()] == 1))
        for name, words in own.items()
    }


def _cure(name: str, names: Sequence[str]) -> str:
    """The path whose last name is nearest to that of `name`; of few, all there are."""
    ends = {each.rpartition(JOINT)[2]: each for each in names}
    near = nearest(name.rpartition(">")[2].strip(), ends)
    if near is not None:
        return f"Did you mean {ends[near]!r}?"
    return did_you_mean(name, sorted({each.partition(JOINT)[0] for each in names}))
