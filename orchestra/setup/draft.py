"""Drafts a fleet from a server that was found: cards, fallbacks, the YAML; it asks nobody.

What nobody has measured or said is marked as estimated on the cards. No key is ever written.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import UsageError
from orchestra.core.files.yaml_file import yaml_text
from orchestra.fleet.source import load_fleet
from orchestra.setup.discover import Listed, Server
from orchestra.setup.handshake import with_thoughts

CONTEXT_TOKENS = 8192  # assumed where a server does not say
IMAGE_TOKENS = 2048
ASSUMED_SCORE = 95.0
HEADER = """\
# Written by `orchestra init` on {day}. Edit it freely; keys stay in the environment.
# {notes}
"""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models of a server that a fleet is to use, and their prices for a million tokens."""

    server: Server
    text: Listed
    vision: Listed | None = None
    input_price: str | None = None
    output_price: str | None = None


def choose(server: Server, text: str | None = None, vision: str | None = None) -> ModelChoice:
    """Pick the models of `server`; `text` and `vision` are the user's own choice.

    Raises `UsageError` when a paid server lists many models, and none is known to be small.
    """
    known = {model.name: model for model in server.models}
    chatting = [model for model in server.models if model.chats]
    for name in (text, vision):
        if name is not None and known and name not in known:
            raise UsageError(
                f"The server {server.url!r} lists no model {name!r} (it has: "
                f"{', '.join(list(known)[:12])}). Give one of those."
            )
    preferred = [known[name] for name in server.preferred if name in known]
    if text is not None:
        chosen = known.get(text, Listed(text))
    elif preferred:
        chosen = preferred[0]
    elif chatting and (server.is_local or len(chatting) == 1):
        chosen = next((model for model in chatting if not model.takes_photos), chatting[0])
    else:
        listed = ", ".join(model.name for model in chatting[:12]) or "it lists none"
        raise UsageError(f"Say which model of {server.url!r} to use: --model NAME ({listed}).")
    if vision is not None:
        return ModelChoice(server, chosen, known.get(vision, Listed(vision, sees=True)))
    if chosen.takes_photos:
        return ModelChoice(server, chosen, chosen)
    photo = [model for model in chatting if model.takes_photos] if server.is_local else []
    return ModelChoice(server, chosen, photo[0] if photo else None)


def draft_cards(choice: ModelChoice) -> list[Card]:
    """The connected cards and, where the bundled models can run, those as fallbacks."""
    bundled = _bundled()
    cards = [_card(choice, choice.text, "text", bundled)]
    if choice.vision is not None:
        cards.append(_card(choice, choice.vision, "vision", bundled))
    return [*cards, *bundled.values()]


def _bundled() -> dict[str, Card]:
    """The cards of `mini` by what they take; none where its engine is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return {}
    file, folder = load_fleet("mini")
    cards: dict[str, Card] = {}
    for card in file.models:
        place = str((folder / (card.hosting.checkpoint or "")).resolve())
        hosting = card.hosting.model_copy(update={"checkpoint": place})
        if not card.answers:  # what takes a part of the asks cannot stand in for all
            cards.setdefault(card.capabilities[0], card.model_copy(update={"hosting": hosting}))
    return {name: cards[name] for name in ("text", "vision") if name in cards}


def _assumed_quality(capability: str, fallback: Card | None) -> dict[str, Any]:
    """Above the fallback's, or plans would prefer that to the model that was connected."""
    known = None if fallback is None else fallback.quality.get(capability)
    score = max(ASSUMED_SCORE, min((known.score or 0.0) + 1, 100.0) if known else 0.0)
    return {"score": score, "origin": "estimated", "measure": "assumed above its fallback's"}


def _card(choice: ModelChoice, model: Listed, capability: str, bundled: dict[str, Card]) -> Card:
    server = choice.server
    prices = (choice.input_price or model.input_price, choice.output_price or model.output_price)
    limits: dict[str, Any] = {"context_tokens": model.context_tokens or CONTEXT_TOKENS}
    estimated = ["profile", "quality"] + ([] if model.context_tokens else ["limits"])
    if capability == "vision":
        limits |= {"image_tokens": IMAGE_TOKENS, "max_images": 1}
        estimated += [] if "limits" in estimated else ["limits"]
    card = Card.model_validate(
        {
            "name": capability,
            "role": capability,
            "about": f"{model.name} at {server.name}.",
            "capabilities": [capability],
            "price": _price(prices, is_local=server.is_local),
            "profile": {
                "origin": "estimated",
                "fixed_ms": 300,
                "ms_per_input_token": 0.2,
                "ms_per_output_token": 15,
            },
            "hosting": {
                "memory_gib": 0,
                "endpoint": {"url": server.url, "model": model.name, "api_key_env": server.key_env},
            },
            "limits": limits,
            "quality": {capability: _assumed_quality(capability, bundled.get(capability))},
            "data_goes_to": "local" if server.is_local else urlsplit(server.url).hostname,
            "fallback": bundled[capability].name if capability in bundled else None,
            "estimated": estimated,
        }
    )
    return with_thoughts(card) if model.thinks_first else card


def _price(prices: tuple[str | None, str | None], *, is_local: bool) -> Any:
    """The price of a card; half a price is none, since the other half could be anything."""
    if None in prices and not is_local:
        return "unknown"
    if not any(prices):
        return "free"
    return {
        "as_of": date.today(),
        "usd_per_million_input_tokens": Decimal(prices[0] or 0),
        "usd_per_million_output_tokens": Decimal(prices[1] or 0),
    }


def fleet_text(cards: Sequence[Card], name: str, notes: Sequence[str]) -> str:
    """The fleet as YAML, checked to be one."""
    raw = {
        "name": name,
        "about": "Connected by orchestra init.",
        "domain": "Whatever the connected models know; nothing here was measured.",
        "models": [_plain(card) for card in cards],
    }
    FleetFile.model_validate(raw)
    header = HEADER.format(day=date.today().isoformat(), notes="\n# ".join(notes))
    return yaml_text(raw, header)


def _plain(card: Card) -> dict[str, Any]:
    """A card without what it leaves out; a price without a figure in its word."""
    raw = card.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    if card.price.unknown:
        raw["price"] = "unknown"
    elif not any(name.startswith("usd_") for name in raw["price"]):
        raw["price"] = "free"
    return raw
