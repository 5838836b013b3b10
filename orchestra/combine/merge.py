"""Merge: joins what photo and text say, field by field; contradictions are kept and flagged.

Pure. It knows no model and no graph: readings in, fields out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestra.combine.claims import CLAIMS, Claims, claims_of
from orchestra.combine.context import all_in_context, head_of, stated_origin
from orchestra.combine.instructions import (
    INSTRUCTIONS,
    OVERRIDING,
    Instructions,
    instructed,
    instructions_of,
    without_instructed,
)
from orchestra.combine.match import MatchRules, is_fault, photo_match
from orchestra.combine.own import own_value, with_own
from orchestra.combine.stated import Stated
from orchestra.core.job import Field
from orchestra.core.values import agree, comparable, fuller

Side = Literal["image", "text"]


@dataclass(frozen=True, slots=True)
class MergeRules:
    """How readings are weighed.

    `prefer` names the side whose value stands when both answer. A reading under its side's least
    confidence does not count. One whose confidence is unknown (its model reports none) counts,
    but stands behind the other side's where that one is known. Two readings contradict each other
    only when the photo's confidence is `contradiction_confidence` or more and they are not in one
    group of `alike[field]`. `sources[field]` limits where a field may come from.

    A field of `seen` is better seen than read: there the photo's value stands whenever it is sure
    enough to contradict. `identity` names the field that says what the thing is: a photo that
    contradicts the text there may show another product, and nothing else is taken from it. With
    `match` the two are compared by all that the photo may show, which decides whether they
    contradict each other, and is told in a field of its own. A field of `required` that nobody
    answers sends the job to review. A choice of `terms`, by the (word, value) pairs that mean it,
    is taken from a place of the text where it is meant, one of `origins` from where the text says
    that the thing is made. Of a field of `columns` the table's own column says what it is; that
    of `named_by` names the thing, and so says its `identity`. What of `claims` stands in the text
    is a field of its own, and so is where it instructs a model (`instructions`): nothing is taken
    from there. `stated` says what fields come to that are copied from the text.
    """

    prefer: Side = "image"
    least_photo_confidence: float = 0.0
    least_text_confidence: float = 0.0
    contradiction_confidence: float = 0.5
    alike: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    identity: str | None = None
    match: MatchRules | None = None
    required: frozenset[str] = frozenset()
    terms: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    origins: frozenset[str] = frozenset()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named_by: str | None = None
    claims: tuple[Claims, ...] = ()
    stated: Stated = field(default_factory=Stated)
    instructions: tuple[Instructions, ...] = (OVERRIDING,)


def merge_readings(
    readings: list[Mapping[str, Field]], rules: MergeRules | None = None, words: str = ""
) -> dict[str, Field]:
    """Join readings of the same job, whose text is `words`; the first that answers stands for each
    side.

    No answer from a source that the rules allow is lost: it is the value, or an alternative. Of an
    object or list that both sides agree on, each adds what the other leaves open.
    """
    rules = rules or MergeRules()
    said, lists = words, rules.instructions
    told = instructed(said, lists)
    ordered = instructions_of(told, readings, lists)
    if ordered is not None:
        words = told.rest
        readings = [without_instructed(one, told, lists) for one in readings]
    own = own_value(words, rules.columns.get(rules.named_by or "", ()))
    heads = {} if own is None or rules.identity is None else {rules.identity: head_of(own)}
    readings = [
        all_in_context(one, words, rules.terms, rules.origins, heads, rules.identity)
        for one in readings
    ]
    readings = [rules.stated.of(one, words) for one in readings]
    names = dict.fromkeys(name for reading in readings for name in reading)
    found = {name: [reading[name] for reading in readings if name in reading] for name in names}
    merged = {name: _merge_field(name, entries, rules) for name, entries in found.items()}
    matched = None
    if rules.match is not None:
        matched = _matched(rules.match, found.get(rules.match.of, []), words)
        merged = _judged(merged, matched, rules.match)
    identity = merged.get(rules.identity or "")
    clashes = identity is not None and identity.contradiction
    if clashes or (matched is not None and is_fault(matched)):
        merged = {
            name: joined if name == rules.identity else _apart(name, joined, found[name], rules)
            for name, joined in merged.items()
        }
    for name in rules.origins & merged.keys():
        if not merged[name].answered:
            merged[name] = stated_origin(words, rules.terms[name]) or merged[name]
    merged = with_own(merged, words, rules.columns)
    merged = {name: _held(name, joined, rules) for name, joined in merged.items()}
    if rules.match is not None and matched is not None:
        merged = {name: _plain(joined) for name, joined in merged.items()}
        merged[rules.match.name] = matched
    beside = {CLAIMS: claims_of(said, rules.claims), INSTRUCTIONS: ordered}
    return {**merged, **{name: found for name, found in beside.items() if found is not None}}


def _held(name: str, joined: Field, rules: MergeRules) -> Field:
    """A field that is required is in doubt without a value."""
    if name not in rules.required or joined.answered:
        return joined
    return joined.model_copy(update={"doubt": f"it is required; {joined.note or 'nobody says it'}"})


def _matched(match: MatchRules, found: list[Field], words: str) -> Field:
    """Whether the photo shows what the text sells, by what each side said the thing is."""
    photo = next((entry for entry in found if _is_seen(entry)), None)
    text = next((e for e in found if e.answered and e.source in ("text", "both")), None)
    return photo_match(match, photo, text, words)


def _is_seen(entry: Field) -> bool:
    return bool(entry.shares) or (entry.answered and entry.source in ("photo", "both"))


def _judged(merged: dict[str, Field], matched: Field, match: MatchRules) -> dict[str, Field]:
    """The field that says what the thing is: contradicted where the photo is judged another's."""
    joined = merged.get(match.of)
    if joined is None or not matched.answered or not joined.answered or joined.source == "both":
        return merged
    both = any(other.answered and other.source != joined.source for other in joined.alternatives)
    clashes = both and is_fault(matched)
    return {**merged, match.of: joined.model_copy(update={"contradiction": clashes})}


