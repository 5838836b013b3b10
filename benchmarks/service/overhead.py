"""What the service adds to a hand-written Ray Serve app, with admission on, in one run.

With `--keys` ours has a book and asks each request for its key; the other app asks nobody.

Both apps of `benchmarks.overhead` stand on one Ray Serve and make the same two model calls for a
job; load is made by turns, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

from benchmarks.overhead import build, plain_app
from benchmarks.service.load import Spec, load
from orchestra.cluster.owned import own_cluster, served
from orchestra.serving.admission.front import front_environment
from orchestra.serving.admission.guard import PLACES

SIDES = {"orchestra": "/v1/jobs", "hand-written": "/plain"}


def run(options: argparse.Namespace) -> None:
    """Rounds by turns, and the medians of p50, p99 and jobs a second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    os.environ.update(front_environment(PLACES, options.max_ongoing))
    folder = tempfile.TemporaryDirectory()
    book = Path(folder.name) / "book.sqlite"
    key = _key(book) if options.keys else ""
    args = {"fleet": "mini"} | ({"book": str(book), "keys": "true"} if key else {})
    with folder, own_cluster(cpus=8), served(port):
        from ray import serve as ray_serve  # an extra

        from orchestra import serve

        ray_serve.run(serve(build)(args), name="orchestra", route_prefix="/")
        ray_serve.run(plain_app(), name="plain", route_prefix="/plain")
        rows: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
        for turn in range(options.rounds + 1):
            order = list(SIDES.items())[:: 1 if turn % 2 else -1]
            for place, (side, path) in enumerate(order):
                row = _round(options, port, path, 10 * turn + place, key)
                if turn:  # the first calls of a process are slower
                    rows[side].append(row)
    print(f"{options.rounds} rounds of {options.jobs} jobs, {options.concurrent} at once")
    found = {
        side: [median(column) for column in zip(*of, strict=True)] for side, of in rows.items()
    }
    for side, (p50, p99, rate) in found.items():
        print(f"  {side:<12} p50 {p50:8.1f} ms   p99 {p99:8.1f} ms   {rate:7.1f} jobs/s")
    ours, theirs = found.values()
    print("  ours/theirs  ", "   ".join(f"{a / b:.2f}x" for a, b in zip(ours, theirs, strict=True)))


def _key(book: Path) -> str:
    """A new key, of a tenant with a budget."""
    orchestra = (sys.executable, "-m", "orchestra")
    tenant = ("tenants", "new", str(book), "bench", "--usd-per-day", "5")
    subprocess.run([*orchestra, *tenant], check=True, capture_output=True)
    made = ("keys", "new", str(book), "--tenant", "bench", "--name", "bench", "--json")
    told = subprocess.run([*orchestra, *made], check=True, capture_output=True, text=True)
    return str(json.loads(told.stdout)["key"])


def _round(
    options: argparse.Namespace, port: int, path: str, seed: int, key: str
) -> tuple[float, float, float]:
    """p50 and p99 in ms, jobs a second. Raises `RuntimeError` where one was not answered."""
    spec = Spec(
        port,
        600,
        clients=options.concurrent,
        path=path,
        photos=options.jobs,
        seed=seed + 50,
        key=key,
    )
    made = load(spec)
    wrong = [one for one in made.records if one.status != 200]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {len(made.records)} failed: {wrong[0]}")
    cuts = quantiles([one.took_s * 1000 for one in made.records], n=100)
    return cuts[49], cuts[98], len(made.records) / made.seconds
