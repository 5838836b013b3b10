"""`orchestra finetune`: a model of a fleet, trained further on the user's own rows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from orchestra.cli.options import fail, json_option, print_json
from orchestra.core.errors import OrchestraError
from orchestra.finetune.order import PASSES, Order, Settings
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


@click.command("finetune", epilog=EPILOG)
@click.option("--base", default="mini/r1", show_default=True, help="Model: fleet/card.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A .jsonl file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option(
    "--method",
    type=click.Choice(["full", "lora"]),
    default="full",
    show_default=True,
    help="Train all weights, or low-rank adapters (PEFT) that are merged at the end.",
)
@click.option("--steps", type=int, help=f"Steps to take; otherwise {PASSES} passes over the rows.")
@click.option("--minutes", type=float, help="Wall clock instead of steps.")
@click.option("--val", default=0.2, show_default=True, help="Share of the rows held out.")
@click.option("--seed", default=0, show_default=True)
@click.option("--lr", type=float, help="Highest learning rate; otherwise by the model's size.")
@click.option("--batch", default=16, show_default=True, help="Rows of a step.")
@click.option("--snapshot-s", default=60.0, show_default=True, help="Seconds between states.")
@json_option
def finetune_command(
    base: str, data: Path, out: Path, val: float, as_json: bool, **settings: Any
) -> None:
    """Fine-tune a model on your own rows, score it on rows held out, and make it a fleet's model.

    The same command again goes on where a killed run stopped.
    """
    try:
        order = Order(base, data, out, val, Settings(**settings))
        report = finetune(order, lambda line: click.echo(line, err=True))
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(report)
    else:
        _print(report, out)


def _print(report: dict[str, Any], out: Path) -> None:
    width = max(len(name) for name in report["after"])
    for name, after in report["after"].items():
        before = report["before"][name]
        click.echo(f"{name:<{width}}  {_shown(before)} -> {_shown(after)} of {after['asked']}")
    rows = report["rows"]
    click.echo(
        f"{report['model']}: {rows['train']} rows, {report['steps']} steps, {report['tokens']} "
        f"tokens, {report['seconds']:.0f} s, in {out}"
    )
    fleet = f"--fleet {shlex.quote(report['fleet'])}"
    if report["graph"] is None:
        click.echo(f"Use it: orchestra serve {fleet}")
    else:
        asked = '"..."' if report["takes"] == "text" else "--image photo.jpg"
        graph = shlex.quote(report["graph"])
        click.echo(f"Use it: orchestra run {asked} --graph {graph} {fleet}")


def _shown(score: dict[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['share']:6.1%} [{low:.0%}, {high:.0%}]"