def _plain(field: Field) -> Field:
    """`field` without what its choices were weighed by."""
    others = tuple(map(_plain, field.alternatives))
    return field.model_copy(update={"shares": {}, "alternatives": others})


def _apart(name: str, joined: Field, found: list[Field], rules: MergeRules) -> Field:
    """The field without a photo that may show another product, unless the text says the same."""
    photos = [entry for entry in found if entry.answered and entry.source == "photo"]
    if joined.source == "both" or not photos:
        return joined
    left = _merge_field(name, [entry for entry in found if entry not in photos], rules)
    note = f"the photo says {photos[0].value!r}, but its {rules.identity} contradicts the text"
    note = f"{note}: it may show another product"
    return left.model_copy(update={"alternatives": (*left.alternatives, *photos), "note": note})


def _merge_field(name: str, found: list[Field], rules: MergeRules) -> Field:
    usable = [entry for entry in found if entry.answered and _is_allowed(name, entry, rules)]
    unsure = [entry for entry in usable if _is_unsure(entry, rules)]
    sure = [entry for entry in usable if entry not in unsure]
    photo = _first([entry for entry in sure if entry.source == "photo"])
    text = _first([entry for entry in sure if entry.source != "photo"])
    if photo is None and text is None:
        return _abstain_unsure(unsure, rules) if unsure else _abstain(found)
    if photo is not None and text is not None:
        joined = _join(name, photo, text, rules)
    else:
        joined = photo or text or Field()
    left = [entry for entry in usable if entry is not photo and entry is not text]
    if not left:
        return joined
    note = joined.note
    if left[0] in unsure and not agree(left[0].value, joined.value):
        note = note or _unsure_note(left[0], rules)
    return joined.model_copy(update={"alternatives": (*joined.alternatives, *left), "note": note})


