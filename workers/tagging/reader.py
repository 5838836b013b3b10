"""Everything that was learnt of a user's fields: a tagger for spans, a chooser for each choice.

Which kind a field is shows in its values: spans stand in their texts, choices are few.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from orchestra.core.errors import InvalidTable, MissingExtra
from workers.tagging.chooser import NONE, LabelChooser, train_chooser
from workers.tagging.rows import TaggedRow
from workers.tagging.tagger import TaggedValue, Tagger, train

STANDS = 0.5  # the share of a field's values that stand in their texts, from which it is a span
LABELS = 50  # choices that a field may have
ROWS_A_LABEL = 3  # on average, for a field to be a choice
LIKE_NONE = 0.02  # how well a group fits that has no field that is asked
FEWEST = 10  # labelled rows

Say = Callable[[str], None]


@dataclass(slots=True)
class TaughtReader:
    """`groups` tells of which group a text is, where the rows had several."""

    tagger: Tagger | None
    choosers: dict[str, LabelChooser]
    groups: LabelChooser | None = None

    @property
    def fields(self) -> list[str]:
        """All fields that it learnt."""
        spans = [] if self.tagger is None else list(self.tagger.spans.single)
        return [*spans, *self.choosers]

    @property
    def encodes(self) -> bool:
        """Whether it asks the shared encoder of each text."""
        states = self.tagger is not None and self.tagger.states is not None
        return states or bool(self.choosers) or self.groups is not None

    def read(
        self, text: str, group: str | None = None, asked: Collection[str] = ()
    ) -> dict[str, list[TaggedValue]]:
        """The answers of a text by field; without a `group` it is found by the words and by which
        groups have the fields that are `asked`.
        """
        found: dict[str, list[TaggedValue]] = {}
        if self.tagger is not None:
            known = self._group(text, asked) if group is None else group
            found |= self.tagger.answers(text, known)
        for name, chooser in self.choosers.items():
            label, chance = max(chooser.probabilities(text).items(), key=lambda pair: pair[1])
            if label != NONE:
                found[name] = [TaggedValue(label, 0, len(text), chance)]
        return found

    def _group(self, text: str, asked: Collection[str]) -> str:
        if self.groups is None or self.tagger is None:
            return ""
        chances = self.groups.probabilities(text)
        wanted = set(asked)

        def fit(group: str) -> float:
            names = set(self.tagger.spans.groups.get(group, ())) if self.tagger else set()
            shared = len(wanted & names) / max(1, len(wanted | names))
            return chances[group] * (LIKE_NONE + shared)

        return max(chances, key=fit)


def train_reader(
    rows: Sequence[TaggedRow], say: Say = lambda line: None, *, seed: int = 0
) -> TaughtReader:
    """Train on labelled rows. Raises `InvalidTable` for too few rows, a field that is never
    filled, or one whose values neither stand in the texts nor are few.
    """
    choices, spans = _kinds(rows)
    groups = sorted({row.group for row in rows})
    choosers = {name: _chooser(rows, name) for name in choices}
    tagger = None
    if spans:
        kept = [row.only(spans) for row in rows]
        tagger = train(kept, say, seed=seed)
    return TaughtReader(tagger, choosers, _grouped(rows) if len(groups) > 1 else None)


def _grouped(rows: Sequence[TaggedRow]) -> LabelChooser | None:
    """What tells groups apart; without the encoder nothing does, and each text is of all."""
    try:
        return train_chooser([row.text for row in rows], [row.group for row in rows])
    except MissingExtra:
        return None


def _chooser(rows: Sequence[TaggedRow], name: str) -> LabelChooser:
    known = [row for row in rows if name in row.values]
    labels = [row.values[name][0] if row.values[name] else NONE for row in known]
    return train_chooser([row.text for row in known], labels)


def _kinds(rows: Sequence[TaggedRow]) -> tuple[set[str], set[str]]:
    """The fields that are choices, and those that are spans."""
    if len(rows) < FEWEST:
        raise InvalidTable(
            f"There are {len(rows)!r} labelled rows, and nothing is learnt from fewer than "
            f"{FEWEST}. Label more: `orchestra label` proposes those that teach most."
        )
    choices, spans = set(), set()
    for name in sorted({name for row in rows for name in row.values}):
        filled = [row for row in rows if row.values.get(name)]
        if not filled:
            raise InvalidTable(
                f"The field {name!r} is filled in no row. Fill it in some, or leave it out with "
                "--fields."
            )
        values = [(row, value) for row in filled for value in row.values[name]]
        standing = sum(value.strip() in row.text for row, value in values)
        labels = {value for _, value in values}
        if standing >= STANDS * len(values):
            spans.add(name)
        elif len(labels) <= min(LABELS, max(2, len(values) // ROWS_A_LABEL)):
            choices.add(name)
        else:
            row, value = next((r, v) for r, v in values if v.strip() not in r.text)
            raise InvalidTable(
                f"The field {name!r} has {len(labels)} different values in {len(filled)} rows, and "
                f"{len(values) - standing} do not stand in their texts, as {value!r} in "
                f"{row.text[:60]!r}. Give values as the text writes them, fewer different ones, or "
                "train a model that writes: --method full."
            )
    return choices, spans
