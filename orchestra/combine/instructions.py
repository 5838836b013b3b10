"""Finds where a text tells a model what to do, instead of what is sold. Pure text work.

A text of a table is data. One that speaks to the machine goes to a person, and nothing is read off
the place where it does: whatever stands there may be what somebody wants to have read. The patterns
are the user's: `instructions` of a recipe. They find plain forms, not every form there is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from orchestra.core.job import Evidence, Field
from orchestra.core.text import INSTRUCTION_LIKE, find_span

INSTRUCTIONS = "instructions"  # the field's name
MOST_SHOWN, SHOWN_CHARS = 5, 80
MOST_FOUND = 50
ENDS = " \n.,;:!?>*。，；：！？"
UNSEEN = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad")
# An instruction takes its sentence with it, and the rest of its line: that may be what it wants.
STOPS = re.compile(r"[\n!?。！？]|\.(?=\s|$)")
BEGINS = re.compile(r"[\n.!?。！？]|(?:^|(?<=\n))[^\n:：]{1,40}[:：] ")


@dataclass(frozen=True, slots=True)
class Instructions:
    """Patterns of one way to instruct a model (regular expressions, in any case), and what it is.

    Raises `re.error` for a pattern that is none.
    """

    patterns: tuple[str, ...]
    reason: str
    _any: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joined = "|".join(f"(?:{pattern})" for pattern in self.patterns) or r"(?!)"
        object.__setattr__(self, "_any", re.compile(joined, re.IGNORECASE))

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where `text` instructs in this way."""
        for found in self._any.finditer(text):
            end = found.end()
            # What ends the sentence before may be what a pattern knows an order by.
            yield end - len(found[0].lstrip(ENDS)), end


OVERRIDING = Instructions((INSTRUCTION_LIKE.pattern,), "it tells a model to leave its instructions")


@dataclass(frozen=True, slots=True)
class Instructed:
    """Where a text instructs: each place with its reason; the parts that nothing is read off."""

    text: str
    found: tuple[tuple[int, int, str], ...] = ()
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def rest(self) -> str:
        """The text with those parts blank; its length and lines stay."""
        made, at = [], 0
        for start, end in self.parts:
            made += [self.text[at:start], " " * (end - start)]
            at = end
        return "".join([*made, self.text[at:]])

    def holds(self, proof: Evidence) -> bool:
        """Whether an evidence lies in one of the parts."""
        if proof.kind != "text" or proof.start is None or proof.end is None:
            return False
        return any(proof.start < end and start < proof.end for start, end in self.parts)


@lru_cache(maxsize=8)
def instructed(text: str, lists: tuple[Instructions, ...]) -> Instructed:
    """Where `text` tells a model what to do; a job asks more than once."""
    plain, places = _plain(text)
    found = sorted(
        (places[start], _end(text, places[end - 1] + 1), one.reason)
        for one in lists
        for start, end in one.places(plain)
        if end > start
    )[:MOST_FOUND]
    parts: list[tuple[int, int]] = []
    for start, end, _ in found:
        first, last = _begin(text, start), text.find("\n", end)
        last = len(text) if last < 0 else last
        if parts and first <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], last))
        else:
            parts.append((first, last))
    return Instructed(text, tuple(found), tuple(parts))


def _begin(text: str, at: int) -> int:
    """Where the sentence begins that text[at] is in; the name of a column is not of it."""
    line = text.rfind("\n", 0, at) + 1
    return max((found.end() for found in BEGINS.finditer(text, line, at)), default=line)


def _end(text: str, at: int) -> int:
    """Where the sentence ends that goes on at text[at]."""
    found = STOPS.search(text, at)
    return len(text) if found is None else found.start()


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """`text` as it is read aloud: wide letters narrow, unseen marks gone; each letter's place."""
    if text.isascii():
        return text, range(len(text))
    letters: list[str] = []
    places: list[int] = []
    for at, letter in enumerate(text):
        if letter in UNSEEN:
            continue
        narrow = unicodedata.normalize("NFKC", letter) if "\uff01" <= letter <= "\uff5e" else letter
        letters.append(narrow)
        places.append(at)
    return "".join(letters), places


def without_instructed(
    reading: Mapping[str, Field], told: Instructed, lists: tuple[Instructions, ...]
) -> dict[str, Field]:
    """A reading without what it took from an instruction: by another place, or an abstention."""
    return {name: _clean(one, told, lists) for name, one in reading.items()}


def _clean(one: Field, told: Instructed, lists: tuple[Instructions, ...]) -> Field:
    printed = [proof for proof in one.evidence if proof.kind == "image" and _says(proof, lists)]
    bad = [proof for proof in one.evidence if told.holds(proof)]
    if not (bad or printed):
        return one
    others = [find_span(proof.text or "", told.rest) for proof in bad]
    moved = [proof for proof in others if proof is not None]
    if not printed and len(moved) == len(bad):
        kept = tuple(proof for proof in one.evidence if proof not in bad)
        return one.model_copy(update={"evidence": (*kept, *moved)})
    said = (bad or printed)[0].text or ""
    where = "on the photo" if printed else "in the text"
    return Field(
        note=f"{said[:SHOWN_CHARS]!r} stands only in an instruction {where}, and is not taken",
        model=one.model,
        prompt_hash=one.prompt_hash,
    )


def _says(proof: Evidence, lists: tuple[Instructions, ...]) -> bool:
    return bool(proof.text) and bool(instructed(proof.text, lists).found)


def instructions_of(
    told: Instructed, readings: Sequence[Mapping[str, Field]], lists: tuple[Instructions, ...]
) -> Field | None:
    """The instructions in a text and on its photos, as a field that sends the job to review; None
    without one.
    """
    proofs = [
        Evidence(kind="text", text=told.text[start:end], start=start, end=end)
        for start, end, _ in told.found
    ]
    reasons = [reason for _, _, reason in told.found]
    for one in (one for reading in readings for one in reading.values()):
        for proof in one.evidence:
            if proof.kind == "image" and proof.text and proof not in proofs:
                on_photo = instructed(proof.text, lists).found
                proofs += [proof] * bool(on_photo)
                reasons += [f"{reason} (on the photo)" for _, _, reason in on_photo[:1]]
    if not proofs:
        return None
    named = [(proof.text or "")[:SHOWN_CHARS] for proof in proofs]
    lines = dict.fromkeys(
        f"{name!r}: {reason}" for name, reason in zip(named, reasons, strict=True)
    )
    note = "; ".join(list(lines)[:MOST_SHOWN])
    is_seen = all(proof.kind == "image" for proof in proofs)
    return Field(
        value=list(dict.fromkeys(named)),
        source="photo" if is_seen else "text",
        confidence=1.0,
        evidence=tuple(proofs),
        note=note,
        doubt=f"it instructs a model: {note}",
    )