def _is_allowed(name: str, entry: Field, rules: MergeRules) -> bool:
    allowed = rules.sources.get(name)
    if allowed is None:
        return True
    return {"photo", "text"} <= allowed if entry.source == "both" else entry.source in allowed


def _is_unsure(entry: Field, rules: MergeRules) -> bool:
    """Whether a confidence is known and too low; an unknown one is no low one.

    What a policy promises of an answer was measured, and goes before the rules' own bounds.
    """
    return (
        entry.promised is None
        and entry.confidence is not None
        and entry.confidence < _least(entry, rules)
    )


def _first(readings: list[Field]) -> Field | None:
    """The first reading whose confidence is known, else the first of all."""
    known = (entry for entry in readings if entry.confidence is not None)
    return next(known, readings[0] if readings else None)


def _least(entry: Field, rules: MergeRules) -> float:
    is_photo = entry.source == "photo"
    return rules.least_photo_confidence if is_photo else rules.least_text_confidence


def _abstain(found: list[Field]) -> Field:
    """The abstention that says most: the first note, without a value."""
    noted = next((entry for entry in found if entry.source == "none"), None)
    return noted or Field(note="no allowed source answered")


def _abstain_unsure(unsure: list[Field], rules: MergeRules) -> Field:
    note = _unsure_note(unsure[0], rules)
    return Field(note=note, model=unsure[0].model, alternatives=tuple(unsure))


def _unsure_note(entry: Field, rules: MergeRules) -> str:
    says = "photo may show" if entry.source == "photo" else "text may say"
    return (
        f"the {says} {entry.value!r}, but its confidence {entry.confidence:.2f} "
        f"is under {_least(entry, rules):g}"
    )


def _join(name: str, photo: Field, text: Field, rules: MergeRules) -> Field:
    first, second = _in_order(name, photo, text, rules)
    known = [side.confidence for side in (photo, text) if side.confidence is not None]
    if agree(photo.value, text.value, rules.alike.get(name, ())):
        promised = [side.promised for side in (photo, text) if side.promised is not None]
        return first.model_copy(
            update={
                "source": "both",
                "value": fuller(first.value, second.value),
                # One value of two sides: what is proven of either holds of it.
                "promised": max(promised) if promised else None,
                "doubt": None if promised else first.doubt,
                "confidence": max(known) if known else None,
                "evidence": (*text.evidence, *photo.evidence),
                "alternatives": (*first.alternatives, second),
                "note": None if known else first.note,
            }
        )
    note = f"{_said(photo)} against {_said(text)}"
    contradiction = False
    if not comparable(photo.value, text.value):
        note += "; they are in two languages, and were not compared"
    elif photo.confidence is None:
        note += "; a photo of unknown confidence does not contradict"
    elif photo.confidence < rules.contradiction_confidence:
        note += "; the photo is too unsure to contradict"
    else:
        contradiction = True
    return first.model_copy(
        update={
            "contradiction": contradiction,
            "alternatives": (*first.alternatives, second),
            "note": note,
        }
    )


def _in_order(name: str, photo: Field, text: Field, rules: MergeRules) -> tuple[Field, Field]:
    """The reading that stands, and the other: the preferred one, unless only the other is known."""
    sure = photo.confidence is not None and photo.confidence >= rules.contradiction_confidence
    prefers_photo = rules.prefer == "image" or (name in rules.seen and sure)
    first, second = (photo, text) if prefers_photo else (text, photo)
    swap = first.confidence is None and second.confidence is not None
    return (second, first) if swap else (first, second)


def _said(reading: Field) -> str:
    sure = "confidence unknown" if reading.confidence is None else f"{reading.confidence:.2f}"
    return f"the {reading.source} says {reading.value!r} ({sure})"
