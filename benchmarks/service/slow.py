"""Clients that are slow or leave: what they cost the others."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time

from benchmarks.service.load import Load, Spec, load
from benchmarks.service.server import Server, running

CLIENTS, SLOW, LEAVING_S = 16, 200, 0.05


def run(options: argparse.Namespace) -> None:
    """The same closed loop alone, beside slow readers, slow writers, and clients that leave."""
    with running(is_local=options.local) as server:
        load(Spec(server.port, 6.0, clients=8, seed=1))
        for name, other in (
            ("alone", None),
            ("slow readers", _reader),
            ("slow writers", _writer),
            ("leaving", _leaver),
        ):
            before = server.memory_mib()
            made = _beside(server, other, options.capacity_seconds)
            rate = sum(one.status == 200 for one in made.records) / made.seconds
            print(
                f"{name:<14} {rate:.1f} answers/s to {CLIENTS} others; memory "
                f"{before:.0f} to {server.memory_mib():.0f} MiB"
            )


def _beside(server: Server, other: object, seconds: float) -> Load:
    spec = Spec(server.port, seconds, clients=CLIENTS, seed=int(time.monotonic()))
    if other is None:
        return load(spec)
    done = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_many(server.port, other, done)))
    thread.start()
    try:
        return load(spec)
    finally:
        done.set()
        thread.join()


async def _many(port: int, other: object, done: threading.Event) -> None:
    tasks = [asyncio.create_task(other(port, number, done)) for number in range(SLOW)]  # type: ignore[operator]
    await asyncio.gather(*tasks, return_exceptions=True)


def _request(number: int, *, stream: bool) -> bytes:
    body = json.dumps({"text": f"A red hat, lot slow {number}.", "stream": stream}).encode()
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _reader(port: int, number: int, done: threading.Event) -> None:
    """Asks for a stream and reads none of it."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(_request(number, stream=True))
    await _until(done)
    writer.close()


async def _writer(port: int, number: int, done: threading.Event) -> None:
    """Sends a byte a second."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in _request(number, stream=False):
        if done.is_set():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(1.0)
    writer.close()


async def _leaver(port: int, number: int, done: threading.Event) -> None:
    """Asks, and hangs up at once, again and again; 200 of them ask 40 times a second together."""
    while not done.is_set():
        await asyncio.sleep(number % 50 / 10)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        number += SLOW
        writer.write(_request(number, stream=False))
        await asyncio.sleep(LEAVING_S)
        writer.close()


async def _until(done: threading.Event) -> None:
    while not done.is_set():
        await asyncio.sleep(0.2)
