"""The server that is measured: `orchestra serve` with the bundled fleet, or the same without Ray.

The second is the ingress's own application under uvicorn, with the engines in its process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import uvicorn

from graphs.answer import build
from orchestra import Fleet
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service

READY_S = 300.0
WEIGHTS = {"heavy": 3.0, "light": 1.0}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its port, and its process with all that it began."""

    port: int
    process: psutil.Process

    def memory_mib(self) -> float:
        """Resident memory of all of its processes that are Python's or its models'."""
        whole = 0
        for one in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                whole += one.memory_info().rss
        return whole / 2**20

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each so far, by name."""
        used: dict[str, float] = {}
        for one in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                name = (one.cmdline() or [one.name()])[0].rpartition("/")[2]
                if name.startswith("ray::"):  # an actor's name has its method while that runs
                    name = name.partition(".")[0]
                used[name] = used.get(name, 0.0) + sum(one.cpu_times()[:2])
        return used


@contextlib.contextmanager
def running(*, is_local: bool, more: tuple[str, ...] = ()) -> Iterator[Server]:
    """Start it, wait until it is ready, and end it. `more` are options of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    if is_local:
        command = [sys.executable, "-m", "benchmarks.service.server", "--port", str(port), *more]
    else:
        own = ["serve", "--graph", "answer", "--port", str(port), *more]
        command = [sys.executable, "-m", "orchestra", *own]
    quiet = subprocess.DEVNULL  # a line of log for each job
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        _wait_ready(port, process)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        place = f"http://127.0.0.1:{port}/readyz"
        with contextlib.suppress(OSError), urllib.request.urlopen(place, timeout=10) as answer:
            if answer.status == 200:
                return
        time.sleep(0.5)
    raise RuntimeError(f"the server was not ready after {READY_S:g} s")


def main() -> None:
    """Serve without Ray until SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--queue", type=int, default=256)
    parser.add_argument("--max-ongoing", type=int, default=0)
    options = parser.parse_args()
    service = Service(Fleet.open("mini"), {"answer": build})
    app = make_app(service, HttpSettings(queue=options.queue, max_ongoing=options.max_ongoing))
    uvicorn.run(app, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
