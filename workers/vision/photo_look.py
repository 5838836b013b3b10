"""A second look at a photo: its kind by a head on two views, its colours by pixels, and what a
thing beyond the known kinds is called by ImageNet's names.

The model's own answer is joined with these, field by field; what they say without it carries a
note. Drawings are left to the model, which was trained on them. Reads schemas, runs no decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import MissingExtra
from orchestra.core.values import compact
from workers.decoding.model import Prompt
from workers.things.things import LEAST, MOST, Named, ThingSeen, shared_things
from workers.vision import colour_answers
from workers.vision.asked import AskedField, asked_of
from workers.vision.kinds import Array, KindHead, closer
from workers.vision.palette import Palette, palette_of

PHOTOS = 0  # the world of a domain that holds photos, not drawings
GARMENTS = "Clothing"  # the department whose colours no kind decides
LEAST_SHARE = 1e-4  # of a choice, to be told
GUESS = "a guess: the photo hardly tells it from other choices"
FOREIGN = "the model sees {!r}, which is none of the choices"
BY_NAME = "the model knows it as {!r}; that it is this choice was found by the names alone"
BY_PIXELS = "by the colours of what stands out in the photo; its kind is not known to the model"

Embed = Callable[[Image.Image], Array]


@dataclass(frozen=True, slots=True)
class PhotoLook:
    """The second look of one checkpoint; `embed` is its tower."""

    kinds: KindHead
    embed: Embed

    @classmethod
    def load(cls, folder: Path, embed: Embed) -> PhotoLook | None:
        """Of a checkpoint folder that has a head, else None. Raises CheckpointInvalid."""
        kinds = KindHead.load(folder)
        return None if kinds is None else cls(kinds, embed)

    def opinion(self, asked: Call, posed: Call, prompt: Prompt) -> PhotoOpinion | None:
        """Of a call with a schema and one photo, and no text that would say more."""
        if asked.schema is None or len(asked.images) != 1 or (asked.text or "").strip():
            return None
        if not prompt.standings or not prompt.seen:
            return None
        standing, photo = prompt.standings[0], asked.images[0]
        is_outside = standing.reason is not None
        if standing.world != PHOTOS and not is_outside:
            return None
        found = PhotoOpinion(self.kinds, standing.likely, fields=asked_of(asked))
        colours = [one for one in found.fields if one.is_colour]
        found.named = [one for one in asked_of(posed) if self.kinds.knows(one.choices)]
        has_kind = bool(found.named) or any(one.is_kind for one in found.fields)
        if found.named or (not is_outside and (has_kind or colours)):
            views = [prompt.seen[0], self.embed(closer(photo))] if has_kind else prompt.seen[:1]
            found.rated_VK = self.kinds.shares(np.stack(views))
            found.share_VK = None if is_outside else found.rated_VK
        if colours:
            found.palette = palette_of(photo)
        if is_outside and has_kind:
            found.thing = shared_things().seen(photo)
        return found


@dataclass(slots=True)
class PhotoOpinion:
    """What the second look found of one photo; see `workers.decoding.model.SecondOpinion`.

    `share_VK` are the kinds of a photo within the domain, by view; `thing` what one beyond it is.
    `rated_VK` are the kinds of either: of one beyond it they say what it hardly shows.
    """

    kinds: KindHead
    likely: float
    fields: list[AskedField]
    named: list[AskedField] = field(default_factory=list)
    share_VK: Array | None = None
    rated_VK: Array | None = None
    palette: Palette | None = None
    thing: ThingSeen | None = None
    guesses: set[str] = field(default_factory=set)
    foreign: dict[str, str] = field(default_factory=dict)
    decoded: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def joined(self, reply: Reply) -> Reply:
        """The kinds that head and decoder agree on most, in the model's words."""
        if not isinstance(reply.value, Mapping):
            return reply
        value, confidence = dict(reply.value), dict(reply.confidence)
        self.decoded = {name: (said, confidence.get(name, 0.0)) for name, said in value.items()}
        shares: dict[str, Mapping[str, float]] = {}
        for one in self.named if self.rated_VK is not None else ():
            if self.rated_VK is None or one.name not in value or one.is_list:
                continue
            said, sure = self.decoded[one.name]
            rated = self.kinds.rated(one.choices, self.rated_VK, said, sure)
            shares[one.name] = self._shares(one.choices, rated)
            if self.share_VK is None:
                continue
            foreign = self.kinds.foreign(one.choices, self.share_VK)
            if foreign is not None:
                value[one.name] = None
                confidence.pop(one.name, None)
                self.foreign[one.name] = FOREIGN.format(foreign.name)
                continue
            value[one.name] = max(rated, key=lambda choice: rated[choice])
            confidence[one.name] = rated[value[one.name]]
            if confidence[one.name] * self.likely < self.kinds.mixing.sure:
                self.guesses.add(one.name)
        return replace(
            reply, value=value, confidence=confidence, text=compact(value), shares=shares
        )

    def _shares(self, choices: Sequence[str], rated: Mapping[str, float]) -> Mapping[str, float]:
        """The choices that are not quite unlikely, beside all that the photo may show."""
        inside = 1.0 if self.rated_VK is None else self.kinds.inside(choices, self.rated_VK)
        found = {choice: round(share * inside, 5) for choice, share in rated.items()}
        return {choice: share for choice, share in found.items() if share >= LEAST_SHARE}

    def told(self, reply: Reply) -> Reply:
        """With the colours, the names of things, and what must be known of a value."""
        if not isinstance(reply.value, Mapping):
            return reply
        told = _Told(
            dict(reply.value),
            dict(reply.confidence),
            {**self.foreign, **reply.abstained},
            {**reply.notes, **{name: GUESS for name in self.guesses if reply.value.get(name)}},
            dict(reply.regions),
        )
        for one in self.fields:
            if one.name not in told.value:
                continue
            if one.is_colour and self.palette is not None:
                self._colour(one, self.palette, told)
            elif one.is_kind and not one.is_list and told.value[one.name] is None:
                self._kind(one, told)
        return replace(
            reply,
            text=compact(told.value),
            value=told.value,
            confidence=told.confidence,
            abstained=told.abstained,
            notes=told.notes,
            regions=told.regions,
        )

    def _colour(self, one: AskedField, palette: Palette, told: _Told) -> None:
        expected = self._expected(one, told)
        found = colour_answers.answer(palette, one.choices, expected)
        if found is None:
            return
        best, sure = found
        value = best if one.choices else colour_answers.in_language(best, one.name)
        if one.is_list:
            told.drop_leaves(one.name)
            names = colour_answers.several(palette, one.choices) or [best]
            told.confidence |= {f"{one.name}[{at}]": sure for at in range(len(names))}
            value = (
                names
                if one.choices
                else [colour_answers.in_language(name, one.name) for name in names]
            )
        note = BY_PIXELS if self.share_VK is None else None
        told.put(one.name, value, sure, note)
        told.regions[one.name] = palette.box

    def _expected(self, one: AskedField, told: _Told) -> Mapping[str, float] | None:
        """How likely each choice is by what the model says of a grocery: its kind has a colour."""
        said, sure = told.value[one.name], self.decoded.get(one.name, (None, 0.0))[1]
        if self.share_VK is None or not isinstance(said, str) or said not in one.choices:
            return None
        kind = self.kinds.kinds[int(self.share_VK[0].argmax())]
        if kind.department == GARMENTS:
            return None
        rest = (1 - sure) / max(len(one.choices) - 1, 1)
        return {choice: sure if choice == said else rest for choice in one.choices}

    def _kind(self, one: AskedField, told: _Told) -> None:
        """Answer what the model could not: a thing beyond its kinds, or one by other categories."""
        if one.name in self.foreign:
            return
        if self.thing is not None:
            found = self.thing.among(one.choices)
        else:
            found = self._by_name(one.choices)
        if found is not None:
            told.put(one.name, found.choice, found.sure, found.note)

    def _by_name(self, choices: Sequence[str]) -> Named | None:
        """The category, of those that were never taught, that the kind's name belongs to."""
        if self.share_VK is None:
            return None
        share_K = self.share_VK.mean(axis=0)
        try:
            part_C = share_K @ self.kinds.names().weights(choices)
        except MissingExtra:
            return None
        best = int(part_C.argmax())
        sure = min(float(part_C[best]) * self.likely, MOST)
        kind = self.kinds.kinds[int(share_K.argmax())]
        return None if sure < LEAST else Named(choices[best], sure, BY_NAME.format(kind.name))


@dataclass(slots=True)
class _Told:
    """A reply's parts while it is changed."""

    value: dict[str, Any]
    confidence: dict[str, float]
    abstained: dict[str, str]
    notes: dict[str, str]
    regions: dict[str, tuple[float, float, float, float]]

    def drop_leaves(self, name: str) -> None:
        """Forget how sure the model was of each item of its own list."""
        for place in [place for place in self.confidence if place.startswith(f"{name}[")]:
            del self.confidence[place]

    def put(self, name: str, value: Any, sure: float, note: str | None) -> None:
        """Answer a field, also one that was refused."""
        self.value[name], self.confidence[name] = value, sure
        self.abstained.pop(name, None)
        self.notes.pop(name, None)
        if note is not None:
            self.notes[name] = note
