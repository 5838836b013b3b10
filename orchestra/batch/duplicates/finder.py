"""Finds duplicates and variants within and across the rows of a table, by text and photo.

Rows are added one by one, each photo once. What is held of a row is its words as numbers and 768
bytes for each new photo; rows beyond `MOST_ROWS` are counted and not looked at. No row is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestra.batch.duplicates.groups import KINDS, Groups, Kin
from orchestra.batch.duplicates.photos import Photos
from orchestra.batch.duplicates.texts import KnownTexts, Likeness
from orchestra.batch.duplicates.tokens import difference, tokens_of

MOST_ROWS = 200_000
LEAST_WITH_PHOTO = 0.5  # of words, for rows with one photo to be the same product
MOST_TRIED = 8  # texts beside one photo that another is compared with

PictureOf = Callable[[str], bytes | None]  # a photo's small picture, by its content hash


@dataclass(frozen=True, slots=True)
class _Row:
    ordinal: int
    row_id: str
    photos: tuple[int, ...]  # numbers of the table's distinct pictures


class Finder:
    """Looks for duplicates among the rows that are added."""

    def __init__(self, picture_of: PictureOf, most_rows: int = MOST_ROWS) -> None:
        self._picture_of = picture_of
        self._most_rows = most_rows
        self._rows: list[_Row] = []
        self._texts = KnownTexts()
        self._photos = Photos()
        self._numbers: dict[str, int | None] = {}  # of photos, by content hash
        self._links: list[Likeness] = []
        self._left_out = 0

    def add(self, ordinal: int, row_id: str, texts: Sequence[str], photos: Sequence[str]) -> None:
        """Add a row: its text columns, the title first, and its photos' content hashes."""
        if len(self._rows) >= self._most_rows:
            self._left_out += 1
            return
        place = len(self._rows)
        numbers = [number for key in photos if (number := self._number(key)) is not None]
        self._rows.append(_Row(ordinal, row_id, tuple(numbers)))
        title, *rest = texts or ("",)
        self._links += self._texts.add(place, tokens_of(title, rest))

    def _number(self, key: str) -> int | None:
        if key not in self._numbers:
            content = self._picture_of(key)
            self._numbers[key] = None if content is None else self._photos.add(content)
        return self._numbers[key]

    def groups(self) -> Groups:
        """All groups of the rows that were added."""
        same, alike = Joined(), dict[int, float]()
        for one, two, share in self._photos.pairs():
            same.join(one, two)
            alike[two] = max(share, alike.get(two, 0.0))
        by_text = {kind: Joined() for kind in KINDS}
        for link in self._links:
            by_text[link.kind].join(link.like, link.row)
        links = [*self._links, *self._by_photo(same, alike, by_text)]
        return Groups(tuple(self._members(links)), len(self._rows), self._left_out)

    def _by_photo(
        self, same: Joined, alike: dict[int, float], by_text: dict[str, Joined]
    ) -> Iterator[Likeness]:
        """What rows with one photo are of each other."""
        beside: dict[int, list[int]] = {}
        for place, row in enumerate(self._rows):
            looks = [same.root(number) for number in row.photos]
            if len(set(looks)) < len(looks):
                yield Likeness("repeat", place, place, "one photo twice in the product", 1.0)
            for look, number in dict(zip(looks, row.photos, strict=True)).items():
                rows = beside.setdefault(look, [])
                if rows:
                    yield self._beside(place, rows, alike.get(number, 1.0), by_text)
                if len(rows) < MOST_TRIED:
                    rows.append(place)

    def _beside(
        self, place: int, rows: list[int], alike: float, by_text: dict[str, Joined]
    ) -> Likeness:
        """What a row is of the earlier rows with its photo."""
        for kind in ("duplicate", "variant"):
            roots = by_text[kind]
            for other in rows:
                if roots.root(other) == roots.root(place):
                    return Likeness(kind, place, other, "same photo", alike)
        mine = self._texts.of(place)
        for other in rows:
            theirs = self._texts.of(other)
            if mine is None and theirs is None:
                return Likeness("duplicate", place, other, "same photo, no text", alike)
            if mine is None or theirs is None:
                continue
            apart = difference(mine, theirs)
            if apart.alike >= LEAST_WITH_PHOTO and not (apart.numbered or apart.renamed):
                kind = "variant" if apart.varies else "duplicate"
                return Likeness(
                    kind, place, other, "same photo, alike text", min(alike, apart.alike)
                )
        return Likeness("photo", place, rows[0], "same photo, other text", alike)

    def _members(self, links: Sequence[Likeness]) -> Iterator[Kin]:
        """The rows of each group, in order, each with all that tells why it is in it."""
        found: list[tuple[int, str, dict[int, list[Likeness]]]] = []
        for kind in KINDS:
            joined, why = Joined(), dict[int, list[Likeness]]()
            for link in (one for one in links if one.kind == kind):
                joined.join(link.like, link.row)
                why.setdefault(link.row, []).append(link)
            groups: dict[int, dict[int, list[Likeness]]] = {}
            for place in sorted(joined.known):
                groups.setdefault(joined.root(place), {})[place] = why.get(place, [])
            found += ((first, kind, rows) for first, rows in groups.items())
        for number, (_, kind, rows) in enumerate(sorted(found, key=lambda one: one[:2]), start=1):
            for place, why in rows.items():
                yield self._kin(number, kind, place, why)

    def _kin(self, number: int, kind: str, place: int, why: Sequence[Likeness]) -> Kin:
        row, like = self._rows[place], self._rows[why[0].like if why else place]
        return Kin(
            group=number,
            kind=kind,
            ordinal=row.ordinal,
            row_id=row.row_id,
            like=like.ordinal,
            like_id=like.row_id,
            why="; ".join(dict.fromkeys(link.why for link in why)) or "first of the group",
            alike=max((link.alike for link in why), default=1.0),
        )


class Joined:
    """Numbers that belong together, each set by its smallest (union-find)."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    @property
    def known(self) -> list[int]:
        """The numbers that were joined with one."""
        return list(self._above)

    def root(self, number: int) -> int:
        """The smallest number that belongs with this one."""
        while (above := self._above.get(number, number)) != number:
            self._above[number] = self._above.get(above, above)
            number = above
        return number

    def join(self, one: int, two: int) -> None:
        """Put two numbers and what belongs with them together."""
        for number in (one, two):
            self._above.setdefault(number, number)
        low, high = sorted((self.root(one), self.root(two)))
        self._above[high] = low
