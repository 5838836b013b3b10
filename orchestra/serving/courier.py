"""Delivers what webhooks tell, until it was taken or is too old.

Messages are kept in the filing, so they outlive the process; each is told once or, where its answer
was lost, again under the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestra.access.webhooks import (
    WebhookFailed,
    check_webhook,
    new_webhook_secret,
    send_webhook,
)
from orchestra.book.filing.entries import OutMessage
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import UsageError

SECRET = "ORCHESTRA_WEBHOOK_SECRET"
LOG = logging.getLogger("orchestra")
DELAYS_S = (5, 30, 120, 600, 1800, 3600)  # before each try after the first, the last again
KEPT_S = 3 * 86_400
AT_ONCE = 32
CATCH_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where messages go, and the secret (`whsec_...`) that signs them."""

    url: str
    secret: str


def webhook_of(url: str) -> Webhook | None:
    """The webhook at `url`, none for "". Raises `UsageError` where it cannot be signed or sent."""
    if not url:
        return None
    secret = os.environ.get(SECRET, "")
    if not secret:
        raise UsageError(
            f"The webhook {url!r} has no secret to sign with. Set {SECRET}; one that nobody has is "
            f"{new_webhook_secret()}"
        )
    check_webhook(url, secret)
    return Webhook(url, secret)


@dataclass(eq=False, slots=True)
class Courier:
    """Takes the messages of a filing to one webhook; without any they are thrown away.

    `catch_up` has what somebody died before posting posted, about every minute.
    """

    filing: Filing
    webhook: Webhook | None = None
    catch_up: Callable[[], Awaitable[None]] | None = None
    _caught_up: float = -math.inf

    async def deliver(self) -> None:
        """Try each message that is due, once."""
        if self.catch_up is not None and time.monotonic() - self._caught_up > CATCH_UP_S:
            self._caught_up = time.monotonic()
            await self.catch_up()
        due = self.filing.due_messages(int(time.time()), AT_ONCE)
        await asyncio.gather(*map(self._try, due))

    async def _try(self, message: OutMessage) -> None:
        hook, now = self.webhook, int(time.time())
        if hook is None or now - message.created > KEPT_S:
            if hook is not None:
                LOG.warning("the webhook's message %s is too old and was dropped", message.id)
            self.filing.drop_message(message.id)
            return
        body = json.dumps({"id": message.id, **json.loads(message.body)}).encode()
        try:
            # The operator's own address, which may be inside.
            await send_webhook(hook.url, hook.secret, message.id, body, allow_private=True)
        except WebhookFailed as error:
            tries = message.tries + 1
            LOG.warning("the webhook's message %s failed, try %d: %s", message.id, tries, error)
            self.filing.put_off(message.id, now + DELAYS_S[min(message.tries, len(DELAYS_S) - 1)])
            return
        self.filing.drop_message(message.id)
