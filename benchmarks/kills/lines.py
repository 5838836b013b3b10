"""Kills the ingress that runs a batch's lines, midway; another one goes on with what is left.

    python -m benchmarks.kills.lines --lines 5000 --kills 1

Two ingresses share a book and what is filed beside it, over a stub model that answers at once. The
file goes up, the batch begins, and the ingress that has its lines is killed when a part of them is
recorded. Each line must be in the output once, and each paid for once: the calls under way in the
killed process are presumed to be spent, and told beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from benchmarks.kills.cluster import calls_of, free_port, questions
from benchmarks.kills.service import APP
from graphs.answer import build
from orchestra.cluster.owned import own_cluster, served
from orchestra.cluster.processes import Process, descendants
from tests.stub_worker import write_fleet

INGRESSES = 2
POLL_S = 0.5


def input_lines(count: int) -> bytes:
    """A file of jobs, each its own."""
    rows = [
        {
            "custom_id": f"line-{at}",
            "method": "POST",
            "url": "/v1/jobs",
            "body": {"text": text},
        }
        for at, text in enumerate(questions(count))
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def worker(lock: Path) -> Process | None:
    """The ingress that holds the lock of the filing, which names it."""
    held = lock.read_text(encoding="utf-8").strip()
    return next((one for one in descendants(os.getpid()) if str(one.pid) == held), None)


def run(folder: Path, lines: int, kills: int) -> None:
    """The whole of it."""
    book, port = folder / "book.sqlite", free_port()
    args = {"fleet": str(write_fleet(folder)), "book": str(book), "ingresses": str(INGRESSES)}
    with own_cluster(cpus=2), served(port):
        from ray import serve as ray_serve

        from orchestra import serve

        ray_serve.run(serve(build)(args), name=APP)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
            output = _batch(http, folder, lines, kills)
    ids = Counter(json.loads(line)["custom_id"] for line in output.splitlines())
    calls = calls_of(book)
    with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as database:
        twice = database.execute(
            "SELECT count(*) - count(DISTINCT key) FROM entries WHERE state = 'settled'"
        ).fetchone()[0]
    print(f"lines in the output    {ids.total()} of {lines}, {len(ids)} of them different")
    print(f"charged twice          {twice}")
    print(f"calls in the book      {json.dumps(dict(calls.states))}")


def _batch(http: httpx.Client, folder: Path, lines: int, kills: int) -> str:
    """The output of a batch whose workers die."""
    given = {"file": ("lines.jsonl", input_lines(lines)), "purpose": (None, "batch")}
    file = _said(http.post("/v1/files", files=given))
    asked = {"input_file_id": file["id"], "endpoint": "/v1/jobs", "completion_window": "24h"}
    batch = _said(http.post("/v1/batches", json=asked))
    began, killed = time.monotonic(), 0
    while batch["status"] not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(POLL_S)
        try:
            batch = _said(http.get(f"/v1/batches/{batch['id']}"))
        except httpx.TransportError:
            continue  # it was asked of the ingress that died
        done = batch["request_counts"]["completed"] + batch["request_counts"]["failed"]
        if killed < kills and done * (kills + 1) >= lines * (killed + 1):
            victim = worker(folder / "book.sqlite.files" / "work.lock")
            if victim is not None:
                victim.kill()
                killed += 1
                print(f"killed an ingress ({victim.pid}) after {done} lines", flush=True)
    print(
        f"batch                  {batch['status']} after {time.monotonic() - began:.0f} s, ", end=""
    )
    print(f"{json.dumps(batch['request_counts'])}, {killed} kills")
    return http.get(f"/v1/files/{batch['output_file_id']}/content").text


def _said(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_server_error:
        raise httpx.TransportError(answer.text)
    answer.raise_for_status()
    return answer.json()


def main() -> None:
    """Parse, and run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.lines, options.kills)


if __name__ == "__main__":
    main()
