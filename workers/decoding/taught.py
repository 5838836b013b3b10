"""The choices that a checkpoint was taught, and a user's choices put into its words; runs no model.

A small model knows "Apple" and finds "apple" unlikely, so a choice of a schema is asked for in the
spelling that was taught, and given back in the user's. Of choices that were never taught the model
would take the nearest: a set of them abstains. Where some of a set were taught, the model chooses
among all that it was taught of that kind, and abstains when that is none of the set.

`choices.json` in a checkpoint's folder is `{topic: {word: [other words for it]}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestra.core.answers.choices import Choices
from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid
from orchestra.core.schema import resolved
from orchestra.core.values import CJK, compact
from workers.loading.checkpoint import RESTORE

FILE = "choices.json"
CHINESE = ", zh"  # ends the name of a topic that was taught in answer to Chinese questions
ANSWER = "answer"  # the key of those answers
FEW, NAMED = 3, 12  # words of a topic that a note names; of the topic that was asked for
EACH = "[]"
Place = tuple[str, ...]  # keys on the way to a value, `EACH` for the items of a list


@dataclass(frozen=True, slots=True)
class Topic:
    """Words of one kind that a checkpoint was taught: categories, colours, places."""

    name: str
    words: Choices

    @property
    def is_chinese(self) -> bool:
        """Whether its words are answers to Chinese questions."""
        return self.name.endswith(CHINESE)

    def said(self, most: int) -> str:
        """Some of its words, for a note."""
        words = self.words.listed
        more = f" and {len(words) - most} more" if len(words) > most else ""
        return f"{self.name} ({', '.join(words[:most])}{more})"


@dataclass(frozen=True, slots=True)
class Wording:
    """How one choice of a schema was asked for: the user's choice by the word of the model.

    `others` are words that were allowed beside, so that the nearest need not be taken. With a
    `reason` it was not asked for at all.
    """

    choices: Mapping[str, str]
    others: tuple[str, ...] = ()
    reason: str | None = None

    def given(self, value: Any) -> tuple[Any, str | None]:
        """The user's choice for what the model said, or None and why."""
        if self.reason is not None or value is None:
            return None, self.reason
        if value in self.others:
            return None, f"the model sees {value!r}, which is none of the choices"
        return (self.choices.get(value, value) if isinstance(value, str) else value), None


@dataclass(slots=True)
class Reworded:
    """A call in the words of a checkpoint, and the way back."""

    call: Call
    wordings: dict[Place, Wording] = field(default_factory=dict)

    def given(self, reply: Reply) -> Reply:
        """`reply` in the user's words; what is none of them is None, with the reason."""
        if not self.wordings or not isinstance(reply.value, Mapping):
            return reply
        refused: dict[str, str] = {}
        value = self._given(reply.value, (), "", refused)
        confidence = {name: p for name, p in reply.confidence.items() if name not in refused}
        return replace(
            reply,
            text=compact(value),
            value=value,
            confidence=confidence,
            abstained={**refused, **reply.abstained},
            shares={name: self._shares(name, part) for name, part in reply.shares.items()},
        )

    def _shares(self, name: str, shares: Mapping[str, float]) -> Mapping[str, float]:
        """How likely the user's choices are, of those of the model's words."""
        wording = self.wordings.get((name,))
        if wording is None:
            return shares
        given = ((wording.given(word)[0], share) for word, share in shares.items())
        return {choice: share for choice, share in given if choice is not None}

    def choice(self, key: str, value: Any) -> Any:
        """The user's choice for the `value` of one key, or what was said where that is none."""
        found = self._given({key: value}, (), "", {})[key]
        return value if found is None else found

    def _given(self, value: Any, path: Place, place: str, refused: dict[str, str]) -> Any:
        if path in self.wordings:
            value, reason = self.wordings[path].given(value)
            if reason is not None:
                refused[place] = reason
            return value
        if isinstance(value, Mapping):
            return {
                name: self._given(part, (*path, name), f"{place}.{name}".lstrip("."), refused)
                for name, part in value.items()
            }
        if isinstance(value, list):
            return [
                self._given(part, (*path, EACH), f"{place}[{at}]", refused)
                for at, part in enumerate(value)
            ]
        return value


