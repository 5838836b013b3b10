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
from orchestra.cli.command import Output, command, is_json
from orchestra.cli.options import PATH
from orchestra.core.errors import ConfirmationNeeded, UsageError
from orchestra.core.files.atomic import write_text
from orchestra.core.job import Job, Result
from orchestra.core.money import dollars, usd
from orchestra.fleet.source import load_graph
from orchestra.setup.discover import Server, Surroundings, listed_models, look_around
from orchestra.setup.draft import ModelChoice, choose, draft_cards, fleet_text
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
class InitOptions:
    """The command line."""

    out: Path
    url: str | None
    provider: str | None
    key_env: str | None
    model: str | None
    vision_model: str | None
    input_price: str | None
    output_price: str | None
    yes: bool
    no_run: bool
    force: bool


@command("init", EPILOG)
@click.option("--out", type=PATH, default=Path("fleet.yaml"))
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
def init_command(**values: Any) -> Output:
    """Connect the models you have: find them, write a fleet file, and run one job on it."""
    return asyncio.run(_init(InitOptions(**values)))


async def _init(options: InitOptions) -> Output:
    if options.out.exists() and not options.force:
        raise UsageError(f"{options.out} exists already. Give --force to overwrite it, or --out.")
    for price in (options.input_price, options.output_price):
        _check_price(price)
    found = NOWHERE if options.url else await look_around()
    _say_found(found)
    server = _pick(found, options)
    if not server.is_local:
        _agree(server, options)
    if not server.models and (options.model is None or server.is_local):
        server = replace(server, models=await listed_models(server.url, server.key_env))
    choice = choose(server, options.model, options.vision_model)
    choice = replace(choice, input_price=options.input_price, output_price=options.output_price)
    return await _write_and_prove(choice, found, options)


async def _write_and_prove(
    choice: ModelChoice, found: Surroundings, options: InitOptions
) -> Output:
    cards = draft_cards(choice)
    tried = 0
    if not options.no_run:
        cards, tried = await settle_on(cards)
    notes = _notes(choice, options)
    write_text(options.out, fleet_text(cards, options.out.stem, notes))
    _say(f"wrote {options.out}: {', '.join(card.name for card in cards)}")
    for note in notes:
        _say(f"note: {note}")
    report: dict[str, Any] = {
        "fleet": str(options.out),
        "models": {card.name: card.about for card in cards},
        "found": [{"name": s.name, "url": s.url} for s in found.servers],
        "gpus": list(found.gpus),
        "missing": list(found.missing),
        "notes": notes,
    }
    if options.no_run:
        return Output(report)
    proof = _proof(await _prove(options.out), tried)
    is_failed = proof["status"] == "failed"
    lines = [f"asked {PROOF!r}, and {proof['model'] or 'no model'} answered {proof['answer']!r}"]
    if not is_failed:
        lines.append(
            f"Try it: orchestra run 'What is this?' --image photo.jpg --fleet {options.out}"
        )
    cost = dollars(round(Decimal(str(proof["cost_usd"])) * 1_000_000))
    ending = [*proof["errors"], *proof["notes"]]
    ending.append(f"[{proof['status']}, {cost}, {proof['seconds']:.2f} s]")
    return Output(report | {"proof": proof}, lines, ending, is_failed)


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


def _say_found(found: Surroundings) -> None:
    for server in found.servers:
        if server.models:
            names = ", ".join(model.name for model in server.models[:5])
            _say(f"found      {server.name} at {server.url}: {names}")
        else:
            _say(f"found      a key for {server.name} in {server.key_env}")
    for gpu in found.gpus:
        _say(f"found      GPU {gpu}")
    if found.missing:
        _say(f"not found  {', '.join(found.missing)}")


def _pick(found: Surroundings, options: InitOptions) -> Server:
    """The server to connect: the one that is asked for, else one of this machine, else a key's."""
    if options.url is not None:
        return Server("the given server", options.url.rstrip("/"), options.key_env)
    names = ", ".join(server.name for server in found.servers) or "nothing"
    if options.provider is not None:
        for server in found.servers:
            if server.name == options.provider:
                return server
        raise UsageError(
            f"There is no {options.provider!r} here (found: {names}). Set its key, or give --url."
        )
    if not found.servers:
        raise UsageError(
            "Nothing to connect was found. Start a server (vLLM, Ollama, llama.cpp, LM Studio), "
            "set a key such as OPENAI_API_KEY, or give --url. The fleet mini works without."
        )
    return found.servers[0]


def _agree(server: Server, options: InitOptions) -> None:
    """Ask before anything is sent elsewhere. Raises `ConfirmationNeeded` without a yes."""
    if options.yes:
        return
    sends = "its list of models is asked for" + (
        "" if options.no_run else ", and one small job is sent"
    )
    if not is_json() and sys.stdin.isatty():
        if click.confirm(f"{server.url} is not on this machine: {sends}. Go on?", err=True):
            return
        raise ConfirmationNeeded("Nothing was sent, and nothing written.")
    raise ConfirmationNeeded(f"{server.url} is not on this machine: {sends}. Give --yes to agree.")


def _notes(choice: ModelChoice, options: InitOptions) -> list[str]:
    notes = ["Latency and quality are guesses: measure them, or deadlines are misjudged."]
    server, text = choice.server, choice.text
    prices = (choice.input_price or text.input_price, choice.output_price or text.output_price)
    if not server.is_local and None in prices:
        notes.append(
            f"The price of {text.name} is unknown, so a budget in dollars refuses it: give "
            "--input-price and --output-price, or write it on the card."
        )
    if options.no_run:
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


def _say(line: str) -> None:
    """Progress goes to stderr, so that `--json` and pipes stay clean."""
    if not is_json():
        click.echo(line, err=True)
