"""Whether a photo shows what a text sells, as a field of its own; pure.

The kinds that the text names are weighed against what the photo may show. All of them count: who
writes "long sleeve shirt" means one of two, and either may be shown. A photo is no fault because
its likeliest kind is another one, but because the kinds of the text are hardly likely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from orchestra.core.job import Field
from orchestra.core.text import occurrences
from orchestra.core.values import agree, lower

MATCH = "photo_match"  # the field's name
YES, DOUBTFUL, NO = "yes", "doubtful", "no"
MOST_NAMED = 3  # kinds of the text that a note names
LEAST_SHARE = 1e-5
OTHERS = 16  # kinds that what is left of one answer may fall on
# How likely a photo is a wrong one, by the log odds of the text's kinds: fitted by
# `python -m benchmarks.catalogs.verification --fit` on val photos, one in twenty of them wrong.
AT_EVENS, SLOPE = -7.1, -0.71
LEAST_FAULT = 0.12  # of a photo that a person should see: two thirds of those are wrong ones


@dataclass(frozen=True, slots=True)
class MatchRules:
    """What is compared: the field `of` says what the thing is.

    `terms` are its (lower-case word, value) pairs, the longest first, and `alike` groups of values
    that are not told apart. Of a model that gives one answer, and does not weigh the others, that
    answer counts against the text when it is as sure as `least`. The outcome is the field `name`.
    """

    of: str
    terms: tuple[tuple[str, str], ...]
    least: float = 0.8
    name: str = MATCH
    alike: tuple[frozenset[str], ...] = ()


def photo_match(rules: MatchRules, photo: Field | None, text: Field | None, words: str) -> Field:
    """`yes`, `doubtful` or `no`; the last two send the job to review.

    `confidence` says how likely that is; of a doubtful photo, how likely it is a wrong one.
    `photo` and `text` are what each side said the thing is, None where it was not asked, and
    `words` is the whole text. Without a value, the note says why nothing was compared.
    """
    if photo is None:
        return Field(note="no photo was looked at, or none of a kind that the model knows")
    named = _named(rules, text, words)
    if not named:
        return Field(note=f"the text names no {rules.of} to compare the photo with")
    share = _share(rules, photo, named)
    if share is None:
        return Field(note=photo.note or "how sure the model is of the photo is unknown")
    evidence = tuple(dict.fromkeys((*(text.evidence if text else ()), *photo.evidence)))
    wrong = faulty(share)
    if not photo.shares and photo.confidence is not None and photo.confidence < rules.least:
        wrong = min(wrong, LEAST_FAULT / 2)
    found = Field(source="both", evidence=evidence, model=photo.model)
    if wrong < LEAST_FAULT:
        return found.model_copy(update={"value": YES, "confidence": 1 - wrong})
    sold = " or ".join(repr(value) for value in named[:MOST_NAMED])
    note = f"the photo looks like {_looks_like(photo)}, the text sells {sold} ({share:.2f})"
    doubt = f"{note}: it may be a photo of another product"
    value = DOUBTFUL if wrong < 0.5 else NO
    said = {"value": value, "confidence": wrong, "note": note, "doubt": doubt}
    return found.model_copy(update=said)


def is_fault(match: Field) -> bool:
    """Whether a match says that the photo may be of another product."""
    return match.value in (DOUBTFUL, NO)


def faulty(share: float) -> float:
    """How likely a photo is a wrong one that shows the kinds of its text with `share`, 0 to 1."""
    held = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
    return 1 / (1 + math.exp(-SLOPE * (math.log(held / (1 - held)) - AT_EVENS)))


def _named(rules: MatchRules, text: Field | None, words: str) -> list[str]:
    """The kinds that the text names: what was read, and those of its first line that has any.

    A title says what is sold; what follows also says what it goes well with.
    """
    read = [text.value] if text is not None and isinstance(text.value, str) else []
    meaning = dict(rules.terms)
    lines = (occurrences(rules.terms, line) for line in words.splitlines())
    told = [meaning[lower(term)] for term, _ in next(filter(None, lines), ())]
    return list(dict.fromkeys([*read, *told]))


def _share(rules: MatchRules, photo: Field, named: list[str]) -> float | None:
    """How likely the photo shows one of the kinds `named`; None where nobody knows."""
    if photo.shares:
        return min(1.0, sum(p for value, p in photo.shares.items() if _is_one(value, named, rules)))
    if not photo.answered or photo.confidence is None:
        return None
    is_named = _is_one(photo.value, named, rules)
    return photo.confidence if is_named else (1 - photo.confidence) / OTHERS


def _is_one(value: Any, named: list[str], rules: MatchRules) -> bool:
    return any(agree(value, one, rules.alike) for one in named)


def _looks_like(photo: Field) -> str:
    """What the photo shows most likely, and how likely."""
    if not photo.shares:
        return f"{photo.value!r} ({photo.confidence or 0:.2f})"
    best = max(photo.shares, key=lambda value: photo.shares[value])
    return f"{best!r} ({photo.shares[best]:.2f})"
