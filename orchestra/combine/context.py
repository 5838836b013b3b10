"""What a text says around a word: that it is not so, that it is said of something else, or which
role a place has. Pure text work.

"Not made in China" names China and means the opposite; "ships from Sweden, made in Vietnam" names
two places, of which one is the origin. A value is taken from a place of the text where it is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestra.combine.compound import is_part
from orchestra.core.job import Evidence, Field
from orchestra.core.text import occurrences
from orchestra.core.values import lower

CLAUSE = re.compile(
    r"[.,;:!?()\n\r，。；：！？、]|\s[-–—]\s|\b(?:but|however|aber|men|mais)\b|但", re.I
)
SAID = 2  # of a place: that the thing is made there
STATED = 0.9  # how sure a place is that the text itself calls the origin
CLAUSE_CHARS = 400  # before a word, at most; a clause of more is none
MOST_PLACES = 500  # that one text is judged by: a text of more repeats itself
NOT_SO = "but says that it is not so, or says it of something else"
MOST_WORDS = 6  # between a denial and what it denies
DENIED = re.compile(
    r"\b(?:not|no|non|never|without|isn't|isn’t|aren't|aren’t|doesn't|doesn’t|don't|don’t|neither"
    r"|nor|nicht|kein\w*|ohne|inte|utan|ej|sans|pas)\b(?!\s+(?:only|just|nur|bara|seulement)\b)"
    r"|不是|并非|不含|没有|无需|勿|非(?!常)|不(?!仅|但|只|锈)|无(?!线|袖|痕|缝|钢)",
    re.I,
)
OTHER = re.compile(
    r"\b(?:like|unlike|similar to|reminds? (?:one |you )?of|resembles?"
    r"|(?:rather |\w+er |more |less )than|compared (?:to|with)|instead of"
    r"|(?:substitute|alternative|replacement) (?:for|to)"
    r"|(?:shape|scent|smell|taste|flavou?r|hint|notes?|picture|print)s? of"
    r"|(?:goes|pairs|works|served?|eaten|enjoyed?|combined?|mixed?) (?:\w+ ){0,2}(?:with|on|in)"
    r"|ähnlich wie|wie|som|comme)\s+(?:(?:a|an|the|your|some|other)\s+)?(?:\w+\s+){0,2}$"
    r"|(?:类似|好像|就像|搭配|代替|替代|比|适用于|适合|兼容|用于)[^，。]{0,6}$",
    re.I,
)
FREE_OF = re.compile(r"[\s-]?free\b|[\s-]?fri\b|frei\b", re.I)
FOR_IT = re.compile(
    r"\b(?:for|compatible with|für|för|pour)\s+(?:(?:an?|the|your|all|any|most)\s+)?$", re.I
)
IMITATED = re.compile(
    r"\b(?:faux|fake|imitation|simulated|mock|pseudo)[\s-]$|\b(?:kunst|konst)-?$|[仿假]$|人造$",
    re.I,
)
MAN_MADE = re.compile(r"\b(?:artificial|synthetic|vegan)[\s-]$", re.I)
NATURAL = re.compile(r"(?:leather|suede|silk|wool|fur|down|linen|cashmere)\b", re.I)
LIKE_IT = re.compile(
    r"[\s-](?:look|effect|optik|imitat\w+|shaped|scented|flavou?red)\b|-like\b|imitat\w*\b|[味形]",
    re.I,
)
HEAD_END = re.compile(
    r"\s(?:with|in|for|from|by|of|and|without|on|mit|für|aus|med|för|från)\s|[,;:(|/+&]|\s[-–—]\s"
    r"|[，（]",
    re.I,
)
MADE = re.compile(
    r"\b(?:made|manufactur\w+|produce[dr]?|product|origin\w*|grown|harvested|sewn|woven|tillverk\w+"
    r"|hergestellt|ursprung\w*|fabriqué)\b|产自|产地|原产|制造|生产",
    re.I,
)
MADE_OF = re.compile(
    r"\b(?:from|of|with|using)\s(?!love\b|pride\b|care\b)(?:\w+\s){0,4}from\s", re.I
)
MADE_AFTER = re.compile(r"\s?(?:制造|生产|出产|原产|(?:造|产|制)(?=[\s，。；、,;.的]|$))")
OTHER_PLACE = re.compile(
    r"\b(?:ships?|shipped|shipping|deliver\w*|dispatch\w*|sent|sold|stock\w*|warehouse\w*|stored"
    r"|packed|packaged|bottled|filled|abgefüllt|verpackt|förpackad"
    r"|design\w*|inspired|distribut\w+|imported (?:by|to|into)|store in|shop in|office in|versand"
    r"|skickas|levereras|expédié)\b|发货|配送|仓库|设计|销往|分装|灌装",
    re.I,
)


def meant(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] is said of the thing, and not denied."""
    clause = _clause(text, start)
    words = clause.split()
    near = clause if len(words) <= MOST_WORDS else " ".join(words[-MOST_WORDS:]) + " "
    if MAN_MADE.search(near) and NATURAL.match(text, start):  # synthetic rubber is rubber
        return False
    before = (DENIED, OTHER, FOR_IT, IMITATED)
    behind = (FREE_OF, LIKE_IT)
    return not (
        any(one.search(near) for one in before) or any(one.match(text, end) for one in behind)
    )


