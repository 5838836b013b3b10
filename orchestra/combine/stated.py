"""What words that were read off a text come to: a multipack whole, "none" as nothing. Pure.

"Brand: none" states no brand, a size is nobody's name, and of "6 x 1 l" the litre alone is not
what is sold. A summary that asks a question, or claims what may not be claimed, is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestra.combine.ground import NOTHING_BANNED, Unsayable
from orchestra.core.job import Evidence, Field

Kind = Literal["span", "sentence", "measure"]

NOTHING = re.compile(
    r"(?:none|n/?a|not (?:applicable|available|specified|stated)|unknown|unspecified|unbranded"
    r"|generic|various|other|misc|tb[ad]|null|nil|no (?:brand|name)|[xX]{3,}|[-–—_.?/*]+"
    r"|(?:as |see |same as )(?:shown|pictured|above|below|description|photo|picture|image)"
    r"|无(?:品牌)?|没有|暂无|不详|未知|其他|其它|见(?:描述|详情|图)|如图(?:所示)?|详见.*)",
    re.I,
)
UNIT = (
    r"(?:[mcdk]?[lgm]|cl|mg|kg|oz|lbs?|inch(?:es)?|in|ft|[\"″′']|毫升|升|克|千克|公斤|斤|厘米|米)"
)
SIZE = re.compile(
    rf"\d[\d.,]*\s*[x×*]\s*\d.*|\d[\d.,]*\s*(?!m$|M$){UNIT}\.?", re.I
)  # "3M" is a brand
TIMES_BEFORE = re.compile(r"(?<![\d.,])\d{1,3}\s?[x×*]\s?$", re.I)
TIMES_AFTER = re.compile(
    r"\s?[x×*]\s?\d{1,3}[罐瓶盒袋包支]"
    r"|(?:\s(?:cans?|bottles?|cartons?|packs?|bags?|tins?|jars?|pouches|sachets|flaskor|burkar"
    r"|dosen|flaschen))?\s?[x×*]\s?\d{1,3}(?![\d.,]|\s?(?:[x×*]|[a-z]{1,2}\b))",
    re.I,
)
ASKS = re.compile(r"[?？]\s*$")


@dataclass(frozen=True, slots=True)
class Stated:
    """What fields hold that are copied from a text: their kind, which are proper names, and what
    no sentence of theirs may say."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    proper: frozenset[str] = frozenset()
    unsayable: Unsayable = NOTHING_BANNED

    def of(self, reading: Mapping[str, Field], text: str) -> dict[str, Field]:
        """`reading` of `text`, each field as what it comes to."""
        return {name: self._one(name, one, text) for name, one in reading.items()}

    def _one(self, name: str, read: Field, text: str) -> Field:
        match self.kinds.get(name):
            case "span":
                return stated_name(read, is_proper=name in self.proper)
            case "measure":
                return whole_measure(read, text)
            case "sentence":
                return stated_sentence(read, self.unsayable)
            case None:
                return read


def is_nothing(words: str) -> bool:
    """Whether `words` are what people write where there is nothing to write."""
    return NOTHING.fullmatch(words.strip()) is not None


def stated_name(read: Field, *, is_proper: bool) -> Field:
    """A span that says something: not "none", and a proper name no size."""
    value = read.value
    if read.source != "text" or not isinstance(value, str):
        return read
    if is_nothing(value):
        return _unanswered(read, f"the text says {value!r}, which names nothing")
    if is_proper and SIZE.fullmatch(value.strip()):
        return _unanswered(read, f"{value!r} is a size")
    return read


def whole_measure(read: Field, text: str) -> Field:
    """A measure with how many of it are sold together, where the text says so beside it.

    Of several places that say the same amount the one with a multiple counts.
    """
    value = read.value
    if read.source != "text" or not isinstance(value, str) or not read.evidence:
        return read
    own = read.evidence[0].start
    places = [found.start() for found in re.finditer(re.escape(value), text)]
    for start in sorted(places, key=lambda place: place != own):
        end = start + len(value)
        before = TIMES_BEFORE.search(text[max(0, start - 8) : start])
        after = TIMES_AFTER.match(text, end)
        if before is None and after is None:
            continue
        start -= len(before[0]) if before else 0
        end = after.end() if after else end
        proof = Evidence(kind="text", text=text[start:end], start=start, end=end)
        return read.model_copy(update={"value": text[start:end], "evidence": (proof,)})
    return read


def stated_sentence(read: Field, unsayable: Unsayable) -> Field:
    """A sentence that says something, and nothing that may not be said."""
    value = read.value
    if read.source != "text" or not isinstance(value, str):
        return read
    if ASKS.search(value):
        return _unanswered(read, f"{value[-40:]!r} asks a question")
    word = unsayable.first(value)
    return read if word is None else _unanswered(read, f"it says {word!r}")


def _unanswered(read: Field, why: str) -> Field:
    return Field(note=why, model=read.model, prompt_hash=read.prompt_hash)
