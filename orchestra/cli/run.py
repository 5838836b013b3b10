"""`orchestra run`: one job through a graph, its answer on stdout."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from orchestra.cli.command import Output, command
from orchestra.cli.options import (
    DEFAULT_FLEET,
    LANGUAGE,
    PATH,
    budget_options,
    cache_of,
    cache_options,
    fleet_option,
    graph_option,
    image_limits_of,
    images_option,
    local_option,
    policy_option,
    private_option,
    tag_option,
)
from orchestra.core.job import Budget, Field, Job, Result
from orchestra.core.tags import read_tags
from orchestra.core.values import shown
from orchestra.fleet.opened import Build
from orchestra.fleet.runs import Runs
from orchestra.fleet.source import load_graph
from orchestra.observe import otlp

EPILOG = """\b
Examples:
  orchestra run "What is this?" --image photo.jpg
  orchestra run "红色纯棉衬衫" --image shirt.jpg --graph listing --language zh
  orchestra run "Red cotton shirt" --graph listing --cost-usd 0.01 --json
  orchestra run "What is this?" --image photo.jpg --cache ~/.cache/orchestra
  orchestra run "What is this?" --image photo.jpg --book spent.sqlite --tag client=acme
  orchestra run "A shirt" --graph shop.py:build --book spent.sqlite --thread shirt-7
"""


@command("run", EPILOG)
@click.argument("text", required=False)
@images_option
@graph_option("answer")
@fleet_option
@click.option("--language", type=LANGUAGE, default="auto")
@local_option
@private_option
@policy_option
@click.option(
    "--book", type=PATH, help="Keep in this book what is spent, and a run that asks something."
)
@click.option("--thread", help="Name of the run in the book, for `orchestra resume`.")
@tag_option
@cache_options
@budget_options
def run_command(
    text: str | None,
    images: tuple[str, ...],
    graph: str,
    fleet: str,
    language: str,
    local: bool,
    allow_private: bool,
    policy: Path | None,
    book: Path | None,
    thread: str | None,
    tags: tuple[str, ...],
    cache: Path | None,
    cache_mib: int | None,
    **limits: str | None,
) -> Output:
    """Run TEXT and photos through a graph. With graph `answer`, TEXT is the question."""
    otlp.begin()
    job = Job(
        text=text,
        images=images,
        budget=Budget(**limits),
        language=language,
        data="local" if local else "any",
        tags=read_tags(tags),
    )
    build, shared = load_graph(graph), cache_of(cache, cache_mib)
    photos = image_limits_of(allow_private)
    opened = Runs.open(fleet, policy=policy, book=book, cache=shared, image_limits=photos)
    result = asyncio.run(_run(opened, build, job, graph, thread))
    return Output(
        result.model_dump(mode="json"),
        answer_lines(result),
        notes(result, book, fleet, policy),
        is_failed=result.status == "failed",
    )


async def _run(opened: Runs, build: Build, job: Job, graph: str, thread: str | None) -> Result:
    async with opened as fleet:
        return await fleet.run(build, job, thread_id=thread, graph_name=graph)


def answer_lines(result: Result) -> list[str]:
    """The answer for a person: the text, or a line for each field, or what the run asks."""
    if result.status == "waiting":
        return [question.text for question in result.questions]
    if set(result.fields) != {"answer"}:
        return field_lines(result)
    field = result.fields["answer"]
    return [shown(field.value, "\n") if field.answered else f"(no answer: {field.note})"]


def notes(result: Result, book: Path | None, fleet: str, policy: Path | None) -> Iterator[str]:
    """What went wrong, how a run that waits goes on, and what it came to."""
    for error in result.errors:
        yield f"{error.stage}: {error.type}: {error.message}"
    yield from result.notes
    if result.status == "waiting" and book is None:
        yield "The run waits for an answer, and nothing keeps it: run it again with --book FILE."
    elif result.status == "waiting":
        words = ["orchestra", "resume", result.thread_id or "", "ANSWER", "--book", str(book)]
        # The book knows neither, and other models would go on with the run.
        words += ["--fleet", fleet] if fleet != DEFAULT_FLEET else []
        words += [] if policy is None else ["--policy", str(policy)]
        yield f"The run waits. Answer it: {shlex.join(words)}"
    seconds = f"{result.seconds:.2f} s"
    saved = f", {result.cached} calls from the cache (saved ${result.saved_usd:f})"
    over = f" (${result.overrun_usd:f} above bounds)" if result.overrun_usd else ""
    presumed = f" (${result.presumed_usd:f} presumed)" if result.presumed_usd else ""
    cost = f"${result.cost_usd:f}{over}{presumed}"
    yield f"[{result.status}, {cost}, {seconds}{saved if result.cached else ''}]"


def field_lines(result: Result) -> list[str]:
    """One line a field: name, value, source and confidence; abstentions with their reason."""
    width = max((len(name) for name in result.fields), default=0)
    return [f"{name:<{width}}  {_shown(field)}" for name, field in result.fields.items()]


def _shown(field: Field) -> str:
    if not field.answered:
        return f"-  ({field.note})"
    value = shown(field.value, " | ")
    sure = "" if field.confidence is None else f" {field.confidence:.2f}"
    if field.probability is not None:
        sure += f", right {field.probability:.0%}"
    flag = f"  CONTRADICTION: {field.note}" if field.contradiction else ""
    doubt = f"  REVIEW: {field.doubt}" if field.doubt else ""
    return f"{value}  [{field.source}{sure}]{flag}{doubt}"
