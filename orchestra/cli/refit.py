"""`orchestra refit`: how long a fleet's calls take, fitted from a book; the user accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestra.batch.folder import book_path
from orchestra.book.book import Book
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, fleet_option
from orchestra.core.errors import InvalidFleet
from orchestra.core.identity import snapshot
from orchestra.core.job import Result
from orchestra.core.latency import Latency
from orchestra.fleet.fitted import latency_path, write_copy, write_fitted
from orchestra.fleet.source import load_fleet
from orchestra.refit.fit import TimedJob
from orchestra.refit.refit import ModelFit, Refit, refit

EPILOG = """\b
Examples:
  orchestra refit out --fleet shop.yaml
  orchestra refit out --fleet shop.yaml --accept
  orchestra refit out --fleet mini --out latency.yaml
  orchestra refit out --fleet mini --accept --as mine.yaml
"""


@command("refit", EPILOG)
@click.argument("book", type=PATH)
@fleet_option
@click.option(
    "--out",
    type=PATH,
    metavar="FILE",
    help="Write what was found to FILE; no fleet reads it there.",
)
@click.option("--accept", is_flag=True, help="Write it beside the fleet's file, which reads it.")
@click.option(
    "--as",
    "copy",
    type=PATH,
    metavar="FILE",
    help="With --accept: make FILE, a copy of the fleet, and change only that.",
)
def refit_command(
    book: Path, fleet: str, out: Path | None, accept: bool, copy: Path | None
) -> Output:
    """Fit how long the models of a fleet take, from the calls in BOOK (or a batch's folder).

    Shows old and new, and the error of both on calls that the fit has not seen. Prices stay.
    Nothing changes without --accept.
    """
    file, folder = load_fleet(fleet)
    target = _target(fleet, copy) if accept else None
    with Book.open(book_path(book), exclusive=False) as opened:
        found = refit(file, opened.timed_calls(), list(_jobs(opened)))
    if out is not None:
        write_fitted(out, found.new)
    if target is not None and copy is not None:
        write_copy(target, found.new, folder)
    if target is not None:
        write_fitted(latency_path(target), found.new)
    accepted = None if target is None else str(latency_path(target))
    return Output(found.public() | {"accepted": accepted}, _lines(found, target))


def _target(fleet: str, copy: Path | None) -> Path:
    """The fleet's file that is to read what was found."""
    if copy is not None:
        if copy.suffix not in (".yaml", ".yml"):
            raise InvalidFleet(f"--as {str(copy)!r} names no .yaml file. Give it that ending.")
        if copy.exists():
            raise InvalidFleet(f"--as {str(copy)!r} exists already. Name a new file.")
        return copy
    if not fleet.endswith((".yaml", ".yml")):
        raise InvalidFleet(
            f"The fleet {fleet!r} comes with a package, whose files stay as they are. Give "
            "--as mine.yaml for a copy of your own that reads what was found."
        )
    return Path(fleet)


def _jobs(book: Book) -> Iterator[TimedJob]:
    """The finished rows whose every call was made, and that say how long models worked.

    One that waited for a person was not timed as a whole.
    """
    for row in book.rows():
        result = Result.model_validate_json(row.record_json)
        if not result.model_seconds or result.errors or result.thread_id is not None:
            continue
        if any(call.reused for call in result.calls):
            continue
        own = result.intake_seconds + result.seconds - result.model_seconds
        whole = result.intake_seconds + result.seconds
        yield TimedJob(
            own * 1000, len(result.calls), len(result.images), row.account or "", whole * 1000
        )


def _lines(found: Refit, target: Path | None) -> Iterator[str]:
    for fit in found.models:
        yield _line(fit)
        if fit.latency is not None:
            yield f"  old  {_parts(found.old.card(fit.model).latency)}"
            yield f"  new  {_parts(fit.latency)}"
    if found.overhead is not None:
        own = found.overhead
        yield (
            f"the jobs' own time: {own.job_ms:g} ms, {own.ms_per_call:g} a call, "
            f"{own.ms_per_image:g} a photo, over {own.jobs} jobs"
        )
    if found.whole_jobs is not None:
        whole = found.whole_jobs
        yield (
            f"whole jobs: 99 of 100 end within {whole.p99_ratio:g} times what is expected, as "
            f"{whole.jobs} jobs did that their fit had not seen; deadlines are accepted by that"
        )
    yield f"snapshot {snapshot(found.old)} would be {snapshot(found.new)}"
    if target is None:
        yield "Nothing was changed. Accept it with --accept."
    else:
        yield f"accepted: {latency_path(target)}, read with {target}"


def _line(fit: ModelFit) -> str:
    if fit.before is None or fit.after is None or fit.gain is None or fit.in_bound is None:
        return f"{fit.model}: stays as it is: {fit.why}"
    line = (
        f"{fit.model}: median error {fit.before:.1%} before, {fit.after:.1%} after, on "
        f"{fit.held_out} calls held out of {fit.calls} (gain {fit.gain[0]:.1%} to "
        f"{fit.gain[1]:.1%}); {fit.in_bound:.1%} within the new bound"
    )
    return f"{line}; stays as it is: {fit.why}" if fit.why else line


def _parts(latency: Latency | None) -> str:
    if latency is None:
        return "the card's profile, without slowdown or spread"
    return (
        f"{latency.fixed_ms:g} ms, {latency.ms_per_input_token:g} a token in, "
        f"{latency.ms_per_output_token:g} out, {latency.ms_per_image:g} a photo; "
        f"+{latency.slowdown_per_call:.0%} a call beside it, "
        f"+{latency.slowdown_per_neighbour:.0%} a neighbour; 99 of 100 within "
        f"{latency.p99_ratio:g} times; {len(latency.answers)} asks known"
    )
