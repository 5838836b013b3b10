"""A labelling under way: the questions in order, the answers, and the file they are kept in.

Every answer is on disk, whole, before the next question is asked. It knows no terminal and no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestra.batch.folder import Folder
from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.gold import NOTHING, Drawn, gold_bytes, read_gold, read_truths
from orchestra.core.errors import InvalidTable
from orchestra.core.files.atomic import atomic_file
from orchestra.core.job import Field, Result
from orchestra.core.values import folded, text_of
from orchestra.label.draw import draw, fields_of_batch, sureness
from orchestra.label.teach import TEACHES, teaching

ROWS = 50
ABSENT = Field(note="the batch has no such field in this row")
Verdict = Literal["accepted", "corrected", "nothing", "skipped"]


@dataclass(frozen=True, slots=True)
class LabelQuestion:
    """One field of one row."""

    row: Drawn
    name: str
    field: Field

    @property
    def why(self) -> str:
        """Why the row was proposed; empty where it was drawn."""
        stratum = self.row.stratum
        return stratum.removeprefix(TEACHES) if stratum.startswith(TEACHES) else ""

    @property
    def shown(self) -> str:
        """The batch's value as text; empty where it left the field open."""
        return (text_of(self.field.value) or "") if self.field.answered else ""


@dataclass(slots=True)
class LabelSession:
    """A gold set of one batch, written to `path` at every answer."""

    path: Path
    id_column: str | None
    fields: list[str]
    drawn: list[Drawn]
    results: Mapping[str, Result]
    terms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def questions(self) -> list[LabelQuestion]:
        """Every field of every row, in order."""
        return [
            LabelQuestion(row, name, self.results[row.row_id].fields.get(name, ABSENT))
            for row in self.drawn
            for name in self.fields
        ]

    @property
    def open_at(self) -> int:
        """The place of the first question without an answer; their number when all have one."""
        questions = self.questions()
        unanswered = (at for at, one in enumerate(questions) if one.name not in one.row.states)
        return next(unanswered, len(questions))

    def answer(self, question: LabelQuestion, verdict: Verdict, value: str = "") -> None:
        """Keep an answer; `value` is the true one of a correction. Raises `DiskFull`."""
        self.answer_all([(question, verdict, value)])

    def answer_all(self, given: Iterable[tuple[LabelQuestion, Verdict, str]]) -> None:
        """Keep answers in one write of the file. Raises `DiskFull`."""
        for question, verdict, value in given:
            self._take(question, verdict, value)
        self.save()

    def _take(self, question: LabelQuestion, verdict: Verdict, value: str) -> None:
        row, name = question.row, question.name
        row.values.pop(name, None)
        if verdict == "accepted":
            row.values[name] = question.shown or NOTHING
        elif verdict == "corrected":
            row.values[name] = self.canonical(name, value)
        elif verdict == "nothing":
            row.values[name] = NOTHING
        row.states[name] = verdict

    def canonical(self, name: str, value: str) -> str:
        """A value by the recipe's name for it; one it does not list stays as it was given."""
        plain = " ".join(value.split())
        return self.terms.get(name, {}).get(folded(plain), plain)

    def is_listed(self, name: str, value: str) -> bool:
        """Whether the recipe allows any value for `name`, or this one."""
        known = self.terms.get(name)
        return known is None or folded(value) in {folded(one) for one in known.values()}

    def save(self) -> None:
        """Write the gold set, whole or not at all."""
        with atomic_file(self.path) as file:
            file.write(gold_bytes(self.drawn, self.fields, self.id_column))

    def counts(self) -> dict[str, int]:
        """Answers by what was decided."""
        states = [state for row in self.drawn for state in row.states.values()]
        return {state: states.count(state) for state in dict.fromkeys(states)}


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """What a labelling needs of a finished batch."""

    results: Mapping[str, Result]
    id_column: str | None
    terms: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, folder: Folder) -> FinishedBatch:
        """Its results by row id, and the recipe's words. Raises `BookError` before its start."""
        spec = folder.spec
        terms = {} if spec.recipe is None else _terms(spec.recipe)
        return cls(folder.results(), spec.columns.id, terms)


