"""Clients that are slow or leave: what they cost the others."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from benchmarks.service.load import Load, Spec, load
from benchmarks.service.server import Server, running

CLIENTS, SLOW, LEAVING_S = 16, 200, 0.05
LEAVING_RATE = 40.0  # a second, of all who leave together


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
            before, used = server.memory_mib(), sum(server.cpu_s().values())
            asked, began = Counter[str](), time.monotonic()
            made = _beside(server, other, options.capacity_seconds, asked)
            took = time.monotonic() - began  # with the start of who makes the load
            used = sum(server.cpu_s().values()) - used
            answers = sum(one.status == 200 for one in made.records)
            print(
                f"{name:<14} {answers / made.seconds:.1f} answers/s to {CLIENTS} others; "
                f"{asked.total() / took:.1f} a second asked by them; {used / took:.2f} cores, "
                f"{1000 * used / max(1, answers):.1f} ms an answer; memory "
                f"{before:.0f} to {server.memory_mib():.0f} MiB"
            )


Other = Callable[[int, int, threading.Event, Counter[str]], Awaitable[None]]


def _beside(server: Server, other: Other | None, seconds: float, asked: Counter[str]) -> Load:
    spec = Spec(server.port, seconds, clients=CLIENTS, seed=int(time.monotonic()))
    if other is None:
        return load(spec)
    done = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_many(server.port, other, done, asked)))
    thread.start()
    try:
        return load(spec)
    finally:
        done.set()
        thread.join()


async def _many(port: int, other: Other, done: threading.Event, asked: Counter[str]) -> None:
    tasks = [asyncio.ensure_future(other(port, number, done, asked)) for number in range(SLOW)]
    await asyncio.gather(*tasks, return_exceptions=True)


def _request(number: int, *, stream: bool) -> bytes:
    body = json.dumps({"text": f"A red hat, lot slow {number}.", "stream": stream}).encode()
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _reader(port: int, number: int, done: threading.Event, asked: Counter[str]) -> None:
    """Asks for a stream and reads none of it."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(_request(number, stream=True))
    asked["read"] += 1
    await _until(done)
    writer.close()


async def _writer(port: int, number: int, done: threading.Event, asked: Counter[str]) -> None:
    """Sends a byte a second."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    asked["write"] += 1
    for byte in _request(number, stream=False):
        if done.is_set():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(1.0)
    writer.close()


async def _leaver(port: int, number: int, done: threading.Event, asked: Counter[str]) -> None:
    """Asks and hangs up after `LEAVING_S`, again and again, at its part of `LEAVING_RATE`."""
    every_s = SLOW / LEAVING_RATE
    due = time.monotonic() + every_s * number / SLOW
    while not done.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if done.is_set():
            return
        due += every_s
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        number += SLOW
        writer.write(_request(number, stream=False))
        asked["left"] += 1
        await asyncio.sleep(LEAVING_S)
        writer.close()


async def _until(done: threading.Event) -> None:
    while not done.is_set():
        await asyncio.sleep(0.2)
