"""Which names a server answers to: a page whose name was bent to this address is none of them.

A browser lets a page read what its own host answers. A page that has its host's name resolve to an
address in here (DNS rebinding) still sends that name, and so is told apart. An address as such
cannot be bent, and is always answered to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from orchestra.serving.guards.bodies import refused

LOOPBACK = frozenset({"localhost"})
ANY = "*"
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)


class HostGuard:
    """Refuses a request whose `Host` is neither an address, nor this machine's own name for itself,
    nor one of `names`.

    A name that begins with a dot stands for all below it; `*` for all there are.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = LOOPBACK | {name.strip().rstrip(".").lower() for name in names if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, if it is for this server."""
        if scope["type"] in ("http", "websocket") and (wrong := self._wrong(scope)) is not None:
            await refused(*wrong)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _wrong(self, scope: Scope) -> tuple[int, str, str] | None:
        if ANY in self._names:
            return None
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            told = f"The request has {len(hosts)} Host headers. Send one."
            return 400, "InvalidRequest", told
        told = hosts[0][:120].decode("latin-1")
        name = host_name(told)
        if name is None:
            return (
                400,
                "InvalidRequest",
                f"The Host {told!r} is no host. Send a name or an address.",
            )
        if self.is_ours(name):
            return None
        message = (
            f"This server does not answer to the Host {told!r}. Use its address, or start it with "
            f"--host-name {name} (host_names={name} of an app that Serve runs)."
        )
        return 421, "UnknownHost", message

    def is_ours(self, name: str) -> bool:
        """Whether `name`, of a host without its port, is one that this server answers to."""
        if name in self._names or _is_address(name):
            return True
        above = (name[at:] for at, letter in enumerate(name) if letter == ".")
        return any(part in self._names for part in above)


def host_name(host: str) -> str | None:
    """The name of a `Host` header, in lower case and without its port; None for what is none."""
    found = HOST.fullmatch(host.strip().lower())
    return None if found is None else found[1].rstrip(".") or None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
