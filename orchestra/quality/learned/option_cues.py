"""Reads what the options of a question look like; it knows no topic and not which one is right."""

from __future__ import annotations

import math
import re
from itertools import combinations
from statistics import fmean

from orchestra.quality.learned.exercise import Exercise

NUMERIC = re.compile(r"[\s$€£¥\-−+]*[\d.,/]+\s*%?\s*[A-Za-z°/%^0-9.]{0,12}(?:\s[A-Za-z]{1,12})?")
FLAGS = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "option_all": r"(?i)\ball (?:of )?(?:the )?(?:above|these|are|of)",
        "option_none": r"(?i)\bnone (?:of )?(?:the )?(?:above|these|are|of)|neither",
        "option_both": r"(?i)\bboth\b",
        "option_roman": r"\bI(?:,| and| only)|\bII\b",
        "option_verdicts": r"(?i)\btrue\b.*\bfalse\b|\bwrong\b|\bno,|\byes,",
        "option_opposites": r"(?i)\bincrease.*\bdecrease|\brise.*\bfall|\bhigher.*\blower"
        r"|\bmore.*\bless",
    }.items()
}
SHARES = {
    name: re.compile(pattern)
    for name, pattern in {
        "option_digits": r"\d",
        "option_pairs": r"[,;]|\band\b",
        "option_capital": r"^[A-Z]",
        "option_reasons": r"(?i)\b(?:because|since|if|unless|but)\b",
    }.items()
}
MATHS = re.compile(r"[=+*/^<>|\\_~∃≡⊃∨∧•{}\[\]]")
NEGATION = re.compile(
    r"(?i)\b(?:not|except|never|least|false|incorrect|without|neither|nor|cannot|none|no)\b|n't\b"
)
USUAL_WORD_LENGTH = 5.0


def option_cues(question: Exercise, body: str) -> dict[str, float]:
    """Each cue by name; all NaN where the question has no options."""
    options = question.options
    if not options:
        return dict.fromkeys(NAMES, math.nan)
    joined = " ".join(options)
    lengths = [len(option) for option in options]
    return {
        "option_count": float(len(options)),
        "option_length": math.log1p(fmean(lengths)),
        "option_longest": math.log1p(max(lengths)),
        "option_spread": _spread([math.log1p(length) for length in lengths]),
        "option_part": sum(lengths) / max(len(body), 1),
        "option_numeric": fmean(bool(NUMERIC.fullmatch(option)) for option in options),
        "option_maths": math.log1p(len(MATHS.findall(joined))),
        "option_negations": math.log1p(len(NEGATION.findall(joined))),
        **{name: float(bool(p.search(joined))) for name, p in FLAGS.items()},
        **{name: fmean(bool(p.search(o)) for o in options) for name, p in SHARES.items()},
        **_likeness(question),
    }


def _likeness(question: Exercise) -> dict[str, float]:
    """How much the options repeat one another and the stem: combined answers share their words."""
    words = question.option_words
    sets = [{word.lower() for word in option} for option in words]
    overlaps = [len(a & b) / max(len(a | b), 1) for a, b in combinations(sets, 2)]
    stem = {word.lower() for word in question.words}
    every = [word for option in words for word in option]
    return {
        "option_overlap": fmean(overlaps),
        "option_most_overlap": max(overlaps),
        "option_same_start": 1 - len({o[0].lower() if o else "" for o in words}) / len(words),
        "option_same_end": 1 - len({o[-1].lower() if o else "" for o in words}) / len(words),
        "option_variety": len(set().union(*sets)) / max(len(every), 1),
        "option_from_stem": fmean(len(own & stem) / max(len(own), 1) for own in sets),
        "option_names": fmean(_capitals(option[1:]) for option in words),
        "option_word_length": fmean(map(len, every)) if every else USUAL_WORD_LENGTH,
    }


def _spread(values: list[float]) -> float:
    # statistics.pstdev is exact, and takes longer than all other cues together.
    mean = fmean(values)
    return math.sqrt(fmean((value - mean) ** 2 for value in values))


def _capitals(words: tuple[str, ...]) -> float:
    return fmean(word[0].isupper() for word in words) if words else 0.0


NAMES = tuple(option_cues(Exercise("", ("a", "b"), (), (("a",), ("b",))), "a b"))
