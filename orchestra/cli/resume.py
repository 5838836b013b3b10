"""`orchestra resume`: goes on with runs that wait for an answer: of a book, or rows of a batch."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.batch.folder import BOOK
from orchestra.batch.output.questions import SHEET, read_answer, read_answers
from orchestra.batch.output.summary import Summary
from orchestra.batch.parked import WaitingRow
from orchestra.batch.progress import Bar
from orchestra.batch.resume import list_waiting
from orchestra.cli.batch import summary_lines
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, cache_of, cache_options, fleet_option, policy_option
from orchestra.cli.run import answer_lines, notes
from orchestra.core.errors import UsageError
from orchestra.core.job import Budget, Result
from orchestra.fleet.source import load_graph
from orchestra.graph.threads import Thread

EPILOG = """\b
Examples:
  orchestra resume --book spent.sqlite
  orchestra resume shirt-7 yes --book spent.sqlite
  orchestra resume shirt-7 '{"colour": "red"}' --book spent.sqlite --graph shop.py:build
  orchestra resume out
  orchestra resume out 1007 yes
  orchestra resume out --answers out/waiting.csv
  orchestra resume out --all approved
"""


@command("resume", EPILOG)
@click.argument("target", required=False, metavar="[THREAD|OUT]")
@click.argument("words", nargs=-1, metavar="[ROW] [ANSWER]")
@click.option("--book", type=PATH, help="The book that the run THREAD began under.")
@click.option(
    "--answers",
    type=PATH,
    help="Answers to rows of OUT: a table with the columns id and answer, as OUT/waiting.csv.",
)
@click.option("--all", "to_all", metavar="ANSWER", help="Answer all rows of OUT alike.")
@click.option("--cost-usd", help="Another cap of the whole batch in OUT, in US dollars.")
@click.option("--tokens", help="Another cap of the whole batch in OUT, in tokens.")
@click.option("--graph", help="The graph, where the book does not say (as `run` takes it).")
@fleet_option
@policy_option
@cache_options
def resume_command(
    target: str | None,
    words: tuple[str, ...],
    book: Path | None,
    answers: Path | None,
    to_all: str | None,
    cost_usd: str | None,
    tokens: str | None,
    graph: str | None,
    fleet: str,
    policy: Path | None,
    cache: Path | None,
    cache_mib: int | None,
) -> Output:
    """Go on with the run THREAD, or with rows of the batch in OUT, which asked something.

    An ANSWER is JSON, or a text. Without one those that wait are listed; a run that was left or
    stops at a breakpoint goes on without. Budget, deadline and photos are those that it began with.
    """
    store = cache_of(cache, cache_mib)
    caps = None
    if cost_usd is not None or tokens is not None:
        caps = Budget(cost_usd=cost_usd, tokens=tokens)
    if book is None and target is not None and (Path(target) / BOOK).exists():
        out = Path(target)
        spec, rows = list_waiting(out)
        given = _given(rows, words, answers, to_all)
        if not given and caps is not None:
            raise UsageError(
                f"A cap ({caps.model_dump(exclude_none=True)}) bounds what answered rows spend, "
                "and no answer is given. Give ROW and ANSWER, --answers FILE or --all with it."
            )
        if not given:
            return Output([row.public() for row in rows], _row_lines(out, rows))
        name = fleet if _is_typed("fleet") else spec.fleet
        opened = Fleet.open(name, policy=policy or spec.policy, cache=store)
        return _summed(asyncio.run(_resumed_rows(opened, out, given, graph, caps)))
    _check_run(target, words, book, {"--answers": answers, "--all": to_all, "a cap": caps})
    opened = Fleet.open(fleet, policy=policy, book=book, cache=store)
    if target is None:
        threads = asyncio.run(_threads(opened))
        public = [each.model_dump(mode="json") for each in threads]
        return Output(public, _thread_lines(threads))
    answer = read_answer(words[0]) if words else None
    result = asyncio.run(_resumed(opened, target, answer, graph))
    return Output(
        result.model_dump(mode="json"),
        answer_lines(result),
        notes(result, book, fleet, policy),
        is_failed=result.status == "failed",
    )


def _is_typed(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def _given(
    rows: Sequence[WaitingRow], words: Sequence[str], answers: Path | None, to_all: str | None
) -> dict[str, Any]:
    """The answers to rows of a batch, in the one way that they were given; none to list them."""
    ways = [bool(words), answers is not None, to_all is not None]
    if sum(ways) > 1:
        raise UsageError(
            "Answers are given in two ways. Give either ROW and ANSWER, --answers FILE, or --all."
        )
    if to_all is not None:
        return {row.row_id: row.alike(read_answer(to_all)) for row in rows}
    if answers is not None:
        return read_answers(answers)
    if len(words) > 2:
        raise UsageError(f"A row takes one answer, and {list(words[1:])!r} are more. Quote it.")
    if len(words) == 1:
        stopping = [row.row_id for row in rows if not row.open_ids]
        if words[0] not in stopping:
            raise UsageError(f"Row {words[0]!r} needs an answer. Give it behind the row.")
    return {words[0]: read_answer(words[1]) if words[1:] else None} if words else {}


async def _resumed_rows(
    opened: Fleet, out: Path, answers: Mapping[str, Any], graph: str | None, caps: Budget | None
) -> Summary:
    build = None if graph is None else load_graph(graph)
    async with opened as fleet:
        return await fleet.resume_batch(out, answers, build=build, budget=caps, progress=Bar())


def _summed(summary: Summary) -> Output:
    stopped = [f"{summary.stopped}."] if summary.stopped else []
    lines = summary_lines(summary)
    return Output(summary.public(), lines, stopped, is_failed=bool(summary.stopped))


def _row_lines(out: Path, rows: Sequence[WaitingRow]) -> Iterator[str]:
    if not rows:
        yield "No row of this batch waits."
        return
    width = max(len("id"), *(len(row.row_id) for row in rows))
    yield f"{'id':<{width}}  {'row':>6}  asks"
    for row in rows:
        for question in row.questions:
            of_several = f"  ({question.id})" * (len(row.questions) > 1)
            yield f"{row.row_id:<{width}}  {row.ordinal:>6}  {question.text}{of_several}"
    folder = shlex.quote(str(out))
    yield f"Answer one: orchestra resume {folder} {shlex.quote(rows[0].row_id)} ANSWER"
    yield f"Answer many: fill in {SHEET} and orchestra resume {folder} --answers {folder}/{SHEET}"


def _check_run(
    target: str | None, words: Sequence[str], book: Path | None, of_batch: Mapping[str, Any]
) -> None:
    """Raise `UsageError` for what names neither a run of a book nor rows of a batch."""
    for option, value in of_batch.items():
        if value is not None:
            raise UsageError(
                f"{option} is for rows of a batch, and {target!r} is no output folder of one. Give "
                "the folder that `orchestra batch --out` wrote."
            )
    if len(words) > 1:
        raise UsageError(
            f"A run takes one answer, and {list(words)!r} are {len(words)}. Quote it; for a row of "
            "a batch, give the folder that `orchestra batch --out` wrote first."
        )
    if book is None:
        raise UsageError(
            "A run waits in the book that it began under, and no --book is given. Give the file "
            "that `orchestra run --book` was given; for rows of a batch, give its output folder."
        )
    if not book.exists():
        raise UsageError(f"There is no book {str(book)!r}. Give the one that the run began under.")


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
