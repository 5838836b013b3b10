"""Tells when a cluster that this process owns is dead, so that its end is not a silence.

Ray starts replicas, proxies and Serve's controller again by itself. What it cannot mend are the
raylet and the GCS of a cluster of one node, and a controller or a proxy that does not come back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

LOOK_S = 0.5
PULSE_S = 5.0
SILENT_S = 60.0  # a controller that was killed is back in seconds, on a busy machine in half of it
FATAL = {"gcs_server": "the cluster's store (GCS)", "raylet": "the node's raylet"}


class Watch:
    """Looks at what Ray started and asks, each in a thread of its own, whether it answers."""

    def __init__(
        self,
        dead: Callable[[], str],
        pulses: Mapping[str, Callable[[], object]],
        on_death: Callable[[str], None],
        *,
        silent_s: float = SILENT_S,
        pulse_s: float = PULSE_S,
    ) -> None:
        self._dead = dead
        self._on_death = on_death
        self._silent_s = silent_s
        self._pulse_s = pulse_s
        self._heard = dict.fromkeys(pulses, time.monotonic())
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=pulse, daemon=True)
            for pulse in pulses.items()
        ]
        self._threads.append(threading.Thread(target=self._look, daemon=True))

    def begin(self) -> None:
        """From now on; `on_death` is called at most once, with the reason."""
        for name in self._heard:
            self._heard[name] = time.monotonic()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """No longer: what dies from now on is meant to."""
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            why = self._dead() or self._silence()
            if why and not self._ended.is_set():
                self._on_death(why)
                return

    def _silence(self) -> str:
        now = time.monotonic()
        for name, heard in self._heard.items():
            if now - heard > self._silent_s:
                return f"{name} has not answered for {self._silent_s:g} s"
        return ""

    def _listen(self, name: str, ask: Callable[[], object]) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # whatever it raises, it did not answer
                ask()
                self._heard[name] = time.monotonic()
            self._ended.wait(self._pulse_s)


def dead_part() -> str:
    """Which part of this process's own cluster has ended that nothing starts again; else empty."""
    from ray._private import worker  # an extra

    node = worker._global_node
    for kind, process in [] if node is None else node.dead_processes():
        if kind in FATAL:
            return f"{FATAL[kind]} ended with {process.returncode}"
    return ""


def proxy_pulse(host: str, port: int) -> None:
    """Raises when the proxy does not answer; whether it is healthy is for `/readyz` to say."""
    connection = HTTPConnection(host, port, timeout=PULSE_S)
    try:
        connection.request("GET", "/-/healthz")
        connection.getresponse().read()
    except HTTPException as cause:
        raise OSError(f"no HTTP from {host}:{port}") from cause
    finally:
        connection.close()
