"""A real Postgres server of this machine's packages, in a folder of its own, on its socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0  # longer than a start or an end takes on a busy machine
DEBIAN = Path("/usr/lib/postgresql")
SUPERUSER = "orchestra"


@dataclass(frozen=True, slots=True)
class Postgres:
    """The programs of a server and its folder; `address` is what its clients connect to."""

    programs: Path
    folder: Path

    @property
    def address(self) -> str:
        """As libpq reads it."""
        return f"host={self.folder} user={SUPERUSER} dbname=postgres"

    def prepare(self) -> None:
        """Make the folder a database's; it is for tests, so nothing waits for the disk."""
        access = ["--auth=trust", f"--username={SUPERUSER}"]
        words = ["initdb", "-D", self._data, *access, "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(**self._command(*words), timeout=PATIENCE_S)
        assert done.returncode == 0, done.stdout.decode()

    @contextmanager
    def running(self) -> Iterator[str]:
        """The server while it runs, as the address of its socket."""
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        log = self.folder / "log"
        with log.open("wb") as file:
            command = self._command("postgres", "-D", self._data, "-k", self.folder, *settings)
            server: Any = subprocess.Popen(**command | {"stdout": file})
            try:
                self._wait_for(server, log)
                yield self.address
            finally:
                server.send_signal(signal.SIGINT)  # ends connections, and then itself
                try:
                    server.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _wait_for(self, server: subprocess.Popen[bytes], log: Path) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            assert server.poll() is None, log.read_text()
            asked = self._command(
                "pg_isready", "-h", self.folder, "-U", SUPERUSER, "-d", "postgres"
            )
            if subprocess.run(**asked, timeout=PATIENCE_S).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"Postgres does not answer. It said:\n{log.read_text()}")

    def _command(self, program: str, *words: Any) -> Any:
        """How a program is started: by somebody else where we are root, as it refuses to be."""
        command = {
            "args": [str(self.programs / program), *map(str, words)],
            "cwd": self.folder,
            "env": {"HOME": str(self.folder), "PATH": os.defpath, "LC_ALL": "C"},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
        who = _somebody()
        if who is not None:
            command |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        return command


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that is prepared and not yet running; skips where its package is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("no Postgres server here (Debian's package postgresql): initdb was not found")
    # Not pytest's folder: who runs the server has no way into it. A socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    who = _somebody()
    if who is not None:
        os.chown(folder, who.pw_uid, who.pw_gid)
    try:
        server = Postgres(programs, folder)
        server.prepare()
        yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = [path.parent for path in DEBIAN.glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    named = shutil.which("initdb")
    return None if named is None else Path(named).parent


def _somebody() -> pwd.struct_passwd | None:
    """Who runs the server where we are root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
