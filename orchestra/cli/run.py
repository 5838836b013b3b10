"""`orchestra run`: one job through a graph, its answer on stdout."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from orchestra.app import Fleet
from orchestra.cli.options import (
    EXIT_FAILED,
    budget_of,
    budget_options,
    cache_of,
    cache_options,
    fail,
    fleet_option,
    graph_option,
    json_option,
    policy_option,
    print_json,
    tag_option,
)
from orchestra.core.errors import OrchestraError
from orchestra.core.job import Field, Job, Result
from orchestra.core.tags import read_tags
from orchestra.fleet.opened import Build
from orchestra.fleet.source import load_graph

EPILOG = """\b
Examples:
  orchestra run "What is this?" --image photo.jpg
  orchestra run "红色纯棉衬衫" --image shirt.jpg --graph listing --language zh
  orchestra run "Red cotton shirt" --graph listing --cost-usd 0.01 --json
  orchestra run "What is this?" --image photo.jpg --cache ~/.cache/orchestra
  orchestra run "What is this?" --image photo.jpg --book spent.sqlite --tag client=acme
"""


@click.command(epilog=EPILOG)
@click.argument("text", required=False)
@click.option("--image", "images", multiple=True, help="Photo: path, URL or data URI.")
@graph_option("answer")
@fleet_option
@click.option(
    "--language", type=click.Choice(["auto", "en", "zh"]), default="auto", show_default=True
)
@click.option("--local", is_flag=True, help="Use only models that keep data on this machine.")
@policy_option
@click.option(
    "--book", type=click.Path(path_type=Path), help="Note what is spent in this book as well."
)
@tag_option
@cache_options
@budget_options
@json_option
def run(
    text: str | None,
    images: tuple[str, ...],
    graph: str,
    fleet: str,
    language: str,
    local: bool,
    policy: Path | None,
    book: Path | None,
    tags: tuple[str, ...],
    cache: Path | None,
    cache_mib: int | None,
    as_json: bool,
    **limits: str | None,
) -> None:
    """Run TEXT and photos through a graph. With graph `answer`, TEXT is the question."""
    try:
        job = Job(
            text=text,
            images=images,
            budget=budget_of(**limits),
            language=language,
            data="local" if local else "any",
            tags=read_tags(tags),
        )
        build, shared = load_graph(graph), cache_of(cache, cache_mib)
        opened = Fleet.open(fleet, policy=policy, book=book, cache=shared)
        result = asyncio.run(_run(opened, build, job))
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        _print(result)
    if result.status == "failed":
        sys.exit(EXIT_FAILED)


async def _run(opened: Fleet, build: Build, job: Job) -> Result:
    async with opened as fleet:
        return await fleet.run(build, job)


def _print(result: Result) -> None:
    if set(result.fields) == {"answer"}:
        field = result.fields["answer"]
        click.echo(field.value if field.answered else f"(no answer: {field.note})")
    else:
        for line in field_lines(result):
            click.echo(line)
    for error in result.errors:
        click.echo(f"{error.stage}: {error.type}: {error.message}", err=True)
    seconds = f"{result.seconds:.2f} s"
    saved = f", {result.cached} calls from the cache (saved ${result.saved_usd:f})"
    told = f"{result.status}, ${result.cost_usd:f}, {seconds}{saved if result.cached else ''}"
    click.echo(f"[{told}]", err=True)


def field_lines(result: Result) -> list[str]:
    """One line a field: name, value, source and confidence; abstentions with their reason."""
    width = max((len(name) for name in result.fields), default=0)
    return [f"{name:<{width}}  {_shown(field)}" for name, field in result.fields.items()]


def _shown(field: Field) -> str:
    if not field.answered:
        return f"-  ({field.note})"
    value = " | ".join(field.value) if isinstance(field.value, list) else str(field.value)
    sure = "" if field.confidence is None else f" {field.confidence:.2f}"
    if field.probability is not None:
        sure += f", right {field.probability:.0%}"
    flag = f"  CONTRADICTION: {field.note}" if field.contradiction else ""
    doubt = f"  REVIEW: {field.doubt}" if field.doubt else ""
    return f"{value}  [{field.source}{sure}]{flag}{doubt}"
