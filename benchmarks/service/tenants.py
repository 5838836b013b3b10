"""Two tenants of weights 3 and 1 by their keys, both with too much; and who gets nothing.

Book, tenants and keys are made by the commands that an operator types. Meanwhile a wrong, a revoked
and no key are tried, and the key of a tenant whose day's budget is spent; then 64 clients share a
month's budget.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.service.load import Load, Spec, load
from benchmarks.service.server import WEIGHTS, Server, running
from benchmarks.service.told import DEADLINES_MS, LONG_MS, capacity, shares, tell

SPENT_USD, MONTH_USD, SHARING = "0.00001", "0.00002", 64
EVERY_S = 0.25  # between two tries of those who get nothing


@dataclass(frozen=True, slots=True)
class Book:
    """A book's file, and the keys in it by the name of whose they are."""

    path: Path
    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tried:
    """One request of who should get nothing."""

    who: str
    status: int
    took_s: float
    message: str


def run(options: argparse.Namespace) -> None:
    """The load of both tenants, with the others beside it."""
    with tempfile.TemporaryDirectory() as folder:
        book = _book(Path(folder) / "book.sqlite")
        with running(is_local=False, more=("--book", str(book.path), "--keys")) as server:
            rate = capacity(server, options, key=book.keys["heavy"])
            for _ in range(10):
                _try(server.port, "spent", book.keys["spent"])
            names = tuple(WEIGHTS)
            for deadlines in (DEADLINES_MS, LONG_MS):
                spec = Spec(
                    server.port,
                    options.seconds,
                    rate=rate * options.times,
                    latency_ms=deadlines,
                    tenants=names,
                    keys=tuple(book.keys[name] for name in names),
                    seed=6,
                )
                with _beside(server, book) as tried:
                    made = load(spec)
                tell(made, rate)
                _shares(made)
                _tell_tried(tried)
            _month(server, book)


def _book(path: Path) -> Book:
    budgets = {
        "spent": ("--usd-per-day", SPENT_USD),
        "month": ("--usd-per-month", MONTH_USD),
    }
    weights = {name: ("--weight", f"{weight:g}") for name, weight in WEIGHTS.items()}
    keys: dict[str, str] = {}
    for name, options in (weights | budgets | {"revoked": ()}).items():
        _orchestra("tenants", "new", str(path), name, *options)
        made = _orchestra("keys", "new", str(path), "--tenant", name, "--name", name, "--json")
        keys[name] = str(json.loads(made)["key"])
    _orchestra("keys", "revoke", str(path), keys["revoked"])
    keys |= {"wrong": keys["heavy"][:-4] + "AAAA", "none": ""}
    return Book(path, keys)


def _orchestra(*command: str) -> str:
    whole = (sys.executable, "-m", "orchestra", *command)
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def _try(port: int, who: str, key: str) -> Tried:
    body = json.dumps({"text": f"A red hat, lot {time.monotonic_ns()}. What colour is it?"})
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/jobs", body.encode(), headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, told = answer.status, b"{}"
    except urllib.error.HTTPError as error:
        status, told = error.code, error.read()
    took_s = time.monotonic() - began
    message: dict[str, Any] = json.loads(told).get("error", {})
    return Tried(who, status, took_s, str(message.get("message", "")))


@contextlib.contextmanager
def _beside(server: Server, book: Book) -> Iterator[list[Tried]]:
    tried: list[Tried] = []
    done = threading.Event()

    def trying(who: str) -> None:
        while not done.wait(EVERY_S):
            tried.append(_try(server.port, who, book.keys[who]))

    threads = [
        threading.Thread(target=trying, args=(who,))
        for who in ("wrong", "revoked", "none", "spent")
    ]
    for thread in threads:
        thread.start()
    try:
        yield tried
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _shares(made: Load) -> None:
    good = Counter(one.tenant for one in made.records if one.is_good)
    ratio = good["heavy"] / max(1, good["light"])
    print(f"tenants    heavy {good['heavy']}, light {good['light']}: {ratio:.2f} to 1")


def _tell_tried(tried: list[Tried]) -> None:
    by_who: dict[str, list[Tried]] = defaultdict(list)
    for one in tried:
        by_who[one.who].append(one)
    for who, those in by_who.items():
        counts = Counter(one.status for one in those)
        took = [one.took_s * 1000 for one in those]
        print(
            f"{who:<10} {', '.join(f'{count} x {status}' for status, count in counts.items())}, "
            f"in p50 {median(took):.0f} ms, at most {max(took):.0f} ms"
        )
    told = {one.message for one in tried if one.status == 401}
    print(f"           {len(told)} message of 401: {' | '.join(sorted(told))}")
    for message in sorted({one.message for one in tried if one.status == 402})[:1]:
        print(f"           402: {message}")


def _month(server: Server, book: Book) -> None:
    """64 clients of one tenant, until its month's budget is spent and beyond."""
    made = load(Spec(server.port, 8.0, clients=SHARING, key=book.keys["month"], seed=8))
    used = json.loads(_orchestra("usage", str(book.path), "--tenant", "month", "--json"))
    print(f"month      {SHARING} clients on ${MONTH_USD}: {shares(made)}; the book has {used}")
