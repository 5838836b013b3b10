"""`orchestra bench`: one table of every model of a fleet: right answers, latency, memory, size."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.bench.measure import BenchSettings, bench, machine
from orchestra.bench.questions import Question, load_questions
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, fleet_option
from orchestra.core.job import Budget
from orchestra.core.text_table import joint_table, model_table

EPILOG = """\b
Examples:
  orchestra bench
  orchestra bench --model r1 --per-kind 20
  orchestra bench --data photos --json > bench.json
  orchestra bench --fleet fleet.yaml --questions mine.jsonl --cost-usd 2
\b
--data adds the photos of grocery/val.csv (image,name,category) and clothing/val.csv
(image,category) in that folder.
\b
A line of a file of questions (photos are relative to the file):
  {"task": "vqa", "image": "7.jpg", "instruction": "How many apples?",
   "choices": ["1", "2", "3"], "answer": "2"}
"""


@command("bench", EPILOG)
@fleet_option
@click.option("--model", "models", multiple=True, help="Only this model (may be repeated).")
@click.option(
    "--questions",
    default="mini",
    help="An installed set, module:function, or a .jsonl file.",
)
@click.option("--data", type=PATH, help="Folder of real photos to ask about, too.")
@click.option(
    "--per-kind", type=click.IntRange(1), metavar="N", help="At most N questions of each kind."
)
@click.option("--cost-usd", metavar="N", help="Most money to spend, in US dollars.")
@click.option("--no-memory", is_flag=True, help="Leave memory out, which loads each model anew.")
def bench_command(
    fleet: str,
    models: tuple[str, ...],
    questions: str,
    data: Path | None,
    per_kind: int | None,
    cost_usd: str | None,
    no_memory: bool,
) -> Output:
    """Measure the models of a fleet on questions with known answers.

    Each model is asked all that it can take, one question at a time.
    """
    settings = BenchSettings(models, Budget(cost_usd=cost_usd), per_kind, not no_memory)
    rows = asyncio.run(_bench(fleet, load_questions(questions, data), settings))
    public = {
        "fleet": fleet,
        "questions": questions,
        "photos": data is not None,
        "per_kind": per_kind,
        "machine": machine(),
        "models": rows,
    }
    tables = [joint_table(rows), *map(model_table, rows)]
    lines = ["\n\n".join("\n".join(table) for table in tables)]
    return Output(public, lines, is_failed=all(row["error"] is not None for row in rows))


async def _bench(
    name: str, questions: Sequence[Question], settings: BenchSettings
) -> list[dict[str, Any]]:
    async with Fleet.open(name) as fleet:
        return await bench(fleet, questions, settings, say=lambda line: click.echo(line, err=True))