def begin(
    batch: FinishedBatch,
    path: Path,
    *,
    rows: int = ROWS,
    seed: int = 0,
    fields: Sequence[str] = (),
    teach: float = 0.0,
) -> LabelSession:
    """The labelling kept in `path`, or a new one of `rows` rows.

    The share `teach` of them are those that teach most; each stands for itself alone, and the
    others are drawn from the rest, so that weighted shares still hold for the whole batch.

    Raises `InvalidTable` for a field the batch does not have, a file that is no gold set, or one
    of another batch.
    """
    if path.exists():
        drawn, named = read_gold(path)
        strangers = [row.row_id for row in drawn if row.row_id not in batch.results]
        if strangers:
            raise InvalidTable(
                f"{str(path)!r} labels the row {strangers[0]!r}, which this batch does not have. "
                "Give the batch it was made from, or --out a new file."
            )
        return LabelSession(path, batch.id_column, named, drawn, batch.results, batch.terms)
    named = _named(batch, fields)
    proposed = _proposed(batch, named, round(rows * teach))
    rest = {name: one for name, one in batch.results.items() if name not in proposed}
    drawn = [Drawn(name, 1.0, why, {}, {}) for name, why in proposed.items()]
    left = rows - len(drawn)
    if left > 0 and any(one.status != "failed" for one in rest.values()):
        drawn += draw(rest, named, left, seed=seed)
    elif not drawn:
        drawn = draw(batch.results, named, rows, seed=seed)
    session = LabelSession(path, batch.id_column, named, drawn, batch.results, batch.terms)
    session.save()
    return session


def _proposed(batch: FinishedBatch, fields: Sequence[str], rows: int) -> dict[str, str]:
    """The rows that teach most, with why; of those that were answered and have a text."""
    if rows < 1:
        return {}
    usable = {name: one for name, one in batch.results.items() if one.status != "failed"}
    texts = {name: text for name, one in usable.items() if (text := text_read(one))}
    return teaching(texts, {name: sureness(usable[name], fields) for name in texts}, rows)


def text_read(result: Result) -> str:
    """The text that models were given as data; empty where there was none."""
    return next((call.data for call in result.calls if call.data and not call.images), "")


def take(
    batch: FinishedBatch, path: Path, table: Path, columns: Mapping[str, str], id_column: str | None
) -> LabelSession:
    """A gold set from a table that has the true values: `columns` maps fields to its columns.

    Every row of the batch that the table answers is taken, so all stand for themselves. An empty
    cell is no answer. Raises `InvalidTable` without a column or a shared row.
    """
    truths = read_truths(table, id_column or batch.id_column)
    missing = [column for column in columns.values() if column not in truths.columns]
    if missing:
        raise InvalidTable(
            f"{str(table)!r} has no column {missing[0]!r} (it has: {', '.join(truths.columns)}). "
            "Name one with --columns FIELD=COLUMN."
        )
    named = _named(batch, list(columns))
    drawn = [
        Drawn(row_id, truth.weight, "given", values, dict.fromkeys(values, "given"))
        for row_id, truth in truths.rows.items()
        if row_id in batch.results
        and (values := {n: v for n in named if (v := truth.values[columns[n]].strip())})
    ]
    if not drawn:
        raise InvalidTable(
            f"{str(table)!r} answers no row of the batch (its rows are such as "
            f"{list(truths.rows)[:3]}, the batch's {list(batch.results)[:3]}). Name the column of "
            "the ids with --id-column."
        )
    session = LabelSession(path, batch.id_column, named, drawn, batch.results, batch.terms)
    for row in drawn:
        row.values = {name: session.canonical(name, value) for name, value in row.values.items()}
    session.save()
    return session


def _named(batch: FinishedBatch, fields: Sequence[str]) -> list[str]:
    have = fields_of_batch(batch.results)
    unknown = [name for name in fields if name not in have]
    if unknown:
        raise InvalidTable(
            f"The batch has no field {unknown[0]!r} to label (it has: {', '.join(have)}). "
            "Name one of these."
        )
    if not have:
        raise InvalidTable("The batch has no field that was read. Run it before labelling it.")
    return list(fields) or have


def _terms(recipe: Recipe) -> dict[str, dict[str, str]]:
    """For each choice, every word for a value with the value itself."""
    return {
        name: {folded(word): value for value, words in rule.terms.items() for word in words}
        for name, rule in recipe.fields.items()
        if rule.type == "choice"
    }
