"""Says which encoding makes text out of bytes: how probable letters are, and letters side by side.

Counts come from `letters.json.gz` (see `workers/training/texts/letters.py`). A table has few
letters outside ASCII, so methods that wait for a page of text guess wrongly: of product names that
were tried, charset-normalizer took Polish for Czech and Chinese from Taiwan for Japanese.
"""

from __future__ import annotations

import gzip
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

# Code pages with what is lost by assuming them unasked, in nats. The common ones come first.
CODE_PAGES: dict[str, float] = {
    "cp1252": 0.0,
    "gb18030": 0.0,
    "cp932": 0.0,
    "cp949": 0.5,
    "cp950": 0.5,
    "cp1251": 1.0,
    "cp1253": 1.0,
    "cp1255": 1.0,
    "cp1256": 1.0,
    "cp874": 1.0,
    "cp1250": 2.0,
    "cp1254": 2.0,
    "euc_jp": 2.0,
    "cp1257": 3.0,
    "cp1258": 3.0,
    "iso8859_2": 3.5,
    "iso8859_7": 3.5,
    "iso8859_9": 4.0,
    "iso8859_15": 4.0,
    "big5hkscs": 4.0,
    "koi8_r": 4.0,
    "cp866": 5.0,
    "cp850": 6.0,
    "cp852": 6.0,
    "mac_roman": 6.0,
    "iso8859_5": 6.0,
    "mac_cyrillic": 7.0,
    "cp437": 7.0,
}
ESCAPED = {b"\x1b$": "iso2022_jp"}
UNKNOWN, CONTROL, NO_CHARACTER, HALF_WIDTH_KANA = -19.0, -22.0, -25.0, -8.5
SIGNS = {
    **dict.fromkeys("–—’‘“”„«»°€£®™×½¼¾·•…²©±µ§‚№¿¡", -6.5),
    **dict.fromkeys("、。，．：；！？（）「」『』・～ー　％【】《》", -5.0),
    "\xa0": -6.5,
    "³": -8.0,
}
NOT_IN_WORDS = frozenset("³²¹¼½¾£¥§«±µ¿¡¤¦¨¬¯¶¸")
NOT_BEFORE_WORDS = (NOT_IN_WORDS | {"»"}) - frozenset("£¥¿¡«")
STANDS_AFTER_WORDS = frozenset("®™°©²³")
OPENING = frozenset("‚„")  # quotation marks that no word ends with: code pages of DOS have é there
SPACE_LOG, OTHER_ASCII_LOG = -1.8, -4.0
OF_PAIR, OF_LETTER = 0.7, 0.3  # a letter's probability: how much its neighbour says
CASE_LOG, CAPITALS_LOG, MIXED_LOG, NEAR_LOG, BROKEN_LOG = -4.0, -0.7, -7.0, -3.0, -5.0
NEAR = frozenset(("LJ", "JL", "LK", "KL", "JK", "KJ"))  # scripts that stand side by side
SURE_NATS = 4.0  # two code pages cannot be told apart by less
LEAST_MEAN_LOG = -16.5  # of a character, in what people write
FEW_BYTES, LEAST_MEAN_OF_FEW_LOG = 3, -8.0  # of so little any code page makes letters


class CodePage(NamedTuple):
    """A code page, how probable it is (nats), and the mean of a character beyond ASCII."""

    encoding: str
    log: float
    mean: float


class Letters(NamedTuple):
    """Logarithms of letters (lower case), and of a second letter after a first."""

    alone: dict[str, float]
    pairs: dict[str, float]


@cache
def letters() -> Letters:
    """The counts, read once."""
    packed = (files(__package__ or "orchestra.batch.tables") / "letters.json.gz").read_bytes()
    content = json.loads(gzip.decompress(packed))
    step = content["step"]
    alone = {
        letter: -int(level) * step for level, row in content["letters"].items() for letter in row
    }
    pairs = {
        row[at : at + 2]: -int(level) * step
        for level, row in content["pairs"].items()
        for at in range(0, len(row), 2)
    }
    return Letters(alone, pairs)


def guesses(lines: Sequence[bytes]) -> list[CodePage]:
    """The code pages that `lines` may be written in, the most probable first."""
    joined = b"\n".join(lines)
    escaped = [name for mark, name in ESCAPED.items() if mark in joined]
    pages = {name: 0.0 for name in escaped} or CODE_PAGES
    found: list[CodePage] = []
    for name, cost in pages.items():
        log, count = plausibility(line.decode(name, "surrogateescape") for line in lines)
        found.append(CodePage(name, log - cost, log / count if count else 0.0))
    return sorted(found, key=lambda guess: -guess.log)


