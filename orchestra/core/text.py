"""Reads a text: sanitised for a prompt, its sentences and measures, and where a value stands in it.

Pure text work. Offsets count characters of the text given, because sanitising keeps its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from orchestra.core.job import Evidence
from orchestra.core.values import CJK, lower

# A stop ends a sentence before a space or the end of the line: not in "1.5" or "www.arla.se".
SENTENCE_END = re.compile(r"[.!?]+['’)\]]*(?=\s|$)|[。！？]+['’”」』）]*")
# Stops that never end a sentence, and stops that end one unless it goes on in lower case.
ALWAYS_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:approx|ca|cf|co|dr|e\.g|i\.e|incl|mr|mrs|ms|prof|st|vs)$", re.IGNORECASE
)
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:art|bl\.a|corp|dept|etc|inc|ltd|max|min|nos?|nr|pcs|t\.ex|vol)$",
    re.IGNORECASE,
)
COLUMN_PREFIX = re.compile(r"^\w[\w \-/()&#]{0,40}: ")
LABEL = re.compile(r"\w ?[:：]")  # "origin: Italy" is a list, not a sentence
SENTENCE_ENDS = (".", "!", "?", "。", "！", "？")
CLOSING = "'’)]”」』）"
LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
INSTRUCTION_LIKE = re.compile(
    r"\b(ignore|disregard|forget|override|bypass)\b.{0,40}"
    r"\b(instruction|prompt|rule|guideline|direction)s?\b"
    r"|(忽略|忽视|无视|忘记|不要理会).{0,20}(指令|提示|说明|规则|要求)",
    re.IGNORECASE,
)
LEAST_SENTENCE_CHARS = 8
MOST_SENTENCES = 12
MOST_MEASURES = 40
LETTER = r"[^\W\d_\u3400-\u9fff\uf900-\ufaff]"  # Chinese stands beside a number without a space
MEASURE = re.compile(
    rf"(?<!{LETTER})(?<![\d_.,])(?<!\d )(?<!per )(?:(?:ca|approx|about)\.? ?|约)?\d+(?:[.,]\d+)?"
    r"(?: ?x ?\d+(?:[.,]\d+)?)? ?"
    r"(?:(?:kg|mg|g|gram|grams|kilo|l|dl|cl|ml|liter|litre|liters|litres|oz|lb|lbs|pcs|pieces?|"
    rf"pack|packs|pairs?|cm|mm|m|st)(?!{LETTER}|[\d_])|千克|公斤|毫升|厘米|克|升|斤|件|双|个(?!月)|只|盒"
    r"|瓶|包)",
    re.IGNORECASE,
)
SANITISED = str.maketrans({'"': "'", "\\": "/"})
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
MARKUP = re.compile(r"<(?=[|｜]|\s*/?\s*data\b|image_placeholder>)", re.IGNORECASE)


def sanitise(text: str) -> str:
    """Text as it is put into a prompt: same length, no quotes, controls or role marks.

    The quote behind a number is one of inches, and has a sign of its own: 32" is 32″.
    """
    text = _with_inches(text)
    return MARKUP.sub(" ", CONTROL.sub(" ", text.translate(SANITISED)))


def _with_inches(text: str) -> str:
    """`text` with the sign of inches behind a number, where no quotation is open."""
    parts = text.split('"')
    made, is_open = parts[0], False
    for part in parts[1:]:
        is_inches = not is_open and made[-1:].isdigit() and not part[:1].isalnum()
        is_open ^= not is_inches
        made += ("″" if is_inches else '"') + part
    return made


def occurrences(terms: Sequence[tuple[str, str]], text: str) -> list[tuple[str, int]]:
    """Where terms stand in `text` as (the words there, offset), in order of the text.

    `terms` come longest first: a term inside a longer one that matched does not count.
    """
    lowered = lower(text)
    taken: list[tuple[int, ...]] = []  # in order; none overlaps another
    for term in [term for term, _ in terms if term in lowered]:  # few of hundreds
        start = lowered.find(term)
        while start >= 0:
            end = start + len(term)
            before = bisect_left(taken, (end,)) - 1  # the last that begins before this one's end
            inside = before >= 0 and taken[before][1] > start
            stands = not inside and _stands_alone(lowered, start, end)
            if stands:
                insort(taken, (start, end))
            start = lowered.find(term, end if stands else start + 1)
    return [(text[start:end], start) for start, end in taken]


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] is whole words and numbers; Chinese needs no boundary."""
    before = start > 0 and _joins(text[start - 1], text[start])
    after = end < len(text) and _joins(text[end - 1], text[end])
    in_number = _is_decimal(text, start - 1) or _is_decimal(text, end)
    return not (before or after or in_number)


def _joins(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and not CJK.match(left) and not CJK.match(right)


def _is_decimal(text: str, at: int) -> bool:
    """Whether text[at] is the point or comma inside a number."""
    return (
        0 < at < len(text) - 1
        and text[at] in ".,"
        and text[at - 1].isdigit()
        and text[at + 1].isdigit()
    )


def sentences(text: str, most_chars: int) -> list[str]:
    """Sentences of `text` fit to quote: no links, no instructions, within `most_chars`.

    What follows an instruction on its line is left out too: it may be what it asks for.
    """
    found: dict[str, None] = {}
    for line in text.split("\n"):
        for sentence in _split(COLUMN_PREFIX.sub("", line)):
            if INSTRUCTION_LIKE.search(sentence):
                break
            if _is_quotable(sentence, most_chars):
                found[sentence] = None
    return list(found)[:MOST_SENTENCES]


def _split(line: str) -> Iterator[str]:
    """The sentences of one line, their end marks included."""
    start = 0
    for match in SENTENCE_END.finditer(line):
        if match.group() == "." and _is_abbreviation(
            line[start : match.start()], line[match.end() :]
        ):
            continue
        yield line[start : match.end()].strip()
        start = match.end()
    yield line[start:].strip()


def _is_abbreviation(before: str, after: str) -> bool:
    """Whether the stop between the two belongs to a word: "ca. 180 g", "Dr. Oetker"."""
    following = after.lstrip()[:1]
    if ALWAYS_ABBREVIATED.search(before):
        return bool(following)
    goes_on = following.isdigit() or following.islower()
    return goes_on and ABBREVIATION.search(before) is not None


def _is_quotable(sentence: str, most_chars: int) -> bool:
    least = 4 if CJK.search(sentence) else LEAST_SENTENCE_CHARS
    return (
        least <= len(sentence) <= most_chars
        and sentence.rstrip(CLOSING).endswith(SENTENCE_ENDS)
        and not LINK.search(sentence)
        and not LABEL.search(sentence)
    )


def measures(text: str) -> list[str]:
    """Numbers with a unit, as they stand in `text`: "ca 180g", "1,5 l", "500克"."""
    return list(dict.fromkeys(MEASURE.findall(text)))[:MOST_MEASURES]


def find_span(value: str, text: str) -> Evidence | None:
    """The first place of `text` where `value` stands as whole words, or None."""
    term = lower(value.strip())
    spot = next(iter(occurrences(((term, value),), text)), None) if term else None
    if spot is None:
        return None
    words, start = spot
    return Evidence(kind="text", text=words, start=start, end=start + len(words))


def clip(text: str, most_chars: int) -> str:
    """The beginning of `text`, cut at a space where there is one near the end."""
    if len(text) <= most_chars:
        return text
    head = text[: max(0, most_chars)]
    cut = max(head.rfind(" "), head.rfind("\n"))
    return head[:cut] if cut > most_chars * 0.8 else head
