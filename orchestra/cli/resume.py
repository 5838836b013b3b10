"""`orchestra resume`: goes on with a run that waits for an answer, or that was left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, cache_of, cache_options, fleet_option, policy_option
from orchestra.cli.run import answer_lines, notes
from orchestra.core.errors import UsageError
from orchestra.core.job import Result
from orchestra.fleet.source import load_graph
from orchestra.graph.threads import Thread

EPILOG = """\b
Examples:
  orchestra resume --book spent.sqlite
  orchestra resume shirt-7 yes --book spent.sqlite
  orchestra resume shirt-7 '{"colour": "red"}' --book spent.sqlite --graph shop.py:build
"""


@command("resume", EPILOG)
@click.argument("thread", required=False)
@click.argument("answer", required=False)
@click.option("--book", type=PATH, help="The book that the run began under.")
@click.option("--graph", help="Its graph, where the book does not say (as `run` takes it).")
@fleet_option
@policy_option
@cache_options
def resume_command(
    thread: str | None,
    answer: str | None,
    book: Path | None,
    graph: str | None,
    fleet: str,
    policy: Path | None,
    cache: Path | None,
    cache_mib: int | None,
) -> Output:
    """Go on with the run THREAD, which asked something, with its ANSWER: JSON, or a text.

    Without an ANSWER, a run that was left or stops at a breakpoint goes on; without a THREAD, those
    that wait in the book are listed. Budget, deadline and photos are those that the run began with.
    """
    if book is None:
        raise UsageError(
            "A run waits in the book that it began under, and no --book is given. Give the file "
            "that `orchestra run --book` was given."
        )
    if not book.exists():
        raise UsageError(f"There is no book {str(book)!r}. Give the one that the run began under.")
    opened = Fleet.open(fleet, policy=policy, book=book, cache=cache_of(cache, cache_mib))
    if thread is None:
        threads = asyncio.run(_threads(opened))
        public = [each.model_dump(mode="json") for each in threads]
        return Output(public, _thread_lines(threads))
    result = asyncio.run(_resumed(opened, thread, read_answer(answer), graph))
    return Output(
        result.model_dump(mode="json"),
        answer_lines(result),
        notes(result, book),
        is_failed=result.status == "failed",
    )


def read_answer(text: str | None) -> Any:
    """An answer as it is typed: JSON where it is that, else the text itself."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _threads(opened: Fleet) -> list[Thread]:
    async with opened as fleet:
        return await fleet.threads()


async def _resumed(opened: Fleet, thread_id: str, answer: Any, graph: str | None) -> Result:
    async with opened as fleet:
        thread = await fleet.thread(thread_id)
        asked = [question for question in thread.questions if question.id]
        if answer is None and asked:
            raise UsageError(
                f"The run {thread_id!r} asks: {asked[0].text} Give the answer behind its name."
            )
        name = graph or thread.graph
        if name is None:
            raise UsageError(
                f"The book does not say of which graph the run {thread_id!r} is. Give --graph."
            )
        return await fleet.resume(load_graph(name), thread_id, answer)


def _thread_lines(threads: list[Thread]) -> Iterator[str]:
    if not threads:
        yield "Nothing waits in this book."
    for thread in threads:
        yield f"{thread.thread_id}  [{thread.status}]  {thread.graph or ''}".rstrip()
        for question in thread.questions:
            yield f"  {question.text}" + (f"  ({question.id})" * (len(thread.questions) > 1))
