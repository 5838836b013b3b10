"""Words of a product's text as numbers, by what a difference in them says; pure.

A size, an amount or a colour tells variants of one product apart. Another word with a digit (a
model, a year) tells products apart. Words of Chinese are taken character by character.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from orchestra.core.values import COLOURS

VARIES, NUMBERED = 1, 2  # in the two lowest bits of a word's number
KIND_BITS = 3

MORE_COLOURS = (
    "navy teal turquoise khaki cream gold golden silver maroon olive burgundy ivory charcoal lilac "
    "coral mint mustard tan gray violet magenta cyan indigo dark light multicolour multicolor"
)
SIZES = (
    "xxs xs s m l xl xxl xxxl 2xl 3xl 4xl 5xl small medium large extra-large oversize petite "
    "kingsize queensize size"
)
UNITS = (
    "mm cm m km kg g mg l ml cl dl oz fl lb lbs inch inches in ft yd pcs pc pieces piece pack "
    "packs ct count pint pints quart gal litre litres liter liters gram grams dozen"
)
CHINESE_UNITS = (
    "千克|公斤|毫克|毫升|厘米|毫米|英寸|件装|片装|支装|瓶装|袋装|"
    "升|克|斤|米|寸|码|件|片|支|瓶|袋|包|盒"
)
_COLOUR_ZH = "|".join((*COLOURS.values(), "灰", "金", "银", "青", "咖啡", "卡其", "米白", "藏青"))
_NUMBER = r"\d+(?:[.,]\d+)?(?:\s?[x×*]\s?\d+(?:[.,]\d+)?)*"
_WORD = re.compile(
    rf"(?P<varies>(?<![a-z0-9]){_NUMBER}\s?(?:{'|'.join(UNITS.split())})(?![a-z])"
    rf'|{_NUMBER}\s?(?:{CHINESE_UNITS}|["″”]|\'\'|%)'
    r"|(?<![a-z0-9])(?:eu|us|uk)\s?\d+(?:[.,]5)?(?![a-z0-9])"
    rf"|[深浅]?(?:{_COLOUR_ZH})色|[加特]?[大中小]号|[大中小均]码)"
    r"|(?P<cjk>[\u3400-\u9fff\uf900-\ufaff])"
    r"|(?P<word>\w+(?:['’-]\w+)*)"
)
_VARYING = frozenset((*COLOURS, *MORE_COLOURS.split(), *SIZES.split()))


@dataclass(frozen=True, slots=True)
class ProductWords:
    """A product's words, sorted: of its title, and of all its text (with the title's)."""

    title: array[int]
    all: array[int]

    @property
    def plain(self) -> list[int]:
        """The words that do not only tell variants apart."""
        return [token for token in self.all if token & KIND_BITS != VARIES]


def tokens_of(title: str, rest: Iterable[str]) -> ProductWords:
    """The words of a product, whatever their case, width, punctuation and order."""
    head = sorted(_numbers(title))
    body = [token for text in rest for token in _numbers(text)]
    return ProductWords(array("Q", head), array("Q", sorted((*head, *body))))


@dataclass(frozen=True, slots=True)
class Difference:
    """How two texts differ: `alike` is the share of their words that both have, 0 to 1.

    `varies`: in sizes or colours. `plain`: in other words; `numbered`: one of them has a digit;
    `renamed`: the title of each has a word that the other's has not.
    """

    alike: float
    varies: bool
    plain: bool
    numbered: bool
    renamed: bool


def difference(one: ProductWords, other: ProductWords) -> Difference:
    """Compare two texts word by word."""
    left, right = Counter(one.all), Counter(other.all)
    apart = [*(left - right), *(right - left)]
    plain = [token for token in apart if token & KIND_BITS != VARIES]
    heads = Counter(one.title), Counter(other.title)
    return Difference(
        alike=shared(one, other),
        varies=len(plain) < len(apart),
        plain=bool(plain),
        numbered=any(token & KIND_BITS == NUMBERED for token in plain),
        renamed=all(
            any(token & KIND_BITS != VARIES for token in rest)
            for rest in (heads[0] - heads[1], heads[1] - heads[0])
        ),
    )


def shared(one: ProductWords, other: ProductWords) -> float:
    """The share of the words of two texts that both have, 0 to 1."""
    left, right = set(one.all), set(other.all)
    both = len(left & right)
    if len(left) < len(one.all) and len(right) < len(other.all):
        both = (Counter(one.all) & Counter(other.all)).total()  # what both say twice counts twice
    words = len(one.all) + len(other.all) - both
    return both / words if words else 1.0


def _numbers(text: str) -> Iterator[int]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    for found in _WORD.finditer(plain):
        word = found[0]
        if found["varies"] or word in _VARYING:
            yield _number("".join(word.split()).replace("×", "x"), VARIES)
        else:
            yield _number(word, NUMBERED if any(map(str.isdigit, word)) else 0)


@lru_cache(maxsize=1 << 16)
def _number(word: str, kind: int) -> int:
    digest = blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & ~KIND_BITS | kind
