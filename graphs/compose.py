"""Compose: patterns that hold a written text to its facts while it is being written.

Pure text work. A sentence is an opener, a subject, a link and a predicate, each made of
facts inside the phrases that say what they are ("from Italy"). A model held to such a pattern
chooses among them; it cannot misspell a fact, invent one, say it of something else, or say it
twice in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra.core.values import CJK

MOST_SENTENCES = 3
BARE = ("{}",)
SUBJECT = "subject"

Wording = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sentences:
    """What sentences are made of: facts by name for subject and predicate, and fixed words.

    `openers` and `links` go by the fact that they lead to: "is a" to the category, "comes" to the
    origin. That fact is then said, with those before it as its adjectives and those behind it.
    The opener of `SUBJECT` leads to the subject. Without `links` the facts follow each other.
    `told` names the facts that the subject's own words say, so it is not said again of it.
    """

    subject: Mapping[str, str]
    predicate: Mapping[str, str]
    wording: Wording
    openers: Mapping[str, Sequence[str]]
    links: Mapping[str, Sequence[str]]
    quotes: Sequence[str]
    told: frozenset[str] = frozenset()

    def phrases(self, name: str) -> list[str]:
        """How the predicate's fact `name` is said."""
        value = self.predicate[name]
        return [phrase.replace("{}", value) for phrase in self.wording.get(name, BARE)]

    def is_bare(self, name: str) -> bool:
        """Whether the fact may stand without a phrase."""
        return "{}" in self.wording.get(name, BARE)


def title_pattern(values: Sequence[str], always: Container[str] = ()) -> str:
    """A title: some of the values, in order, each at most once, and those of `always` surely.

    Raises `ValueError` without values, of which no title can be made.
    """
    if not values:
        raise ValueError("no value may stand in a title")
    gap = "(?: |, |)" if any(map(CJK.search, values)) else "(?: |, )"
    needed = {at for at, value in enumerate(values) if value in always}
    return f"^{_some_in_order([[value] for value in values], gap, needed)}$"


def description_pattern(parts: Sentences, *, chinese: bool) -> str:
    """A few sentences, each composed of `parts` or quoted whole.

    Raises `ValueError` when there is nothing to say.
    """
    gap, stop, space = ("(?:，| |)", "。", "") if chinese else (" ", r"\.", " ")
    sentences = [*map(re.escape, parts.quotes)]
    composed = _composed(parts, gap, chinese)
    if composed:
        sentences.append(composed + stop)
    if not sentences:
        raise ValueError("there is no fact to write about")
    sentence = f"(?:{'|'.join(sentences)})"
    return f"^{sentence}(?:{space}{sentence}){{0,{MOST_SENTENCES - 1}}}$"


def _composed(parts: Sentences, gap: str, chinese: bool) -> str:
    """opener? subject (link predicate)? | opener predicate | predicate, as one alternative."""
    subject = _some_in_order([[value] for value in parts.subject.values()], gap)
    comma = "" if chinese else "(?:,)?"
    bodies = []
    if subject:
        untold = {name: v for name, v in parts.predicate.items() if name not in parts.told}
        rest = replace(parts, predicate=untold)
        tails = _led(rest, rest.links, gap)
        if not parts.links:
            tails = _following(rest, list(rest.predicate), gap)
        tail = f"(?:{comma}{gap}(?:{'|'.join(tails)}))?" if tails else ""
        bodies.append(f"{_lead(parts.openers.get(SUBJECT, ()), gap)}{subject}{tail}")
    bodies += _led(parts, parts.openers, gap)
    bodies += _following(parts, [name for name in parts.predicate if parts.is_bare(name)], gap)
    return f"(?:{'|'.join(bodies)})" if bodies else ""


def _led(parts: Sentences, words: Mapping[str, Sequence[str]], gap: str) -> list[str]:
    """Fixed words with the fact they lead to, its adjectives before it and the rest behind."""
    return [
        f"{_any_of(leading)}{gap}{_around(parts, head, gap)}"
        for head, leading in words.items()
        if head in parts.predicate and leading
    ]


def _following(parts: Sentences, names: Sequence[str], gap: str) -> list[str]:
    """Facts on their own: the last bare one is said, the others may stand around it."""
    bare = [name for name in names if parts.is_bare(name)]
    if not names:
        return []
    return [_around(parts, (bare or names)[-1], gap, leads=True)]


def _around(parts: Sentences, head: str, gap: str, *, leads: bool = False) -> str:
    """The fact `head`, with the facts that may stand before and behind it in order."""
    names = list(parts.predicate)
    place = names.index(head)
    before = [name for name in names[:place] if parts.is_bare(head) and parts.is_bare(name)]
    behind = "".join(f"(?:{gap}{_forms(parts.phrases(name))})?" for name in names[place + 1 :])
    if leads:
        starts = [*before, head]
        return _any_start([parts.phrases(name) for name in starts], gap) + behind
    adjectives = "".join(f"(?:{_forms(parts.phrases(name))}{gap})?" for name in before)
    return adjectives + _forms(parts.phrases(head)) + behind


def _any_start(elements: Sequence[Sequence[str]], gap: str) -> str:
    """The last element, with any of those before it in order; the first has a capital."""
    options = []
    for first in range(len(elements)):
        middle = [f"(?:{gap}{_forms(wordings)})?" for wordings in elements[first + 1 : -1]]
        last = f"{gap}{_forms(elements[-1])}" if first < len(elements) - 1 else ""
        capital = _any_of(form[:1].upper() + form[1:] for form in elements[first])
        options.append(capital + "".join(middle) + last)
    return f"(?:{'|'.join(options)})"


def _lead(words: Sequence[str], gap: str) -> str:
    return f"(?:{_any_of(words)}{gap})?" if words else ""


def _forms(pieces: Iterable[str], *, leads: bool = False) -> str:
    """Any of the pieces, as it is or with a small first letter; a leading one, with a capital."""
    forms = {form for piece in pieces for form in (piece, piece[:1].lower() + piece[1:])}
    if leads:
        forms |= {form[:1].upper() + form[1:] for form in forms}
    return _any_of(sorted(forms, key=lambda form: (-len(form), form)))


def _any_of(forms: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, forms))})"


def _some_in_order(
    elements: Sequence[Sequence[str]], gap: str, needed: Collection[int] = ()
) -> str:
    """One or more of the elements, each in one of its wordings, in order, with gaps between.

    The elements at the places `needed` are always there.
    """
    rest = ""
    options: list[str] = []
    for at, wordings in reversed(list(enumerate(elements))):
        if not any(place < at for place in needed):
            options.append(_forms(wordings, leads=True) + rest)
        may_lack = "" if at in needed else "?"
        rest = f"(?:{gap}{_forms(wordings)}){may_lack}{rest}"
    return f"(?:{'|'.join(reversed(options))})" if options else ""