def as_origin(text: str, start: int, end: int) -> int:
    """How a place at `start` to `end` is named in its clause: `SAID` to be where the thing is made,
    0 as where something else happens, 1 as neither.
    """
    if MADE_AFTER.match(text, end):
        return SAID
    before = _clause(text, start)
    made = [found.end() for found in MADE.finditer(before)]
    other = [found.end() for found in OTHER_PLACE.finditer(before)]
    if not made and not other:
        return 1
    if max(made, default=-1) <= max(other, default=-1):
        return 0
    return 1 if MADE_OF.search(before, max(made)) else SAID


def in_context(
    field: Field,
    text: str,
    terms: Sequence[tuple[str, str]],
    *,
    is_origin: bool = False,
    is_kind: bool = False,
    head: tuple[int, int] | None = None,
) -> Field:
    """A choice that was read off `text`, by a place where it is meant, or an abstention.

    `terms` are all (lower-case word, value) pairs of the choice, the longest first. Of an origin
    the place is taken that is said to be one, before one that is only named. A choice that
    `is_kind` says what the thing is, which no part of a compound does. With the `head` of
    the product's own name, the last word that names a kind there says what it is: an orange bell
    pepper is a pepper, and what a description mentions is not what is sold.
    """
    if field.source != "text" or not isinstance(field.value, str) or not field.evidence:
        return field
    spans = [proof for proof in field.evidence if proof.start is not None and proof.end is not None]
    if not spans:  # a label of the whole text
        return field
    own = (spans[0].start or 0, spans[0].end or 0)
    is_best = head is None and (not is_origin or as_origin(text, *own) == SAID)
    if is_best and _is_said(text, own, is_kind):  # as of nearly all
        return field
    meaning = dict(terms)
    named_at = occurrences(terms, text)[:MOST_PLACES]
    places = [(start, start + len(word)) for word, start in named_at]
    fit = {
        (start, end): as_origin(text, start, end) if is_origin else 1
        for start, end in places
        if _is_said(text, (start, end), is_kind)
    }
    fit = {place: role for place, role in fit.items() if role}
    named = [] if head is None else [p for p in fit if head[0] <= p[0] and p[1] <= head[1]]
    if named and own != named[-1]:
        return _moved(field, text, named[-1], meaning)
    if head is not None and is_kind and not named:
        parts = [p for p in places if head[0] <= p[0] and p[1] <= head[1] and is_part(text, p[1])]
        if parts:
            return _open(field, f"{text[slice(*parts[-1])]!r} is a part of another thing's name")
    if own in fit and fit[own] == max(fit.values()):
        return field
    if own not in places and _is_said(text, own, is_kind):
        return field
    if not fit:
        said = text[slice(*own)]
        return _open(field, f"the text names {said!r}, {NOT_SO}")
    return _moved(field, text, max(fit, key=lambda place: (fit[place], -place[0])), meaning)


def _open(field: Field, why: str) -> Field:
    return Field(note=why, model=field.model, prompt_hash=field.prompt_hash)


def _is_said(text: str, place: tuple[int, int], is_kind: bool) -> bool:
    return meant(text, *place) and not (is_kind and is_part(text, place[1]))


def stated_origin(text: str, terms: Sequence[tuple[str, str]]) -> Field | None:
    """The one place that a text calls the origin ("越南制造"), where no model read it."""
    named_at = occurrences(terms, text)[:MOST_PLACES]
    places = [(start, start + len(word)) for word, start in named_at]
    said = [one for one in places if as_origin(text, *one) == SAID and meant(text, *one)]
    meaning = dict(terms)
    values = {meaning[lower(text[slice(*one)])] for one in said}
    if len(values) != 1:
        return None
    start, end = said[0]
    proof = Evidence(kind="text", text=text[start:end], start=start, end=end)
    return Field(value=values.pop(), source="text", confidence=STATED, evidence=(proof,))


def _moved(field: Field, text: str, place: tuple[int, int], meaning: Mapping[str, str]) -> Field:
    """`field` by another place of the text."""
    words = text[slice(*place)]
    proof = Evidence(kind="text", text=words, start=place[0], end=place[1])
    return field.model_copy(update={"value": meaning[lower(words)], "evidence": (proof,)})


def head_of(own: Evidence) -> tuple[int, int]:
    """Where the name of a thing says what it is: before what it has, is for, or comes in."""
    start, words = own.start or 0, own.text or ""
    stop = HEAD_END.search(words)
    return start, start + (stop.start() if stop else len(words))


def all_in_context(
    fields: Mapping[str, Field],
    text: str,
    terms: Mapping[str, Sequence[tuple[str, str]]],
    origins: frozenset[str],
    heads: Mapping[str, tuple[int, int]],
    identity: str | None,
) -> Mapping[str, Field]:
    """`fields` with each choice of `terms` in its context; those of `origins` name a place, those
    of `heads` are named in that part of the text, and `identity` says what the thing is.
    """
    return {
        name: in_context(
            field,
            text,
            terms[name],
            is_origin=name in origins,
            is_kind=name == identity,
            head=heads.get(name),
        )
        if name in terms
        else field
        for name, field in fields.items()
    }


def _clause(text: str, end: int) -> str:
    """What stands before `end` in its clause, as far back as a clause reaches."""
    first = max(0, end - CLAUSE_CHARS)
    start = max((found.end() for found in CLAUSE.finditer(text, first, end)), default=first)
    return text[start:end]
