"""`orchestra models`: the cards of a fleet: what each takes, costs, and is good for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict

import click

from orchestra.app import Fleet
from orchestra.cli.command import Output, command
from orchestra.cli.options import fleet_option
from orchestra.core.card import Card
from orchestra.core.errors import InvalidFleet, UsageError
from orchestra.core.identity import snapshot
from orchestra.core.latency import Latency
from orchestra.core.values import duration
from orchestra.fleet.check import Check
from orchestra.fleet.check import check as check_model
from orchestra.fleet.source import load_fleet

EPILOG = """\b
Examples:
  orchestra models
  orchestra models --fleet article --json
  orchestra models --check my.yaml
  orchestra models --check my.yaml --question "Is it ripe?"
"""


@command("models", EPILOG)
@click.argument("file", required=False)
@fleet_option
@click.option("--check", is_flag=True, help="Load each model, ask it one question, say what fails.")
@click.option("--question", help="What --check asks (default: the card's example, or any text).")
def models_command(file: str | None, fleet: str, check: bool, question: str | None) -> Output:
    """List the models of a fleet (FILE, or --fleet), or check that each one works."""
    if question is not None and not check:
        raise UsageError(
            f"--question {question!r} is asked by --check alone. Give --check as well."
        )
    if check:
        return asyncio.run(_checked(file or fleet, question))
    return _listed(file or fleet)


async def _checked(name: str, question: str | None) -> Output:
    """Each model asked in turn; a file that is no fleet is what is wrong as well."""
    try:
        opened = Fleet.open(name)
    except InvalidFleet as error:
        line = f"{error.kind}: {error}"
        return Output({"fleet": name, "problem": line, "models": []}, [line], is_failed=True)
    async with opened as fleet:
        checks = [await check_model(fleet, card, question) for card in fleet.file.models]
    public = {
        "fleet": name,
        "problem": None,
        "models": [{**asdict(check), "status": check.status} for check in checks],
    }
    wrong = [check for check in checks if check.status == "wrong"]
    lines = [line for check in checks for line in _check_lines(check)]
    ending = f"{len(wrong)} of {len(checks)} models wrong" if wrong else ""
    return Output(public, lines, [ending] * bool(wrong), bool(wrong))


def _check_lines(check: Check) -> Iterator[str]:
    if check.status == "ok":
        yield (
            f"{check.model}: ok, loaded in {duration(check.load_s or 0)}, answered in "
            f"{duration(check.answer_s or 0)}: {check.answer or 'nothing'}"
        )
    else:
        yield f"{check.model}: {check.problem or check.status}"
    for note in check.notes:
        yield f"  {note}"


def _listed(fleet: str) -> Output:
    file, _ = load_fleet(fleet)
    lines = [f"{file.name}: {file.about}\n{file.domain}\n", *map(_described, file.models)]
    lines.append(f"snapshot {snapshot(file)}")
    return Output(file.model_dump(mode="json") | {"snapshot": snapshot(file)}, lines)


def _described(card: Card) -> str:
    takes = ", ".join(card.capabilities)
    lines = [f"{card.name} ({card.role}): takes {takes}. {card.about}"]
    lines += [f"  can: {card.can}"] if card.can else []
    lines += [f"  cannot: {card.cannot}"] if card.cannot else []
    lines += [f"  measured: {score}" for score in card.scores]
    for task, quality in card.quality.items():
        lines.append(f"  quality {task}: {quality.score} ({quality.origin}, {quality.measure})")
    lines.append(f"  hosting: {_hosting(card)}; data goes to: {card.data_goes_to}")
    lines += [f"  latency: {_latency(card.latency)}"] if card.latency is not None else []
    lines += [f"  when it is unavailable: {card.fallback}"] if card.fallback else []
    lines += (
        [f"  estimated, not the source's: {', '.join(card.estimated)}"] if card.estimated else []
    )
    return "\n".join(lines) + "\n"


def _latency(known: Latency) -> str:
    return (
        f"{known.origin} on {known.calls} calls, {known.fixed_ms:g} ms and "
        f"{known.ms_per_output_token:g} ms a token out; 99 of 100 within {known.p99_ratio:g} times "
        "what is planned"
    )


def _hosting(card: Card) -> str:
    if card.hosting.endpoint is not None:
        return f"{card.hosting.endpoint.model} at {card.hosting.endpoint.shown_url}"
    return f"{card.hosting.memory_gib:g} GiB, local" if card.is_hosted else "planning only"
