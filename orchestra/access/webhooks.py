"""Webhooks in the form of Standard Webhooks: signed, to a public address, once each.

Its three headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`: "v1," and the
base64 of an HMAC-SHA256 over "id.timestamp.body" (https://www.standardwebhooks.com). The address is
looked up once and checked by the rule for photos, and the connection goes to what was checked.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time

import httpx

from orchestra.core.errors import ImageError, UsageError
from orchestra.images.inside import place_of
from orchestra.images.limits import ImageLimits

PREFIX = "whsec_"
TIMEOUT_S = 10.0


class WebhookFailed(Exception):
    """A webhook was not taken; the message says why, without its address."""


def new_webhook_secret() -> str:
    """A secret that signs webhooks."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_webhook(url: str, secret: str) -> None:
    """Raise `UsageError` for an address or a secret that no webhook can be sent with."""
    try:
        place = httpx.URL(url)
        is_good = place.scheme in ("http", "https") and bool(place.host)
    except (httpx.InvalidURL, ValueError):
        is_good = False
    if not is_good:
        raise UsageError(f"{url!r} is no address of a webhook. Give one as https://host/path.")
    try:
        is_secret = len(_key(secret)) >= 24
    except (binascii.Error, ValueError):
        is_secret = False
    if not is_secret:
        raise UsageError(
            f"The webhook's secret is none: it is {PREFIX} and the base64 of 24 bytes or more. "
            "Leave it out to have one made."
        )


def signed_headers(secret: str, id: str, body: bytes, at_s: int | None = None) -> dict[str, str]:
    """The headers that tell a receiver that `body` came from who has the secret."""
    at = str(int(time.time()) if at_s is None else at_s)
    said = b".".join((id.encode(), at.encode(), body))
    signature = base64.b64encode(hmac.new(_key(secret), said, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature}",
    }


async def send_webhook(
    url: str, secret: str, id: str, body: bytes, *, allow_private: bool = False
) -> None:
    """Post `body` to `url`, signed. Raises `WebhookFailed` unless it answers with 2xx.

    A redirect is no answer: it might lead inside.
    """
    place = httpx.URL(url)
    port = place.port or (443 if place.scheme == "https" else 80)
    limits = ImageLimits(allow_private=allow_private)
    try:
        target = await asyncio.to_thread(place_of, url, place.host, port, limits, before=None)
    except ImageError as error:
        raise WebhookFailed(f"its address may not be reached ({error.kind})") from error
    headers = {
        "Host": place.netloc.decode("ascii"),
        "User-Agent": "orchestra",
        "Content-Type": "application/json",
        **signed_headers(secret, id, body),
    }
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client:
            request = client.build_request(
                "POST",
                place.copy_with(host=target.address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": place.host},
            )
            async with asyncio.timeout(TIMEOUT_S):
                answer = await client.send(request, stream=True)
                await answer.aclose()
    except (httpx.HTTPError, TimeoutError) as error:
        raise WebhookFailed(f"it does not answer ({type(error).__name__})") from error
    if not answer.is_success:
        raise WebhookFailed(f"it answered HTTP {answer.status_code}")


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