def best_guess(lines: Sequence[bytes]) -> tuple[CodePage | None, str]:
    """The code page of `lines`, and another that may as well be it, or "".

    None where no code page makes text of them; of a few bytes only the commonest is believed.
    """
    found = guesses(lines)
    if found[0].encoding in ESCAPED.values():
        return found[0], ""
    if sum(byte > 0x7F for line in lines for byte in line) <= FEW_BYTES:
        usual = [one for one in found if one.encoding == "cp1252"]
        best = next((one for one in usual if one.mean > LEAST_MEAN_OF_FEW_LOG), None)
        return best, ""
    best = found[0]
    if best.mean < LEAST_MEAN_LOG:
        return None, ""
    said = _decoded(lines, best.encoding)
    others = (one for one in found[1:] if best.log - one.log < SURE_NATS)
    return best, next((one.encoding for one in others if _decoded(lines, one.encoding) != said), "")


def _decoded(lines: Sequence[bytes], encoding: str) -> list[str]:
    return [line.decode(encoding, "replace") for line in lines]


def plausibility(texts: Iterable[str]) -> tuple[float, int]:
    """The logarithm of what stands beyond ASCII in `texts`, with its neighbours, and how many
    characters that are."""
    known, log, count = letters(), 0.0, 0
    for text in texts:
        earlier = before = " "
        for character in text:
            if character > "\x7f" or before > "\x7f":
                log += _log(before, character, known) + _case(earlier, before, character)
                count += 1
            earlier, before = before, character
    return log, count


def _log(before: str, character: str, known: Letters) -> float:
    if "\udc80" <= character <= "\udcff":
        return NO_CHARACTER
    lowered = character.lower()
    alone = _alone(character, lowered, known)
    script, previous = _script(character), _script(before)
    if script and (before == " " or script == previous):
        pair = known.pairs.get((before if before == " " else before.lower()) + lowered)
        mixed = OF_LETTER * math.exp(alone) + (0.0 if pair is None else OF_PAIR * math.exp(pair))
        return alone if script in "JK" else math.log(mixed)
    return alone + _border(before, character, previous, script)


def _case(earlier: str, before: str, character: str) -> float:
    """What it costs to write wOrd or WOrd."""
    is_odd = (character.isupper() and before.islower()) or (
        character.islower() and before.isupper() and earlier.isupper()
    )
    return CASE_LOG if is_odd else CAPITALS_LOG * (character.isupper() and before.isupper())


def _border(before: str, character: str, previous: str, script: str) -> float:
    """What it costs that the two stand side by side."""
    if script and previous:
        return NEAR_LOG if previous + script in NEAR else MIXED_LOG
    if previous and character > "\x7f" and not script:
        if character in STANDS_AFTER_WORDS and character not in "²³":
            return 0.0
        is_sign = (
            character in NOT_IN_WORDS
            or character in OPENING
            or unicodedata.category(character)[0] == "S"
        )
        return BROKEN_LOG if is_sign else 0.0
    return BROKEN_LOG if script and before in NOT_BEFORE_WORDS else 0.0


def _alone(character: str, lowered: str, known: Letters) -> float:
    if character < "\x80" and not character.isalpha():
        return SPACE_LOG if character == " " else OTHER_ASCII_LOG
    found = max(known.alone.get(lowered, UNKNOWN), SIGNS.get(character, UNKNOWN))
    if found == UNKNOWN:
        if "\uff61" <= character <= "\uff9f":
            return HALF_WIDTH_KANA
        return CONTROL if unicodedata.category(character)[0] == "C" else UNKNOWN
    return found


SCRIPTS = (
    (0x0250, "L"),
    (0x0370, ""),
    (0x0400, "G"),
    (0x0530, "C"),
    (0x0590, "X"),
    (0x0600, "H"),
    (0x0780, "A"),
    (0x0E00, "X"),
    (0x0E80, "T"),
    (0x1E00, "X"),
    (0x1F00, "L"),
    (0x2E80, "X"),
    (0xA000, "J"),
    (0xAC00, "X"),
    (0xD7B0, "K"),
    (0xFF66, "X"),
    (0xFFA0, "J"),
    (0x110000, "X"),
)


def _script(character: str) -> str:
    """Latin, Greek, Cyrillic, Hebrew, Arabic, Thai, Japanese and Chinese, Korean, another or ""."""
    if not character.isalpha():
        return "T" if "\u0e00" <= character <= "\u0e7f" else ""
    code = ord(character)
    return next(script for end, script in SCRIPTS if code < end)
