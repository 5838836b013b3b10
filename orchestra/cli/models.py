"""`orchestra models`: the cards of a fleet: what each takes, costs, and is good for."""

from __future__ import annotations

from orchestra.cli.command import Output, command
from orchestra.cli.options import fleet_option
from orchestra.core.card import Card
from orchestra.core.identity import snapshot
from orchestra.core.latency import Latency
from orchestra.fleet.source import load_fleet

EPILOG = """\b
Examples:
  orchestra models
  orchestra models --fleet article --json
"""


@command("models", EPILOG)
@fleet_option
def models_command(fleet: str) -> Output:
    """List the models of a fleet."""
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
        return f"{card.hosting.endpoint.model} at {card.hosting.endpoint.url}"
    return f"{card.hosting.memory_gib:g} GiB, local" if card.is_hosted else "planning only"
