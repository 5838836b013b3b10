"""`orchestra finetune`: own rows teach a reader of their fields, or train a model that writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.finetune.labelled import Labels
from orchestra.finetune.learn import learn
from orchestra.finetune.order import PASSES, FinetuneSettings, Order
from orchestra.finetune.reading import ReadingOrder
from orchestra.finetune.run import finetune

EPILOG = """\b
Examples:
  orchestra finetune --data products.csv --text title --fields brand,colour,size --out tuned
  orchestra finetune --data out --out tuned          (a batch that `orchestra label` labelled)
  orchestra finetune --data mine.jsonl --out tuned
  orchestra finetune --base mini/r1 --data mine.jsonl --out tuned --minutes 10
  orchestra finetune --base deepseek/r1-1.5b --data mine.jsonl --out tuned --method lora
\b
Without --base the rows teach a reader of their fields, in a minute, without torch. A table's empty
cell is not known; (none) says that there is nothing. With --base a model of a fleet is trained
further (torch); a line of its table is one of
  {"instruction": "Extract.", "text": "Red cup, 4 EUR", "answer": {"item": "cup", "eur": 4}}
  {"instruction": "What is it?", "image": "7.jpg", "answer": {"kind": "cup"}}
  {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
"""
COMPARED_WITH = "mini/encoder"
TRAINED = "mini/r1"
SHOWN = 12  # fields that are told one by one


@command("finetune", EPILOG)
@click.option("--data", required=True, type=PATH, help="A table, .jsonl file or batch's folder.")
@click.option("--out", required=True, type=PATH, help="Folder to write.")
@click.option("--base", help="Model to train further: fleet/card.")
@click.option(
    "--method",
    type=click.Choice(["reader", "full", "lora"]),
    help="Learn fields (the default), or train the base's weights: all, or adapters (PEFT).",
)
@click.option("--text", help="Columns of the texts, with commas.")
@click.option("--fields", help="Columns to learn, with commas (default: all others).")
@click.option("--group", help="Column that says what kind of row it is, as a category.")
@click.option("--gold", type=PATH, help="Gold set of the batch (default: its gold.csv).")
@click.option("--steps", type=int, help=f"Steps to take; otherwise {PASSES} passes over the rows.")
@click.option("--minutes", type=float, help="Wall clock instead of steps.")
@click.option("--val", default=0.2, help="Share of the rows held out.")
@click.option("--seed", default=0)
@click.option("--lr", type=float, help="Highest learning rate; otherwise by the model's size.")
@click.option("--batch", default=16, help="Rows of a step.")
@click.option("--snapshot-s", default=60.0, help="Seconds between states.")
def finetune_command(
    base: str | None,
    data: Path,
    out: Path,
    method: str | None,
    text: str | None,
    fields: str | None,
    group: str | None,
    gold: Path | None,
    val: float,
    seed: int,
    **settings: Any,
) -> Output:
    """Learn from your own rows, score it on rows held out, and make it a fleet's model.

    The same command again goes on where a killed run stopped.
    """
    if (method or ("reader" if base is None else "full")) == "reader":
        labels = Labels(data, gold, _names(text), group, _names(fields))
        report = learn(ReadingOrder(labels, out, val, seed, base or COMPARED_WITH), _say)
        return Output(report, _reader_lines(report, out))
    chosen = FinetuneSettings(method="lora" if method == "lora" else "full", seed=seed, **settings)
    report = finetune(Order(base or TRAINED, data, out, val, chosen), _say)
    return Output(report, _lines(report, out))


def _say(line: str) -> None:
    click.echo(line, err=True)


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name for part in (given or "").split(",") if (name := part.strip()))


def _reader_lines(report: dict[str, Any], out: Path) -> Iterator[str]:
    often = sorted(report["fields"].items(), key=lambda pair: -pair[1]["true"])[:SHOWN]
    width = max((len(name) for name, _ in often), default=0)
    for name, score in often:
        yield f"{name:<{width}}  F1 {score['f1']:6.1%} of {score['true']} values"
    rows, score = report["rows"], report["score"]
    yield (
        f"all fields: F1 {score['f1']:.1%}, precision {score['precision']:.1%}, recall "
        f"{score['recall']:.1%} on {rows['held_out']} rows held out"
    )
    yield _comparison(report)
    yield f"{report['model']}: {rows['train']} rows, {report['seconds']:.0f} s, in {out}"
    yield from _use(report)


def _comparison(report: dict[str, Any]) -> str:
    beside = report["compared"]
    if beside is None:
        return f"{report['base']} was not asked: {report['not_compared']}"
    low, high = beside["gain"]
    told = (
        f"{beside['before']['f1']:.1%} -> {beside['after']['f1']:.1%} on {beside['rows']} of them, "
        f"a difference of [{low:+.1%}, {high:+.1%}]"
    )
    if beside["better"]:
        return f"better than {report['base']}: F1 {told}"
    return f"no better than {report['base']} beyond noise: F1 {told}. Label more rows."


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
    yield from _use(report)


def _use(report: dict[str, Any]) -> Iterator[str]:
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
