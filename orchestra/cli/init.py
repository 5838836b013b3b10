"""`orchestra init`: finds models that the user has, writes a fleet, and proves it with one job."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from orchestra.app import Fleet
from orchestra.cli.options import EXIT_FAILED, fail, json_option, print_json
from orchestra.core.atomic import atomic_file
from orchestra.core.errors import ConfirmationNeeded, OrchestraError, UsageError
from orchestra.core.job import Job, Result
from orchestra.core.money import dollars, usd
from orchestra.fleet.source import load_graph
from orchestra.setup.discover import Server, Surroundings, listed_models, look_around
from orchestra.setup.draft import Choice, choose, draft_cards, fleet_text
from orchestra.setup.handshake import settle_on

PROOF = "A red cotton shirt, made in Italy."
NOWHERE = Surroundings((), (), ())
EPILOG = """\b
Examples:
  orchestra init
  orchestra init --provider deepseek --yes
  orchestra init --url http://gpu-box:8000/v1 --model my-model --out gpu.yaml
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    out: Path
    url: str | None
    provider: str | None
    key_env: str | None
    model: str | None
    vision_model: str | None
    prices: tuple[str | None, str | None]
    yes: bool
    run: bool
    force: bool
    as_json: bool


@click.command(epilog=EPILOG)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("fleet.yaml"), show_default=True
)
@click.option("--url", help="A server to connect, up to and with /v1.")
@click.option("--provider", help="A provider whose key was found, by name.")
@click.option("--key-env", help="Environment variable that holds the key of --url.")
@click.option("--model", help="The text model, as its server calls it.")
@click.option("--vision-model", help="The model for photos, as its server calls it.")
@click.option("--input-price", help="US dollars for a million tokens in.")
@click.option("--output-price", help="US dollars for a million tokens out.")
@click.option("--yes", is_flag=True, help="Agree to send one small job to a server elsewhere.")
@click.option("--no-run", is_flag=True, help="Write the fleet without trying it.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
def init(
    out: Path, no_run: bool, input_price: str | None, output_price: str | None, **options: Any
) -> None:
    """Connect the models you have: find them, write a fleet file, and run one job on it."""
    wanted = Wanted(out=out, run=not no_run, prices=(input_price, output_price), **options)
    try:
        report = asyncio.run(_init(wanted))
    except OrchestraError as error:
        fail(error, as_json=wanted.as_json)
    if wanted.as_json:
        print_json(report)
    if report.get("proof", {}).get("status") == "failed":
        sys.exit(EXIT_FAILED)


async def _init(wanted: Wanted) -> dict[str, Any]:
    if wanted.out.exists() and not wanted.force:
        raise UsageError(f"{wanted.out} exists already. Give --force to overwrite it, or --out.")
    for price in wanted.prices:
        _check_price(price)
    found = NOWHERE if wanted.url else await look_around()
    _tell_found(found, wanted)
    server = _pick(found, wanted)
    if not server.is_local:
        _agree(server, wanted)
    if not server.models and (wanted.model is None or server.is_local):
        server = replace(server, models=await listed_models(server.url, server.key_env))
    choice = choose(server, wanted.model, wanted.vision_model)
    choice = replace(choice, input_price=wanted.prices[0], output_price=wanted.prices[1])
    return await _write_and_prove(choice, found, wanted)


async def _write_and_prove(choice: Choice, found: Surroundings, wanted: Wanted) -> dict[str, Any]:
    cards = draft_cards(choice)
    tried = 0
    if wanted.run:
        cards, tried = await settle_on(cards)
    notes = _notes(choice, wanted)
    with atomic_file(wanted.out) as file:
        file.write(fleet_text(cards, wanted.out.stem, notes).encode())
    _say(f"wrote {wanted.out}: {', '.join(card.name for card in cards)}", wanted)
    for note in notes:
        _say(f"note: {note}", wanted)
    report: dict[str, Any] = {
        "fleet": str(wanted.out),
        "models": {card.name: card.about for card in cards},
        "found": [{"name": s.name, "url": s.url} for s in found.servers],
        "gpus": list(found.gpus),
        "missing": list(found.missing),
        "notes": notes,
    }
    if wanted.run:
        result = await _prove(wanted.out)
        report["proof"] = _proof(result, tried)
        _tell_proof(result, report["proof"], wanted)
    return report


async def _prove(path: Path) -> Result:
    async with Fleet.open(str(path)) as fleet:
        return await fleet.run(load_graph("answer"), Job(text=PROOF))


def _proof(result: Result, tried_micro: int) -> dict[str, Any]:
    answered = next((call.model for call in reversed(result.calls) if call.error is None), None)
    is_proved = answered == "text" and result.answer is not None
    abstained = [
        field.note for field in result.fields.values() if field.note and not field.answered
    ]
    return {
        "status": result.status if is_proved else "failed",
        "asked": PROOF,
        "answer": result.answer,
        "model": answered,
        "cost_usd": float(result.cost_usd + usd(tried_micro)),
        "seconds": result.seconds,
        "errors": [f"{error.type}: {error.message}" for error in result.errors],
        "notes": [*result.notes, *abstained],
    }


def _tell_proof(result: Result, proof: dict[str, Any], wanted: Wanted) -> None:
    if wanted.as_json:
        return
    click.echo(f"asked {PROOF!r}, and {proof['model'] or 'no model'} answered {proof['answer']!r}")
    for line in [*proof["errors"], *proof["notes"]]:
        click.echo(line, err=True)
    cost = dollars(round(Decimal(str(proof["cost_usd"])) * 1_000_000))
    click.echo(f"[{proof['status']}, {cost}, {result.seconds:.2f} s]", err=True)
    if proof["status"] != "failed":
        click.echo(f"Try it: orchestra run 'What is this?' --image photo.jpg --fleet {wanted.out}")


def _tell_found(found: Surroundings, wanted: Wanted) -> None:
    for server in found.servers:
        if server.models:
            names = ", ".join(model.name for model in server.models[:5])
            _say(f"found      {server.name} at {server.url}: {names}", wanted)
        else:
            _say(f"found      a key for {server.name} in {server.key_env}", wanted)
    for gpu in found.gpus:
        _say(f"found      GPU {gpu}", wanted)
    if found.missing:
        _say(f"not found  {', '.join(found.missing)}", wanted)


def _pick(found: Surroundings, wanted: Wanted) -> Server:
    """The server to connect: the one that is asked for, else one of this machine, else a key's."""
    if wanted.url is not None:
        return Server("the given server", wanted.url.rstrip("/"), wanted.key_env)
    names = ", ".join(server.name for server in found.servers) or "nothing"
    if wanted.provider is not None:
        for server in found.servers:
            if server.name == wanted.provider:
                return server
        raise UsageError(
            f"There is no {wanted.provider!r} here (found: {names}). Set its key, or give --url."
        )
    if not found.servers:
        raise UsageError(
            "Nothing to connect was found. Start a server (vLLM, Ollama, llama.cpp, LM Studio), "
            "set a key such as OPENAI_API_KEY, or give --url. The fleet mini works without."
        )
    return found.servers[0]


def _agree(server: Server, wanted: Wanted) -> None:
    """Ask before anything is sent elsewhere. Raises `ConfirmationNeeded` without a yes."""
    sends = "its list of models is asked for" + (
        ", and one small job is sent" if wanted.run else ""
    )
    if wanted.yes:
        return
    if not wanted.as_json and sys.stdin.isatty():
        if click.confirm(f"{server.url} is not on this machine: {sends}. Go on?", err=True):
            return
        raise ConfirmationNeeded("Nothing was sent, and nothing written.")
    raise ConfirmationNeeded(f"{server.url} is not on this machine: {sends}. Give --yes to agree.")


def _notes(choice: Choice, wanted: Wanted) -> list[str]:
    notes = ["Latency and quality are guesses: measure them, or deadlines are misjudged."]
    server, text = choice.server, choice.text
    if not server.is_local and not (choice.input_price or text.input_price):
        notes.append(
            f"The prices of {text.name} are not known and stand as 0, so no budget in dollars "
            "binds: give --input-price and --output-price, or edit them."
        )
    if not wanted.run:
        notes.append("Nothing was tried: set hosting.endpoint.structured to what the server can.")
    if choice.vision is None:
        notes.append("No connected model takes photos: --vision-model names one.")
    return notes


def _check_price(price: str | None) -> None:
    try:
        if price is not None and not (Decimal(price).is_finite() and Decimal(price) >= 0):
            raise InvalidOperation
    except InvalidOperation:
        raise UsageError(
            f"{price!r} is no price. Give US dollars for a million tokens, as in 0.25."
        ) from None


def _say(line: str, wanted: Wanted) -> None:
    """Progress goes to stderr, so that `--json` and pipes stay clean."""
    if not wanted.as_json:
        click.echo(line, err=True)
