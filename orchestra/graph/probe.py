"""Asks a model a short question of no job, to learn whether it answers at all."""

from __future__ import annotations

import uuid

from PIL import Image

from orchestra.book.messages import CloseAccount, OpenAccount
from orchestra.core.ask import SEEING
from orchestra.core.call import Call
from orchestra.core.card import Card
from orchestra.core.errors import AccessRefused, BudgetExceeded, InvalidFleet, ModelUnavailable
from orchestra.core.pricing import Work
from orchestra.graph.backing import Backing
from orchestra.graph.caller import Ticket
from orchestra.routing.candidates import TEMPLATE_TOKENS
from orchestra.routing.prompt_size import call_bytes

NODE = "probe"  # in the book
NOBODY = (ModelUnavailable, AccessRefused, InvalidFleet, BudgetExceeded)
SIDE_PX = 32
SCHEMA = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}}


async def answers(fleet: Backing, model: str, parent: str) -> bool:
    """Whether `model` answers now, be it wrongly; what that costs is booked under `parent`.

    One that refuses the key, or what its card asks for, answers nobody.

    Not where the budget has no room to ask. Raises `BookError`.
    """
    card, client = fleet.file.card(model), fleet.client(model)
    call, account = _question(card), f"{NODE}:{uuid.uuid4().hex}"
    await fleet.ledger.send(OpenAccount(account, parent=parent))
    ticket = Ticket(
        node=NODE,
        card=card,
        account=account,
        ceiling=_most(call, card),
        images=(account,) if call.images else (),
        prompt_hash="",
        left_s=None,
        may_share=False,
    )
    try:
        answer, _ = await fleet.caller.call(client, call, ticket)
    finally:
        await fleet.ledger.send(CloseAccount(account))
    return not isinstance(answer, NOBODY)


def _question(card: Card) -> Call:
    """A call like a graph's, with a photo for who sees; no book has the reply to it."""
    blank = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    return Call(
        instruction="Answer yes.",
        text=f"Probe {uuid.uuid4().hex}",
        images=() if SEEING.isdisjoint(card.capabilities) else (blank,),
        schema=SCHEMA,
        max_tokens=16,
        thinking_tokens=card.limits.thinking_tokens,
        schema_in_prompt=card.hosting.schema_in_prompt,
    )


def _most(call: Call, card: Card) -> Work:
    images = len(call.images)
    prompt = call_bytes(call, card) + TEMPLATE_TOKENS + images * card.limits.image_tokens
    room = card.limits.context_tokens - call.written_tokens
    return Work(min(prompt, room), call.written_tokens, images)
