"""Fuzzes every route of the HTTP face over a socket: schemathesis' own runner, with all its phases.

    python -m benchmarks.house.fuzz --examples 100 --seed 1

The server asks for keys in a second run, where the fuzzer has one that may do everything. It ends
with 1 where something is found; what schemathesis tells of it has a `curl` line that repeats it.
The models are scripted, so what is tried is the face: what it takes, what it says, and that both
are what `/openapi.json` promises.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphs.answer import build
from orchestra.book.book import Book
from orchestra.book.filing.filing import Filing
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.asking_graphs import asking, told
from tests.keyed import keyed_fleet, made, tenant
from tests.on_a_socket import on_a_socket

# A schema cannot say that a model must be one of the fleet's, or a photo's address one of a photo.
LEFT_OUT = ("positive_data_acceptance",)
# A model, a photo's server and a deadline may fail; a 500 nobody foresaw.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504, 507]
"""
EVERYTHING = {
    "scope": {"routes": ["chat", "jobs", "embeddings", "batches", "threads", "metrics", "admin"]}
}


@contextmanager
def server(folder: Path, *, keys: bool) -> Iterator[tuple[int, str | None]]:
    """The port of a server in this process, and a key for it where it asks for one."""
    logging.getLogger("orchestra").setLevel(logging.CRITICAL)  # it refuses much
    fleet = keyed_fleet(folder / "book.sqlite", answers=told)
    key = None
    if keys:
        with Book.open(folder / "book.sqlite", exclusive=False) as book:
            tenant(book, "fuzzed")
            key = made(book, "fuzzed", EVERYTHING)
    app = make_app(
        Service(fleet, {"answer": build, "asking": asking}),
        HttpSettings(access=Access(keys=keys), filing=Filing.open(folder / "filed")),
    )
    with on_a_socket(app) as port:
        yield port, key
    asyncio.run(fleet.close())


def fuzz(folder: Path, options: argparse.Namespace, *, keys: bool) -> int:
    """Run it, and print what it tells; its exit code."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with server(folder, keys=keys) as (port, key):
        told = [*("--config-file", str(config)), "run", f"http://127.0.0.1:{port}/openapi.json"]
        given = [] if key is None else ["-H", f"Authorization: Bearer {key}"]
        bounds = [f"--max-examples={options.examples}", f"--seed={options.seed}"]
        rest = ["--continue-on-failure", "--suppress-health-check=all", "--warnings=off"]
        if options.phases:
            bounds.append(f"--phases={options.phases}")
        left_out = [f"--exclude-checks={','.join(LEFT_OUT)}"]
        command = [sys.executable, "-m", "schemathesis.cli", *told, *given, *bounds, *left_out]
        print(f"== {'with' if keys else 'without'} keys", flush=True)
        return subprocess.run([*command, *rest], check=False, cwd=folder).returncode


def main() -> int:
    """Parse, run both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=int, default=100, help="of a route and phase, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default="", help="some of examples,coverage,fuzzing,stateful")
    parser.add_argument("--keys", choices=("on", "off", "both"), default="both")
    options = parser.parse_args()
    codes: list[int] = []
    for keys in (False, True):
        if options.keys in ("both", "on" if keys else "off"):
            with tempfile.TemporaryDirectory() as folder:
                codes.append(fuzz(Path(folder), options, keys=keys))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
