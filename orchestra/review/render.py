"""Renders the workbench's page and its parts; it knows no HTTP and decides nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment

from orchestra.pages.templates import templates
from orchestra.pages.wording import LANGUAGES
from orchestra.review.bulk import Preview
from orchestra.review.card import Item, ProductCard
from orchestra.review.desk import Desk
from orchestra.review.history import HistoryEntry
from orchestra.review.index import NONE_GIVEN, Choice
from orchestra.review.words import word, word_or

PAGE_ROWS = 15
FACETS = ("kind", "state", "field", "status", "sure")
GROUPINGS = ("kind", "reason", "field", "status", "sure", "value")
MOST_GROUPS = 100
USUAL = Choice()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows: which fields, from which place of their order on, in which language."""

    choice: Choice = USUAL
    group: str = ""
    start: int = 0
    language: str = "en"

    def address(self, **changes: Any) -> str:
        """The query of this page with `changes`; a change of what is looked at starts anew."""
        names = {key: told for key, told in changes.items() if key in Choice.__slots__}
        choice = replace(self.choice, **names)
        query: dict[str, Any] = choice.given()
        group, start = changes.get("group", self.group), changes.get("start", 0)
        query |= {"group": group} if group else {}
        query |= {"start": start} if start else {}
        return "?" + urlencode({**query, "lang": changes.get("language", self.language)})


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue as it is shown: cards or groups, and how many there are in all."""

    fields: int
    rows: int
    cards: Sequence[ProductCard]
    groups: Sequence[tuple[str, int]]
    facets: Mapping[str, Sequence[tuple[str, int]]]
    next: int | None
    previous: int | None


def work_of(desk: Desk, shown: Shown) -> Queue:
    """Find what a page shows."""
    with desk.lock:
        index, choice = desk.index, shown.choice
        mask = index.mask(choice)
        cards, groups, onward, back = [], list[tuple[str, int]](), None, None
        if shown.group:
            counted = index.counts(choice, shown.group)
            groups = sorted(counted, key=lambda one: -one[1])
        else:
            rows = index.page(choice, mask, shown.start, PAGE_ROWS + 1)
            cards = desk.cards(rows[:PAGE_ROWS], mask)
            if len(rows) > PAGE_ROWS:
                onward = index.position(choice, rows[PAGE_ROWS])
            if shown.start:
                back = index.before(choice, mask, shown.start, PAGE_ROWS)
        return Queue(
            fields=int(mask.sum()),
            rows=index.row_count(mask),
            cards=cards,
            groups=groups,
            facets={name: index.counts(choice, name) for name in FACETS},
            next=onward,
            previous=back,
        )


class Renderer:
    """Renders for one desk; `base` is what its addresses begin with."""

    def __init__(self, desk: Desk, base: str) -> None:
        self._desk = desk
        self._base = base

    def page(self, shown: Shown) -> str:
        """The whole page."""
        return self._render("page.html.j2", shown, **self._work(shown))

    def work(self, shown: Shown) -> str:
        """The part of it that filters change."""
        return self._render("work.html.j2", shown, **self._work(shown))

    def history(self, shown: Shown, entries: Sequence[HistoryEntry], older: int | None) -> str:
        """The page of what was decided."""
        return self._render("history.html.j2", shown, entries=entries, older=older)

    def items(self, shown: Shown, items: Sequence[Item]) -> dict[str, str]:
        """Single fields of the page, by their place in it."""
        return {
            f"item-{item.place}": self._render("item.html.j2", shown, item=item) for item in items
        }

    def progress(self, shown: Shown) -> str:
        """How much is left."""
        return self._render("progress.html.j2", shown)

    def preview(self, shown: Shown, found: Preview, group: str, *, is_changed: bool) -> str:
        """What a bulk action will change."""
        return self._render(
            "preview.html.j2", shown, found=found, group=group, is_changed=is_changed
        )

    def _work(self, shown: Shown) -> dict[str, Any]:
        return {"work": work_of(self._desk, shown)}

    def _render(self, template: str, shown: Shown, **values: Any) -> str:
        language = shown.language
        return (
            _environment()
            .get_template(template)
            .render(
                t=partial(word, language),
                named=partial(_named, language),
                shown=shown,
                choice=shown.choice,
                base=self._base,
                desk=self._desk,
                progress=self._desk.index.progress(),
                languages=LANGUAGES,
                facet_names=FACETS,
                groupings=GROUPINGS,
                none_given=NONE_GIVEN,
                most_groups=MOST_GROUPS,
                **values,
            )
        )


def _named(language: str, dimension: str, value: str) -> str:
    """How a word of a dimension is shown: a field's name as it is, a kind in the language."""
    if value in ("", NONE_GIVEN):
        return word(language, f"{dimension}_")
    if dimension == "field":
        return value
    return word_or(language, f"{dimension}_{value}", value)


def percent(part: float) -> int:
    """A share as a whole number of hundredths."""
    return math.floor(100 * part + 1e-9)


@cache
def _environment() -> Environment:
    return templates("orchestra.review", "pages", percent=percent)


def asset(name: str) -> str:
    """A style or script of this package."""
    return (Path(__file__).parent / "pages" / name).read_text(encoding="utf-8")
