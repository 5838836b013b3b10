"""How many attribute values of product titles are read rightly: micro F1, to the letter.

    python -m benchmarks.extraction FILE [--train FILE] [--rows N] [--json]

FILE has one JSON object a line: `input`, `category`, and `target_scores`, which maps attributes to
their values (`n/a` is none), as the sets OA-Mine and AE-110k of ExtractGPT. A value is right only
if it equals a gold string of its attribute in its row; an attribute that a row does not list has
none there. All attributes are asked that FILE lists in the title's category.

With --train the rows of another such file train a reader through the code of `orchestra finetune`,
and it answers. Without it the bundled fleet is asked, through `ask` with a schema.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, ConfigDict, Field

from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.core.call import Call, Reply
from orchestra.core.errors import OrchestraError
from orchestra.core.files.json_lines import read_lines
from orchestra.finetune.labelled import LabelledRow
from orchestra.finetune.learn import train
from orchestra.finetune.reading import INSTRUCTION, READER
from orchestra.finetune.values import counted, texts_of, total
from orchestra.fleet.source import load_worker

NOT_STATED = "n/a"
CURE = "Give lines as those of the data's README, with input, category and target_scores."
AT_ONCE = 16
TOKENS_A_FIELD = 24
Answers = Mapping[str, Sequence[str]]


class _TitleLine(BaseModel):
    """One line of a file."""

    model_config = ConfigDict(extra="ignore")

    input: str
    category: str = ""
    target_scores: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def values(self) -> dict[str, list[str]]:
        """Attributes with their gold values."""
        return {name: [value for value in given if value != NOT_STATED]
                for name, given in self.target_scores.items()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Title:
    """A title with its gold values; `asked` are all attributes of its category."""

    text: str
    category: str
    values: Answers
    asked: tuple[str, ...]


def read_titles(path: Path, *, filled_only: bool = False) -> list[Title]:
    """The titles of a file. Raises `InvalidTable` for a line of another form.

    With `filled_only` an attribute is asked only if some title of the category states it.
    """
    lines = [line for _, line in read_lines(path, _TitleLine, what="title", cure=CURE)]
    asked: dict[str, dict[str, None]] = {}
    for line in lines:
        names = [name for name, given in line.values.items() if given or not filled_only]
        asked.setdefault(line.category, {}).update(dict.fromkeys(names))
    return [Title(line.input, line.category, line.values, tuple(asked[line.category]))
            for line in lines]  # fmt: skip


def labelled(titles: Sequence[Title]) -> list[LabelledRow]:
    """Rows to learn from: every attribute of the category is known, if only to be none."""
    return [
        LabelledRow(title.text, title.category,
                    {name: title.values.get(name, ()) for name in title.asked})
        for title in titles
    ]  # fmt: skip


def schema_of(names: Sequence[str]) -> dict[str, Any]:
    """The JSON schema that asks for these attributes."""
    text = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    return {"type": "object", "properties": dict.fromkeys(names, text), "required": list(names),
            "additionalProperties": False}  # fmt: skip


def with_trained(
    titles: Sequence[Title], rows: Sequence[LabelledRow]
) -> tuple[list[Answers], float, float]:
    """Answers of a reader trained on `rows`, and the seconds of training and of reading."""
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        train(rows, Path(name), 0, lambda line: print(line, file=sys.stderr))
        trained = time.monotonic() - began
        engine = load_worker(READER).load(Path(name), threads=1)
    calls = [Call(INSTRUCTION, one.text, schema=schema_of(one.asked)) for one in titles]
    began = time.monotonic()
    found: list[Answers] = []
    for begin in range(0, len(calls), AT_ONCE):
        for reply in engine.generate(calls[begin : begin + AT_ONCE]):
            value = reply.value if isinstance(reply, Reply) else {}
            found.append({name: texts_of(one) for name, one in value.items()})
    return found, trained, time.monotonic() - began


async def with_bundled(titles: Sequence[Title], name: str = "mini") -> tuple[list[Answers], float]:
    """Answers of a fleet, and the seconds they took; a title that fails has none.

    Raises what the titles failed with, where all did.
    """
    failures: list[OrchestraError] = []
    graphs = {title.category: _graph(title.asked) for title in titles}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(title: Title) -> Answers:
        async with gate:
            try:
                result = await fleet.run(graphs[title.category], Job(text=title.text))
            except OrchestraError as error:
                failures.append(error)
                return {}
        return {name: texts_of(field.value) for name, field in result.fields.items()}

    async with Fleet.open(name) as fleet:
        if titles:
            await one(titles[0])  # the models are loaded
        failures.clear()
        began = time.monotonic()
        found = list(await asyncio.gather(*map(one, titles)))
    if failures and len(failures) == len(titles):
        raise failures[-1]
    for error in failures[:1]:
        print(f"{len(failures)} of {len(titles)} titles failed, as: {error}", file=sys.stderr)
    return found, time.monotonic() - began


def _graph(names: Sequence[str]) -> Any:
    graph = StateGraph(JobState, context_schema=Context)
    most = TOKENS_A_FIELD * max(4, len(names))
    graph.add_node("read", ask("text", INSTRUCTION, schema=schema_of(names), max_tokens=most))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def report(titles: Sequence[Title], answers: Sequence[Answers], read_s: float) -> dict[str, Any]:
    """The scores of all titles, and of each category."""
    counts = [counted(a, t.values, {*t.values, *a}) for t, a in zip(titles, answers, strict=True)]
    groups: dict[str, list[Any]] = {}
    for title, count in zip(titles, counts, strict=True):
        groups.setdefault(title.category, []).append(count)
    return {
        **total(counts).as_json(),
        "rows": len(titles),
        "rows_per_s": round(len(titles) / read_s, 2) if read_s else None,
        "categories": {name: total(some).as_json() for name, some in sorted(groups.items())},
    }


def main() -> None:
    """Parse the command line, read the titles, and print the scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--train", type=Path, help="titles to learn from")
    parser.add_argument("--rows", type=int, help="only the first N titles of FILE")
    parser.add_argument("--train-rows", type=int, help="only the first N titles of --train")
    parser.add_argument("--fleet", default="mini", help="the fleet that is asked without --train")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        scores = scored(given.file, given.train, given.rows, given.train_rows, given.fleet)
    except OrchestraError as error:
        sys.exit(f"error: {error}")
    if given.json:
        print(json.dumps(scores, ensure_ascii=False))
        return
    shares = ", ".join(f"{name} {scores[name]:.1%}" for name in ("f1", "precision", "recall"))
    print(f"{shares}: {scores['rows']} titles, {scores['rows_per_s']} a second")
    for name, one in scores["categories"].items():
        print(f"  {name}: F1 {one['f1']:.1%} of {one['true']} values")


def scored(
    file: Path,
    train_file: Path | None,
    rows: int | None = None,
    train_rows: int | None = None,
    fleet: str = "mini",
) -> dict[str, Any]:
    """The report of a file's titles. Raises `InvalidTable`, and what training raises."""
    titles = read_titles(file)[:rows]
    if train_file is None:
        answers, read_s = asyncio.run(with_bundled(titles, fleet))
        return report(titles, answers, read_s)
    known = read_titles(train_file, filled_only=True)[:train_rows]
    answers, train_s, read_s = with_trained(titles, labelled(known))
    return {
        **report(titles, answers, read_s),
        "train_rows": len(known),
        "train_s": round(train_s, 1),
    }


if __name__ == "__main__":
    main()
