"""`orchestra bench`: one table of every model of a fleet: right answers, latency, memory, size."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from orchestra.bench.footprint import Footprint, footprint, size_bytes
from orchestra.bench.measure import ACCOUNT, Measured, measure
from orchestra.bench.questions import Question, load_questions
from orchestra.budget.money import limit_micro
from orchestra.cli.options import fail, fleet_option, json_option, print_json
from orchestra.errors import ConfirmationNeeded, OrchestraError
from orchestra.fleet.card import Card
from orchestra.fleet.fleet import Fleet
from orchestra.job import Budget

EPILOG = """\b
Examples:
  orchestra bench
  orchestra bench --fleet fleet.yaml --questions mine.jsonl --cost-usd 2
\b
A line of a file of questions (photos are relative to the file):
  {"task": "vqa", "image": "7.jpg", "instruction": "How many apples?",
   "choices": ["1", "2", "3"], "answer": "2"}
"""


@click.command(epilog=EPILOG)
@fleet_option
@click.option(
    "--questions",
    default="mini",
    show_default=True,
    help="Questions: an installed set, or a .jsonl file.",
)
@click.option("--model", "models", multiple=True, help="Only this model (may be repeated).")
@click.option("--cost-usd", default=None, metavar="N", help="Most money to spend, in US dollars.")
@click.option("--no-memory", is_flag=True, help="Leave memory out, which loads each model anew.")
@json_option
def bench(
    fleet: str,
    questions: str,
    models: tuple[str, ...],
    cost_usd: str | None,
    no_memory: bool,
    as_json: bool,
) -> None:
    """Measure the models of a fleet on questions with known answers.

    Each model is asked all that it can take, one question at a time.
    """
    try:
        asked = load_questions(questions)
        rows = asyncio.run(_bench(fleet, asked, models, Budget(cost_usd=cost_usd), no_memory))
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json({"fleet": fleet, "questions": questions, "models": rows})
        return
    for row in rows:
        click.echo("\n".join(_shown(row)))


async def _bench(
    name: str, asked: Sequence[Question], models: Sequence[str], budget: Budget, no_memory: bool
) -> list[dict[str, Any]]:
    async with Fleet.open(name) as fleet:
        chosen = [fleet.file.card(model) for model in models] or [
            card for card in fleet.file.models if card.is_hosted
        ]
        _check_money(chosen, budget)
        limit = None if budget.cost_usd is None else limit_micro(budget.cost_usd)
        await fleet.ledger.open_account(ACCOUNT, cost_micro=limit)
        rows: list[dict[str, Any]] = []
        for card in chosen:
            click.echo(f"asking {card.name} ...", err=True)
            measured = await measure(fleet, card, asked)
            memory = None
            if card.hosting.worker is not None and not no_memory:
                memory = await asyncio.to_thread(footprint, name, card.name)
            rows.append(_row(card, measured, memory, size_bytes(card, fleet.folder)))
        return rows


def _check_money(cards: Sequence[Card], budget: Budget) -> None:
    paid = [card.name for card in cards if card.hosting.endpoint is not None]
    if paid and budget.cost_usd is None:
        raise ConfirmationNeeded(
            f"Measuring {', '.join(paid)} asks a server, which may cost money. "
            "Say the most that may be spent: --cost-usd 1"
        )


def _row(
    card: Card, measured: Measured, memory: Footprint | None, size: int | None
) -> dict[str, Any]:
    return {
        "model": card.name,
        "role": card.role,
        "scores": [
            asdict(score) | {"accuracy": round(score.accuracy, 4)} for score in measured.scores
        ],
        "latency_p50_ms": _rounded(measured.percentile_ms(0.5)),
        "latency_p95_ms": _rounded(measured.percentile_ms(0.95)),
        "memory": None if memory is None else asdict(memory),
        "size_mb": None if size is None else round(size / 1e6, 2),
        "cost_usd": str(measured.cost_usd),
        "failed": measured.failed,
        "errors": measured.errors,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _shown(row: dict[str, Any]) -> list[str]:
    """The lines of one model."""
    lines = [f"{row['model']} ({row['role']})"]
    for score in row["scores"]:
        low, high = score["interval"]
        lines.append(
            f"  {score['task']:<16} {score['accuracy']:6.1%} [{low:.1%}, {high:.1%}] of "
            f"{score['asked']}; commonest answer {score['baseline']:.1%}; "
            f"{score['abstained']} abstained"
        )
    if not row["scores"]:
        lines.append("  no question of the set is for it")
    if row["latency_p50_ms"] is not None:
        lines.append(
            f"  latency          p50 {row['latency_p50_ms']:.1f} ms, "
            f"p95 {row['latency_p95_ms']:.1f} ms, one question at a time"
        )
    if row["memory"] is not None:
        memory = row["memory"]
        lines.append(
            f"  memory           {memory['after_mib'] - memory['before_mib']:.0f} MiB more than "
            f"without it; {memory['peak_mib']:.0f} MiB its process at the most"
        )
    if row["size_mb"] is not None:
        lines.append(f"  size on disk     {row['size_mb']:.2f} MB")
    if row["failed"]:
        lines.append(f"  failed           {row['failed']}, such as: {_first(row['errors'])}")
    return lines


def _first(errors: dict[str, str]) -> str:
    kind, message = next(iter(errors.items()))
    return f"{kind}: {message}"
