"""Ground: drops what a written text claims and its facts do not support. Pure text work.

A sentence stands when each of its words is in the facts, is a name of a field, or is one of
the connectives of its language. Chinese is matched greedily against the same terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from orchestra.core.values import lower

CJK = r"\u3400-\u9fff\uf900-\ufaff"
CJK_RUN = re.compile(rf"[{CJK}]+")
# A per cent or currency sign changes what a number claims, so it needs support as a word does.
WORD = re.compile(rf"[^\W_{CJK}]+(?:['’.,][^\W_{CJK}]+)*|[%‰℃°$€£¥￥]")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
LONGEST_TERM_CHARS = 12


@dataclass(frozen=True, slots=True)
class Support:
    """The words and Chinese terms that a text may use."""

    words: frozenset[str]
    terms: frozenset[str]
    quotes: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Iterable[str], connectives: Iterable[str] = ()) -> Support:
        """Support by `facts` (values as they were given) and `connectives`."""
        quotes = tuple(fact for fact in facts if fact)
        (words, terms), (linking, runs) = _parts(quotes), _parts(tuple(connectives))
        return cls(words | linking, terms | runs, quotes)


@lru_cache(maxsize=64)
def _parts(sources: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Words and Chinese runs; a recipe's connectives are those of all its rows."""
    words = {word.casefold() for source in sources for word in WORD.findall(source)}
    terms = {run for source in sources for run in CJK_RUN.findall(source)}
    return frozenset(words), frozenset(terms)


def unsupported(text: str, support: Support) -> list[str]:
    """Words of `text` that nothing supports, in order."""
    left = text
    for quote in sorted(support.quotes, key=len, reverse=True):
        left = _without(quote, left)
    words = [word for word in WORD.findall(left) if word.casefold() not in support.words]
    runs = [piece for run in CJK_RUN.findall(left) for piece in _foreign(run, support.terms)]
    return words + runs


def _places(phrase: str, text: str, marks: str = "") -> Iterator[tuple[int, int]]:
    """Where `phrase` stands in `text` as whole words, whatever their case.

    "red" is not in "hundred", and Chinese has no boundary. `marks` are characters that count as
    parts of a word too.
    """
    before, after = _edges(marks)
    opens, closes = WORD.match(phrase), WORD.match(phrase[-1:])
    lowered, sought = lower(text), lower(phrase)
    start = lowered.find(sought)
    while start >= 0:
        end = start + len(sought)
        stands = (not opens or before.match(text, start)) and (not closes or after.match(text, end))
        if stands:
            yield start, end
        start = lowered.find(sought, end if stands else start + 1)


@lru_cache(maxsize=64)
def _edges(marks: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What must hold before and behind a word; compiling the letter ranges takes milliseconds."""
    letter = rf"(?:[^\W{CJK}]|[{re.escape(marks)}])" if marks else rf"[^\W{CJK}]"
    return re.compile(rf"(?<!{letter})(?<!\d[.,])"), re.compile(rf"(?!{letter}|[.,]\d)")


def _without(phrase: str, text: str) -> str:
    """`text` with a space where `phrase` stood."""
    left, last = "", 0
    for start, end in _places(phrase, text):
        left += text[last:start] + " "
        last = end
    return left + text[last:]


def _foreign(run: str, terms: frozenset[str]) -> list[str]:
    """Characters of a Chinese run that no term covers, by greedy longest match."""
    missing: list[str] = []
    at = 0
    while at < len(run):
        step = next(
            (
                n
                for n in range(min(LONGEST_TERM_CHARS, len(run) - at), 0, -1)
                if run[at : at + n] in terms
            ),
            0,
        )
        if not step:
            missing.append(run[at])
        at += step or 1
    return missing


@dataclass(frozen=True, slots=True)
class Unsayable:
    """Words that a listing does not use; inside one of the phrases `allowed` they are no fault."""

    words: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def first(self, text: str) -> str | None:
        """The first of the words that `text` uses on its own: "free" is not in "sugar-free"."""
        words = self.words if self._holds_one(text) else ()
        return next((word for word in words if word and self._places(word, text)), None)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` they stand; of two that overlap, the longer one."""
        words = self.words if self._holds_one(text) else ()
        found = [place for word in words if word for place in self._places(word, text)]
        taken: list[tuple[int, int]] = []
        for start, end in sorted(found, key=lambda place: (place[0] - place[1], place)):
            if not any(start < last and first < end for first, last in taken):
                taken.append((start, end))
        return sorted(taken)

    def _holds_one(self, text: str) -> bool:
        """Whether one of the words may be in `text`: asked of every sentence, and mostly not so."""
        return _any_of(self.words).search(lower(text)) is not None

    def _places(self, word: str, text: str) -> list[tuple[int, int]]:
        found = list(_places(word, text, "-"))
        held = (
            [place for phrase in self.allowed for place in _places(phrase, text)] if found else []
        )
        return [
            (start, end)
            for start, end in found
            if not any(first <= start and end <= last for first, last in held)
        ]


@lru_cache(maxsize=64)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of `words`, in a text that is in lower case; without a word it matches nothing."""
    return re.compile("|".join(re.escape(lower(word)) for word in words if word) or r"(?!)")


NOTHING_BANNED = Unsayable()


def ground_text(
    text: str, support: Support, banned: Unsayable = NOTHING_BANNED
) -> tuple[str, list[str]]:
    """`text` without the sentences that are unsupported or use a banned word, and why each went."""
    kept: list[str] = []
    dropped: list[str] = []
    for sentence in SENTENCE_END.split(text):
        if sentence.strip() and sentence.strip() in map(str.strip, kept):
            continue  # said already
        reason = _objection(sentence, support, banned)
        if reason is None:
            kept.append(sentence)
        elif sentence.strip():
            dropped.append(f"{sentence.strip()!r}: {reason}")
    return _joined(kept), dropped


def _joined(sentences: Iterable[str]) -> str:
    """Sentences in one text, with a space behind each that does not end as Chinese ones do."""
    text = ""
    for part in filter(None, map(str.strip, sentences)):
        text += part if not text or text[-1] in "。！？" else f" {part}"
    return text


def _objection(sentence: str, support: Support, banned: Unsayable) -> str | None:
    word = banned.first(sentence)
    if word is not None:
        return f"uses the banned word {word!r}"
    if not WORD.search(sentence) and not CJK_RUN.search(sentence):
        return "says nothing"
    missing = unsupported(sentence, support)
    return f"the inputs do not support {', '.join(missing)}" if missing else None
