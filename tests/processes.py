"""A command of a user in a process group of its own: what it says, listens on and leaves behind."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from orchestra.cluster.processes import Process, descendants, seconds_until_gone

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PATIENCE_S = 120.0  # longer than a start or an end takes on a busy machine


@dataclass(slots=True)
class Running:
    """A command that runs; `log` holds stdout and stderr."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it said until now."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, url: str) -> None:
        """Wait until `url` answers with 200."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.said
            try:
                if httpx.get(url, timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                """Nobody listens yet."""
            time.sleep(0.2)
        raise AssertionError(f"{url} does not answer. It said:\n{self.said}")

    def end(self) -> tuple[set[Process], int]:
        """Wait until it ends by itself; every process that it had, and the exit code."""
        family: set[Process] = set()
        until = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < until:
            family.update(descendants(self.process.pid))
            time.sleep(0.2)
        return family, self.process.wait(1)

    def interrupt(self) -> tuple[int, list[Process]]:
        """Ctrl-C, as a terminal sends it; the exit code, and which of its processes run on."""
        family = descendants(self.process.pid)
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        return code, left_of(family)


def left_of(family: Iterable[Process]) -> list[Process]:
    """Those of `family` that do not end."""
    seconds_until_gone(family, PATIENCE_S / 4)
    return [process for process in family if process.is_alive]


@contextmanager
def running(
    command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """`command` in `folder`, its Ray in a folder of its own; all of it is gone at the end."""
    ray = tempfile.mkdtemp(prefix="ray-")  # sockets have short paths: not below pytest's folder
    environment = os.environ | {"RAY_TMPDIR": ray, "OMP_NUM_THREADS": "1"} | dict(more or {})
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what it leaves in the background, and children would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    log = folder / "said.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        for child in [*descendants(process.pid)]:
            child.kill()
        process.kill()
        process.wait()
        shutil.rmtree(ray, ignore_errors=True)


def listening(pid: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket that `pid` and its descendants listen on."""
    found: set[tuple[str, int]] = set()
    for owner in (pid, *(process.pid for process in descendants(pid))):
        try:
            sockets = psutil.Process(owner).net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        mine = [one.laddr for one in sockets if one.status == psutil.CONN_LISTEN]
        found |= {(str(address[0]), int(address[1])) for address in mine}
    return found


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches `host`."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
