"""Guesses how many steps a question takes from the quantities and relations it states.

A prior, not a measurement: it knows no labels. Standardised cues are added with equal weights,
which is hard to beat where nothing has been fitted (Dawes, The robust beauty of improper linear
models, 1979). It ranks what a policy's training texts do not cover, and is a cue among others
where they do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from orchestra.quality.learned.exercise import Exercise

KINDS = {
    name: frozenset(words.split())
    for name, words in {
        "number_words": "two three four five six seven eight nine ten eleven twelve twenty thirty"
        " forty fifty sixty hundred thousand million half halves twice thrice double triple third"
        " thirds quarter quarters fourth fifth fifths dozen couple pair",
        "rates": "each every per apiece daily weekly monthly yearly hourly rate speed average"
        " percent percentage ratio fraction proportion",
        "comparisons": "more less fewer than greater larger smaller older younger longer shorter"
        " taller heavier faster slower times as",
        "changes": "total altogether remaining remain remains left rest combined sum difference"
        " increase increased decrease decreased increases decreases gives gave spends spent earns"
        " earned costs cost pays paid buys bought sells sold saves saved loses lost uses used",
        "times": "second seconds minute minutes hour hours day days week weeks month months year"
        " years today tomorrow yesterday morning",
        "conditions": "if then when unless until only after before first next finally because"
        " since therefore although while",
    }.items()
}
UNIT_NAMES = (
    *("second", "minute", "hour", "day", "week", "month", "year", "dollar", "cent"),
    *("inch", "foot", "yard", "mile", "meter", "kilometer", "pound", "ounce", "gram"),
    *("kilogram", "liter", "gallon", "cup", "quart", "pint"),
)
UNITS = {f"{name}s": name for name in UNIT_NAMES} | {name: name for name in UNIT_NAMES}
UNITS |= {"feet": "foot", "inches": "inch"}
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
PART = re.compile(
    r"(?i)%|\d/\d|\d\.\d|\bpercent\b|\b(?:half|thirds?|quarters?|fourths?|fifths?|tenths?)\b"
)
SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$)")
# Mean and spread of log(1 + n) in problems in words; only the spreads' ratios matter for ranking.
USUAL = {
    "words": (3.8, 0.45),
    "sentences": (1.4, 0.35),
    "quantities": (1.6, 0.45),
    "different": (1.4, 0.45),
    "relations": (1.3, 0.55),
    "changes": (0.9, 0.55),
    "parts": (0.35, 0.5),
    "units": (0.7, 0.5),
    "conditions": (0.5, 0.5),
}
MOST = 2.5  # spreads from the mean at which a cue counts no further: a page is no 500 steps


def word_counts(words: Sequence[str]) -> dict[str, int]:
    """How many words of each kind there are."""
    lower = [word.lower() for word in words]
    return {name: sum(word in kind for word in lower) for name, kind in KINDS.items()}


def workload(question: Exercise) -> float:
    """The mean of the standardised cues: 0 for a usual problem in words, more for more steps."""
    scores = []
    for name, count in _counts(question).items():
        mean, spread = USUAL[name]
        scores.append(max(-MOST, min(MOST, (math.log1p(count) - mean) / spread)))
    return math.fsum(scores) / len(scores)


def _counts(question: Exercise) -> dict[str, int]:
    stem = question.stem
    kinds = word_counts(question.words)
    numbers = DIGITS.findall(stem)
    lower = [word.lower() for word in question.words]
    worded = [word for word in lower if word in KINDS["number_words"]]
    units = {UNITS[word] for word in lower if word in UNITS}
    return {
        "words": len(question.words) + len(numbers),
        "sentences": max(1, len(SENTENCE_END.findall(stem))),
        "quantities": len(numbers) + len(worded),
        "different": len({*numbers, *worded}),
        "relations": kinds["rates"] + kinds["comparisons"],
        "changes": kinds["changes"],
        "parts": len(PART.findall(stem)),
        "units": len(units),
        "conditions": kinds["conditions"],
    }
