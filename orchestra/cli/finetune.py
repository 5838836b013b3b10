"""`orchestra finetune`: a model of a fleet, trained further on the user's own rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.finetune.order import PASSES, FinetuneSettings, Order
from orchestra.finetune.run import finetune

EPILOG = """\b
Examples:
  orchestra finetune --base mini/r1 --data mine.jsonl --out tuned
  orchestra finetune --base mini/vl --data photos.jsonl --out tuned --minutes 10
  orchestra finetune --base deepseek/r1-1.5b --data mine.jsonl --out tuned --method lora
\b
A line of the table (photos are relative to the table; an answer may also be one string):
  {"instruction": "Extract.", "text": "Red cup, 4 EUR", "answer": {"item": "cup", "eur": 4}}
  {"instruction": "What is it?", "image": "7.jpg", "answer": {"kind": "cup"}}
  {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
"""


@command("finetune", EPILOG)
@click.option("--base", default="mini/r1", help="Model: fleet/card.")
@click.option("--data", required=True, type=PATH, help="A .jsonl file.")
@click.option("--out", required=True, type=PATH, help="Folder to write.")
@click.option(
    "--method",
    type=click.Choice(["full", "lora"]),
    default="full",
    help="Train all weights, or low-rank adapters (PEFT) that are merged at the end.",
)
@click.option("--steps", type=int, help=f"Steps to take; otherwise {PASSES} passes over the rows.")
@click.option("--minutes", type=float, help="Wall clock instead of steps.")
@click.option("--val", default=0.2, help="Share of the rows held out.")
@click.option("--seed", default=0)
@click.option("--lr", type=float, help="Highest learning rate; otherwise by the model's size.")
@click.option("--batch", default=16, help="Rows of a step.")
@click.option("--snapshot-s", default=60.0, help="Seconds between states.")
def finetune_command(base: str, data: Path, out: Path, val: float, **settings: Any) -> Output:
    """Fine-tune a model on your own rows, score it on rows held out, and make it a fleet's model.

    The same command again goes on where a killed run stopped.
    """
    order = Order(base, data, out, val, FinetuneSettings(**settings))
    report = finetune(order, lambda line: click.echo(line, err=True))
    return Output(report, _lines(report, out))


def _lines(report: dict[str, Any], out: Path) -> Iterator[str]:
    width = max(len(name) for name in report["after"])
    for name, after in report["after"].items():
        before = report["before"][name]
        yield f"{name:<{width}}  {_shown(before)} -> {_shown(after)} of {after['asked']}"
    rows = report["rows"]
    yield (
        f"{report['model']}: {rows['train']} rows, {report['steps']} steps, {report['tokens']} "
        f"tokens, {report['seconds']:.0f} s, in {out}"
    )
    fleet = f"--fleet {shlex.quote(report['fleet'])}"
    if report["graph"] is None:
        yield f"Use it: orchestra serve {fleet}"
    else:
        job = "--image photo.jpg" if report["takes"] == "vision" else '"..."'
        graph = shlex.quote(report["graph"])
        yield f"Use it: orchestra run {job} --graph {graph} {fleet}"


def _shown(score: dict[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['share']:6.1%} [{low:.0%}, {high:.0%}]"
