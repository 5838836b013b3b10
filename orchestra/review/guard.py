"""Lets nobody into the workbench but who has its address: no other page, no other machine.

The address holds a secret, and nothing is kept in a cookie: a browser that is led here by another
page has nothing to show. The Host header is checked against DNS rebinding, the Origin against
posts from pages of other ports, and what is sent back may be framed and read by nobody else.
"""

from __future__ import annotations

import secrets

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
STRANGER = (
    "This is not the address of the workbench. Open the one that `orchestra review` printed.\n"
)


class Guard:
    """Passes on what comes from the workbench's own page, without the secret in its path."""

    def __init__(self, app: ASGIApp, secret: str, port: int) -> None:
        self._app = app
        self._secret = secret
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it; of what is no HTTP, nothing."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        path = self._path_of(scope)
        if path is None:
            await PlainTextResponse(STRANGER, 403)(scope, receive, guarded)
            return
        prefix = f"/{self._secret}"
        inner = {**scope, "path": path, "root_path": prefix, "raw_path": path.encode()}
        await self._app(inner, receive, guarded)

    def _path_of(self, scope: Scope) -> str | None:
        """The path behind the secret; None for a request that is not of our page."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        if host not in self._hosts or not secrets.compare_digest(
            first.encode(), self._secret.encode()
        ):
            return None
        if scope["method"] not in ("GET", "HEAD") and not self._is_own_post(headers, host):
            return None
        return slash + rest or "/"

    def _is_own_post(self, headers: dict[str, str], host: str) -> bool:
        return (
            headers.get("origin", f"http://{host}") == f"http://{host}"
            and headers.get("sec-fetch-site", "same-origin") == "same-origin"
            and headers.get("content-type", "").partition(";")[0] == "application/json"
            and headers.get("content-length", "").isdigit()
            and int(headers["content-length"]) <= MAX_BODY_BYTES
        )
