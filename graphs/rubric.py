"""Whether a title or description is fit to be published, and better than what the shop had.

Not a graph: the rubric by which `graphs.listing` judges what was written. A text that says less
than its source, mixes languages, repeats itself or breaks off is worse than none: the shop's own
text stands then, without what may not be said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from orchestra.batch.recipe import Language
from orchestra.combine.ground import NOTHING_BANNED, Unsayable
from orchestra.core.text import clip
from orchestra.core.values import CJK

WORD = re.compile(
    r"[^\W_\u3400-\u9fff\uf900-\ufaff]+(?:['’.,-][^\W_\u3400-\u9fff]+)*|[\u3400-\u9fff]{2}"
)
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
EMPTY = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "for", "from", "has", "in", "is", "it", "its", "of",
     "on", "or", "that", "the", "these", "they", "this", "to", "was", "with", "meet", "here",
     "come", "comes", "der", "die", "das", "und", "mit", "von", "et", "de", "la", "le", "och",
     "med", "av", "en", "ett", "这是", "为您", "带来")
)  # fmt: skip
LOOSE_END = re.compile(
    r"(?:\b(?:an?|the|of|from|with|and|or|it|though|by|for|in|to|is|are)|[,:;&+(/-]|的|和|是|为|产自)\s*[.。]?$",
    re.I,
)
NOTHING_SAID = re.compile(
    r"^(?:this|it|these|they|here|that) (?:is|are)(?: an?| the)?\s*[.。]?$", re.I
)
REPEATED = re.compile(r"\b(\w{3,})(?:\s+\1\b)+", re.I)
MOST_LOST = 0.2  # of a source's words, for a text that stands in its place
MOST_REPEATS = 3  # of one word in a title


def faults(
    text: str,
    language: Language,
    *,
    source: str = "",
    title: str = "",
    banned: Unsayable = NOTHING_BANNED,
    is_own: bool = False,
) -> list[str]:
    """What is wrong with a written part; none where it may stand.

    `source` is the text that it would stand in the place of, `title` the listing's, which a
    description has to say more than. The shop's own sentences may end as they like.
    """
    if not text.strip():
        return ["it is empty"]
    word = banned.first(text)
    found = [] if word is None else [f"it uses {word!r}"]
    sentences = [one.strip() for one in SENTENCE.split(text) if one.strip()]
    broken = next(
        (one for one in sentences if LOOSE_END.search(one) or NOTHING_SAID.match(one)), None
    )
    if broken is not None and not is_own:
        found.append(f"{broken[-40:]!r} breaks off")
    if is_foreign(text, language):
        found.append("it is in another language")
    often = [word for word, times in Counter(_words(text)).items() if times > MOST_REPEATS]
    if often and not title:
        found.append(f"it says {often[0]!r} over and over")
    lost = _lost(text, source)
    if lost:
        found.append(f"it leaves out {', '.join(lost[:4])} of the source")
    if title and not set(_words(text)) - set(_words(title)):
        found.append("it says no more than the title")
    return found


def is_foreign(text: str, language: Language) -> bool:
    """Whether a text is not in `language`; names in letters may stand in a Chinese one."""
    return bool(CJK.search(text)) != (language == "zh")


def sayable(text: str, banned: Unsayable, most_chars: int, *, is_title: bool) -> str:
    """A shop's text without what may not be said: words of a title, sentences of a description."""
    if is_title:
        kept = text
        for start, end in reversed(banned.places(text)):
            kept = f"{kept[:start]} {kept[end:]}"
        kept = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(kept.split())).strip(" ,;:-–|/")
        kept = REPEATED.sub(r"\1", kept)
    else:
        sentences = (_without_claims(one.strip(), banned) for one in SENTENCE.split(text))
        kept = re.sub(r"(?<=[。！？]) ", "", " ".join(filter(None, sentences)))
    return clip(kept, most_chars).rstrip(" ,;:-–|/&+")


def _without_claims(sentence: str, banned: Unsayable) -> str:
    """The sentence, if it says nothing that may not be said; of a Chinese one its other clauses."""
    if banned.first(sentence) is None:
        return sentence
    end = sentence[-1:] if sentence[-1:] in "。！？" else ""
    clauses = sentence.removesuffix(end).split("，")
    kept = [one for one in clauses if banned.first(one) is None]
    return "，".join(kept) + end if len(clauses) > 1 and kept else ""


def joined(source: str, ours: str, told: Iterable[str]) -> str:
    """The shop's description, with our sentences that say a fact of `told` that it leaves out."""
    said = source.casefold()
    new = [fact for fact in told if fact.casefold() not in said]
    extra: list[str] = []
    for sentence in (one.strip() for one in SENTENCE.split(ours)):
        says = [fact for fact in new if fact.casefold() in sentence.casefold()]
        if says and not faults(sentence, "zh" if CJK.search(sentence) else "en"):
            extra.append(sentence)
            new = [fact for fact in new if fact not in says]
    gap = "" if CJK.search(source[-1:]) or source.endswith("。") else " "
    stop = "" if source[-1:] in ".!?。！？" else ("。" if CJK.search(source) else ".")
    return gap.join([f"{source}{stop}", *extra]) if extra else source


def _words(text: str) -> list[str]:
    return [word for word in map(str.casefold, WORD.findall(text)) if word not in EMPTY]


def _lost(text: str, source: str) -> list[str]:
    """Words of `source` that `text` leaves out, where those are numbers, or too many."""
    held = set(_words(text))
    squeezed = "".join(text.casefold().split())
    missing = [word for word in dict.fromkeys(_words(source)) if word not in held]
    missing = [word for word in missing if word not in squeezed]
    numbers = [word for word in missing if any(map(str.isdigit, word))]
    total = len(set(_words(source))) or 1
    return missing if numbers or len(missing) > MOST_LOST * total else []
