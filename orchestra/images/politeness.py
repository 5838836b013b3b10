"""How many photos are asked of one server at once, and how soon after each other.

Who waits for a turn holds no thread, so a slow server never holds up photos of another. It fetches
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from orchestra.images.limits import ImageLimits
from orchestra.images.web_address import web_address

MOST_HOSTS = 1024  # that are remembered


@dataclass(eq=False, slots=True)
class _Host:
    """A server: its places, taken or free, and when it may be asked next."""

    places: asyncio.Semaphore
    next_at: float = 0.0


@dataclass(eq=False, slots=True)
class HostTurns:
    """The turns of all servers; of each event loop its own, as its waits are."""

    _hosts: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Host]] = field(
        default_factory=WeakKeyDictionary
    )

    @asynccontextmanager
    async def turn(self, source: str, limits: ImageLimits) -> AsyncIterator[None]:
        """Wait for a turn at the server of `source`, and hold it; what is no address has one."""
        host = host_of(source)
        if host is None:
            yield
            return
        known = self._host(host, limits)
        async with known.places:
            now = time.monotonic()
            starts = max(now, known.next_at)
            known.next_at = starts + limits.host_gap_s
            if starts > now:
                await asyncio.sleep(starts - now)
            yield

    def rest(self, source: str, seconds: float, limits: ImageLimits) -> None:
        """Leave the server of `source` alone for `seconds`: it asked for that."""
        host = host_of(source)
        if host is not None and seconds > 0:
            known = self._host(host, limits)
            known.next_at = max(known.next_at, time.monotonic() + seconds)

    def _host(self, host: str, limits: ImageLimits) -> _Host:
        hosts = self._hosts.setdefault(asyncio.get_running_loop(), {})
        known = hosts.pop(host, None) or _Host(asyncio.Semaphore(max(1, limits.per_host)))
        hosts[host] = known  # the last asked is the last to be forgotten
        while len(hosts) > MOST_HOSTS:
            oldest = next(iter(hosts))
            if oldest == host or hosts[oldest].places.locked():
                break
            del hosts[oldest]
        return known


def host_of(source: str) -> str | None:
    """The server of an address of the web, as in `cdn.example.org:8080`; None for anything else."""
    if len(source) > 8192 or source[:5].lower() == "data:":
        return None
    address = web_address(source)
    try:
        return None if address is None else urlsplit(address).netloc.rpartition("@")[2].lower()
    except ValueError:
        return None