class Taught:
    """What one checkpoint was taught to choose from, by topic."""

    def __init__(self, topics: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._topics = [
            Topic(
                name, Choices(words, {other: w for w, others in words.items() for other in others})
            )
            for name, words in topics.items()
        ]

    @classmethod
    def load(cls, folder: Path) -> Taught | None:
        """The choices of a checkpoint folder, or None. Raises CheckpointInvalid."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, AttributeError, TypeError) as error:
            raise CheckpointInvalid(f"{str(path)!r} cannot be read: {error}. {RESTORE}") from error

    def reworded(self, call: Call) -> Reworded:
        """`call` with the choices of its schema in the words that were taught.

        Only what a photo alone decides was taught from a closed set; a text brings its own words.
        """
        if call.schema is None or not call.images or (call.text or "").strip():
            return Reworded(call)
        writer = _Rewriter(self, call.schema, bool(CJK.search(call.instruction)))
        schema = writer.shape(call.schema, (), ())
        if not writer.wordings:
            return Reworded(call)
        return Reworded(replace(call, schema=schema), writer.wordings)

    def wording(self, choices: Sequence[str], key: str, *, is_chinese: bool) -> Wording | None:
        """How to ask for one of `choices` under `key`; None where the model knows them as they are.

        `is_chinese`: the question is.
        """
        topics = [t for t in self._topics if t.is_chinese == (is_chinese and key == ANSWER)]
        known = {word for topic in topics for word in topic.words.listed}
        if all(choice in known for choice in choices):
            return None
        best = max(topics, key=lambda topic: _fit(topic, choices, key))
        found = {choice: best.words.find(choice) for choice in choices}
        words: dict[str, str] = {}
        for choice, word in found.items():
            if word is not None and (word not in words or word == choice):
                words[word] = choice
        if not words:
            return Wording({}, reason=self._unknown(choices, key))
        is_whole = None not in found.values()
        others = () if is_whole else (w for w in best.words.listed if w not in words)
        return Wording(words, tuple(others))

    def _unknown(self, choices: Sequence[str], key: str) -> str:
        named = ", ".join(map(repr, choices[:FEW])) + ", ..." * (len(choices) > FEW)
        topics = [topic for topic in self._topics if not topic.is_chinese]
        asked = [topic for topic in topics if topic.words.listed and topic.name == key]
        knows = ", ".join(t.said(NAMED if t in asked else FEW) for t in asked or topics)
        return f"the model was taught none of the choices {named}; it knows {knows}"


def _fit(topic: Topic, choices: Sequence[str], key: str) -> tuple[int, bool, int]:
    """How well a topic holds `choices`: how many, under its own key, in their very spelling."""
    found = sum(topic.words.find(choice) is not None for choice in choices)
    return found, topic.name == key, sum(choice in topic.words.listed for choice in choices)


@dataclass(slots=True)
class _Rewriter:
    """Rewrites the choices of one schema, and notes how each is given back."""

    taught: Taught
    root: Mapping[str, Any]
    is_chinese: bool
    wordings: dict[Place, Wording] = field(default_factory=dict)

    def shape(self, shape: Mapping[str, Any], path: Place, refs: tuple[str, ...]) -> Any:
        """`shape` in the words of the checkpoint; itself where nothing changes."""
        plain, refs = resolved(shape, self.root, refs)
        if "enum" in plain:
            return self._choice(shape, plain["enum"], path)
        if "anyOf" in plain:
            options = [self.shape(option, path, refs) for option in plain["anyOf"]]
            return shape if _same(options, plain["anyOf"]) else {**plain, "anyOf": options}
        if "properties" in plain:
            parts = plain["properties"]
            new = {name: self.shape(part, (*path, name), refs) for name, part in parts.items()}
            same = _same(list(new.values()), list(parts.values()))
            return shape if same else {**plain, "properties": new}
        if isinstance(plain.get("items"), Mapping):
            item = self.shape(plain["items"], (*path, EACH), refs)
            return shape if item is plain["items"] else {**plain, "items": item}
        return shape

    def _choice(self, shape: Mapping[str, Any], values: Sequence[Any], path: Place) -> Any:
        choices = [value for value in values if isinstance(value, str)]
        if not choices or not path:
            return shape
        key = next(part for part in reversed(path) if part != EACH)
        wording = self.taught.wording(choices, key, is_chinese=self.is_chinese)
        if wording is None:
            return shape
        self.wordings[path] = wording
        if wording.reason is not None:
            return {"enum": [None]}
        others = [value for value in values if not isinstance(value, str)]
        return {"enum": [*wording.choices, *wording.others, *others]}


def _same(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))
