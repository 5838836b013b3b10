"""Reads from a question what may make it hard for a model, subject aside; it knows no labels.

Cues describe form (length, sentences, numbers, negation, how it asks, what its options look like)
and no topic, so that what is learnt on some subjects may hold on others. Counts are log(1 + n).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestra.quality.learned.exercise import Exercise, read
from orchestra.quality.learned.option_cues import MATHS, NEGATION, option_cues
from orchestra.quality.learned.workload import word_counts, workload

# Of another version, a policy's trees would split on other columns: raise it with every change.
CUES_VERSION = 1

NUMBER = re.compile(r"(?<![\w.])[$€£]?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")
SENTENCE_END = re.compile(r"[.!?。！？]+(?=\s|$)|[。！？]")
LAST_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
LONG_WORD = 8

STEM_COUNTS = {
    name: re.compile(pattern)
    for name, pattern in {
        "commas": r"[,，、]",
        "lines": r"\n",
        "quotes": r'["“「]',
        "brackets": r"[(（]",
        "colons": r"[:;：；]",
        "percents": r"%",
        "money": r"[$€£¥]",
        "years": r"\b(?:1[5-9]|20)\d\d\b",
        "acronyms": r"\b[A-Z]{2,}\b",
        "variables": r"\b[b-zB-HJ-Z]\b",
    }.items()
} | {"maths": MATHS, "negations": NEGATION}
STEM_FLAGS = {
    name: re.compile(pattern)
    for name, pattern in {
        "capital_negation": r"\b(?:NOT|EXCEPT|LEAST|FALSE|INCORRECT)\b",
        "blank": r"__",
        "supposes": r"(?i)\b(?:suppose|assume|assuming|consider|given|let)\b",
        "statements": r"(?:Statement|Scenario|Premise|Argument) ?(?:1|I|A)\b|\bI\.\s",
        "according": r"(?i)according to",
        "person": r"(?i)year-old|patient|woman|man\b",
        "passage": r"(?i)refers? to the following|passage|excerpt|following information",
    }.items()
}
ASK_FLAGS = {
    name: re.compile(rf"(?i)\b(?:{pattern})\b")
    for name, pattern in {
        "which": "which",
        "what": "what",
        "how": "how",
        "why": "why",
        "who": "who",
        "when": "when",
        "where": "where",
        "how_many": "how (?:many|much|long|far|old)",
        "following": "following",
        "most": "best|most|primarily|mainly",
        "defines": "called|known as|term|defined|refers? to|means?|example of",
        "modal": "would|should|will|could|may|might|can",
        "computes": "find|calculate|compute|determine|evaluate|solve|approximately|value",
    }.items()
}
PRONOUNS = frozenset({"he", "she", "his", "her", "him", "they", "their", "them"})
FIRST_PERSON = frozenset({"i", "my", "me", "mine"})
SECOND_PERSON = frozenset({"you", "your"})


def cues(text: str) -> dict[str, float]:
    """Each cue by name, in a fixed order; what describes options is NaN where there are none."""
    question = read(text)
    body = " ".join((question.stem, *question.options))
    return {
        **_length_cues(question, body),
        **_number_cues(question.stem),
        **{name: _log(len(p.findall(question.stem))) for name, p in STEM_COUNTS.items()},
        **{name: float(bool(p.search(question.stem))) for name, p in STEM_FLAGS.items()},
        **{name: _log(count) for name, count in word_counts(question.words).items()},
        "workload": workload(question),
        **_ask_cues(question),
        **option_cues(question, body),
    }


def matrix(texts: Sequence[str]) -> NDArray[np.float64]:
    """The cues of each text, shape (texts, NAMES)."""
    rows = [list(cues(text).values()) for text in texts]
    return np.array(rows, dtype=np.float64).reshape(len(texts), len(NAMES))


def _log(count: float) -> float:
    return math.log1p(count)


def _length_cues(question: Exercise, body: str) -> dict[str, float]:
    words = [*question.words, *(word for option in question.option_words for word in option)]
    total, stem = max(len(words), 1), max(len(question.words), 1)
    sentences = max(len(SENTENCE_END.findall(question.stem)), 1)
    return {
        "characters": _log(len(body)),
        "words": _log(len(words)),
        "stem_words": _log(len(question.words)),
        "sentences": _log(sentences),
        "words_a_sentence": _log(stem / sentences),
        "word_length": sum(map(len, words)) / total,
        "long_words": sum(len(word) > LONG_WORD for word in words) / total,
        # Divided by n**0.8 rather than n: the share of new words falls with length by itself.
        "variety": len({word.lower() for word in words}) / total**0.8,
        "capitals": sum(word[0].isupper() for word in question.words) / stem,
    }


def _number_cues(stem: str) -> dict[str, float]:
    numbers = NUMBER.findall(stem)
    latex = "\\" in stem or re.search(r"\$[^$]*[a-z\\^][^$]*\$", stem)
    return {
        "numbers": _log(len(numbers)),
        "different_numbers": _log(len(set(numbers))),
        "decimals": _log(sum("." in number for number in numbers)),
        "digits": sum(map(str.isdigit, stem)) / max(len(stem), 1),
        "latex": float(bool(latex)),
    }


def _ask_cues(question: Exercise) -> dict[str, float]:
    """How it asks: the form of the last sentence, and who is spoken of."""
    stem = question.stem.rstrip("\"' ”")
    last = LAST_SENTENCE.split(question.stem)[-1]
    lower = [word.lower() for word in question.words]
    total = max(len(lower), 1)
    return {
        "ask_words": _log(len(last.split())),
        "ends_asking": float(stem.endswith(("?", "？"))),
        "ends_open": float(not stem.endswith(("?", ".", "？", "。"))),
        "pronouns": sum(word in PRONOUNS for word in lower) / total,
        "first_person": sum(word in FIRST_PERSON for word in lower) / total,
        "second_person": sum(word in SECOND_PERSON for word in lower) / total,
        **{name: float(bool(p.search(last))) for name, p in ASK_FLAGS.items()},
    }


NAMES = tuple(cues(""))
