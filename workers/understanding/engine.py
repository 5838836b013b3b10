"""The engine that reads: fields of a schema off a text, in one pass and without writing a token.

What a field is, is in the words of the text or not stated; the reply's confidences are the span
head's calibrated probabilities. It answers calls that have a text and a schema, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestra.core.answers.leaves import ITEM
from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.card import Sampling
from orchestra.core.errors import Cancelled, InvalidFleet, InvalidSchema, OrchestraError
from workers.choice.chooser import Chooser
from workers.choice.fitted import FittedOptions
from workers.choice.options import ChoiceOptions
from workers.decoding.meter import PROCESS
from workers.decoding.sampling import GREEDY
from workers.encoder.encoder import Encoder, shared_encoder
from workers.extraction.head import SpanHead
from workers.extraction.reader import FieldReader, Found
from workers.extraction.words import Span
from workers.understanding.apart import apart
from workers.understanding.leaves import SchemaPart, parts_of
from workers.understanding.picked import Pick, pick, picks, stands
from workers.understanding.rows import grouped

TABLES = 16  # sets of names with the texts that settled them
MOSTLY = 0.6  # of the texts; of public titles 84% and 98% are a category, at most 36% an attribute


class UnderstandingEngine:
    """The shared encoder with the heads that read; see `orchestra.core.call.Engine`."""

    def __init__(self, encoder: Encoder, head: SpanHead, chooser: Chooser | None = None) -> None:
        """Without a `chooser` a choice whose words the text does not hold is not stated."""
        self._encoder, self._reader, self._chooser = encoder, FieldReader(encoder, head), chooser
        self._layer, self._least = head.layer, head.least
        self._settled = lru_cache(maxsize=TABLES)(self._settle)

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        *,
        threads: int | None = None,
        device: str = "cpu",
        sampling: Sampling = GREEDY,
    ) -> UnderstandingEngine:
        """Load a reader's folder, to run on `threads` threads (by default one).

        Raises CheckpointInvalid, MissingExtra without the encoder's wheel, and InvalidFleet for
        another device than `cpu`, or where tokens are to be drawn: there are none.
        """
        if device != "cpu":
            raise InvalidFleet(
                f"hosting.device is {device!r}; the reader runs on 'cpu'. Set it so."
            )
        if sampling.temperature:
            raise InvalidFleet(
                f"hosting.sampling.temperature is {sampling.temperature!r}; the reader writes no "
                "tokens, so there is nothing to draw. Leave it out."
            )
        head = SpanHead.load(Path(checkpoint), threads or 1)
        encoder = shared_encoder(threads or 1)
        return cls(encoder, head, Chooser(encoder))

    def count_tokens(self, call: Call) -> int:
        """Tokens of the text and of the words for each field."""
        texts = [call.text or ""]
        if call.schema is not None:
            texts += [leaf.asked for part in parts_of(call.schema) for leaf in part.leaves()]
        return sum(len(tokens.ids) for tokens in self._encoder.tokenizer(texts))

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls`, each by itself; see `Engine.generate`."""
        with PROCESS.measure() as spent:
            texts = [call.text or "" for call in calls]
            self._encoder.encode(texts, states_of=self._layer)
        # Most of the work is this pass; it is shared by the rows in proportion to their texts.
        letter_cpu_s = spent.cpu_s / max(1, sum(len(text) for text in texts))
        answers: list[Reply | OrchestraError] = []
        for row, call in enumerate(calls):
            if is_cancelled is not None and is_cancelled(row):
                answers.append(Cancelled("The call was cancelled before it was read."))
                continue
            answer = self._answer(call, letter_cpu_s * len(call.text or ""))
            if on_text is not None and isinstance(answer, Reply):
                on_text(row, answer.text)
            answers.append(answer)
        return answers

    def _answer(self, call: Call, encoding_cpu_s: float) -> Reply | OrchestraError:
        try:
            with PROCESS.measure() as spent:
                parts = _readable(call)
                leaves = [leaf for part in parts for leaf in part.leaves()]
                found = self._reader.read(call.text or "", [leaf.asked for leaf in leaves])
                places = {leaf.place: one for leaf, one in zip(leaves, found, strict=True)}
                alone = [leaf for leaf in leaves if ITEM not in leaf.place]
                taken = apart(call.text or "", alone, places, self._least)
                reading = _Reading(call.text or "", places, self._least, taken)
                value = {part.name: reading.value(part) for part in parts}
                value |= self._judged(call, parts, reading)
            return Reply(
                text=json.dumps(value, ensure_ascii=False),
                value=value,
                confidence=reading.confidence,
                usage=Usage(self.count_tokens(call), 0, 0, encoding_cpu_s + spent.cpu_s),
                read_off=reading.spans,
                judged=tuple(reading.judged),
            )
        except OrchestraError as error:
            return error

    def _judged(self, call: Call, parts: Sequence[SchemaPart], reading: _Reading) -> dict[str, str]:
        """Choices that the text does not hold, but is: each a label of the whole of it.

        Where its words are read off another field ("red" of a box), nothing is judged, but for
        names of which the texts of a table mostly are one.
        """
        made: dict[str, str] = {}
        text, chooser = call.text or "", self._chooser
        for part in parts:
            names = tuple(name for name in part.shape.values if isinstance(name, str))
            if chooser is None or len(names) < 2 or part.place in reading.spans or not text.strip():
                continue
            settled = self._settled(chooser, names, call.beside)
            if stands(text, names) and not settled.are_kinds:
                continue
            encoded = self._encoder.encode([text], states_of=self._layer)
            (one,) = chooser.choose(encoded, settled.options)
            if one.name is not None:
                made[part.name] = one.name
                reading.judged.append(part.name)
                reading.confidence[part.name] = one.probability
        return made

    def _settle(self, chooser: Chooser, names: tuple[str, ...], beside: tuple[str, ...]) -> Settled:
        """What the names mean in a table with these texts; none of them is labelled."""
        table = self._encoder.encode(beside, states_of=self._layer)
        fitted = chooser.fit(ChoiceOptions.of(names), table)
        taken = [one.name is not None for one in chooser.choose(table, fitted)]
        return Settled(fitted, sum(taken) > MOSTLY * len(taken))


