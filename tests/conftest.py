"""What every test runs under: no network beyond loopback, no model hub, quiet tokenizers."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback; see cluster/owned.py

# A deadline is a wall-clock assertion: a busy machine would fail it.
settings.register_profile("orchestra", deadline=None)
settings.load_profile("orchestra")


class NetworkForbiddenError(Exception):
    """A test tried to leave the machine."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse each connection that is not to this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        is_inet = self.family in (socket.AF_INET, socket.AF_INET6)
        if is_inet and not _is_loopback(str(address[0])):
            raise NetworkForbiddenError(f"A test tried to connect to {address!r}.")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