@dataclass(frozen=True, slots=True)
class Settled:
    """Names ready to be chosen among; `are_kinds` where most texts of a table are one of them,
    as of categories and not of colours.
    """

    options: FittedOptions
    are_kinds: bool


def _readable(call: Call) -> tuple[SchemaPart, ...]:
    """The parts of a call that can be read. Raises InvalidSchema for another call."""
    if call.schema is None or call.images:
        asks = "has no schema" if call.schema is None else f"shows {len(call.images)} photos"
        raise InvalidSchema(
            f"The call {call.instruction[:40]!r} {asks}, and this model reads the fields of a "
            "schema off a text. Ask another model, or give the ask a schema."
        )
    return parts_of(call.schema)


@dataclass(slots=True)
class _Reading:
    """Makes the values of one reply, and notes how sure each is and where it stands."""

    text: str
    found: Mapping[str, Found]
    least: float
    taken: Mapping[str, Pick]
    judged: list[str] = field(default_factory=list)
    confidence: dict[str, float] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)

    def value(self, part: SchemaPart) -> Any:
        """The value of a property."""
        if part.shape.kind == "object":
            return self._object(part, part.place)
        if part.shape.kind == "array":
            return self._list(part, part.place)
        found = self.found[part.place]
        if part.place in self.taken:
            return self._kept(self.taken[part.place], part.place)
        return self._kept(pick(self.text, found, part.shape, part.asked, self.least), part.place)

    def _kept(self, one: Pick, place: str) -> Any:
        self.confidence[place] = one.probability
        if one.span is not None and one.value is not None:
            self.spans[place] = one.span
        return one.value

    def _object(self, part: SchemaPart, place: str) -> dict[str, Any]:
        made = {inner.name: self.value(inner) for inner in part.parts}
        known = [
            self.confidence[leaf.place] for leaf in part.leaves() if leaf.place in self.confidence
        ]
        self.confidence[place] = min(known, default=0.0)
        return made

    def _list(self, part: SchemaPart, place: str) -> list[Any]:
        (item,) = part.parts
        rows = grouped({leaf.place: self._all(leaf) for leaf in item.leaves()}, self.text)
        made = [
            self._row(item, row, f"{place}[{at}]")
            for at, row in enumerate(rows[: int(part.shape.most or 8)])
        ]
        absent = [self.found[leaf.place].absent for leaf in item.leaves()]
        known = [one.probability for row in rows for one in row.values()]
        self.confidence[place] = min(known, default=min(absent, default=0.0))
        return made

    def _all(self, leaf: SchemaPart) -> list[Pick]:
        return picks(self.text, self.found[leaf.place], leaf.shape, leaf.asked, self.least)

    def _row(self, item: SchemaPart, row: Mapping[str, Pick], place: str) -> Any:
        """One item of a list: a leaf's value, or an object of those that stand together."""
        if item.shape.kind == "array":
            return []  # a list within an item of a list: which values are whose is not told
        if item.parts:
            return {
                inner.name: self._row(inner, row, f"{place}.{inner.name}") for inner in item.parts
            }
        one = row.get(item.place)
        return None if one is None else self._kept(one, place)
