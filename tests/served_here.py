"""The HTTP face under uvicorn in a thread of this process, without Ray, and what is asked of it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

PATIENCE_S = 60.0
TITLES = (
    "Red cotton shirt, size M, made in Portugal",
    "Blue wool jumper with a round neck",
    "Green apple juice, 1 l, organic",
    "Black leather shoes, size 42",
    "红色纯棉衬衫",
    "Oat milk without sugar, 500 ml",
)


@contextmanager
def served_here(app: FastAPI) -> Iterator[str]:
    """Its address, host and port, while the block runs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until = time.monotonic() + PATIENCE_S
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@asynccontextmanager
async def client_of(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that address."""
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE_S) as client:
        yield client


async def ask(client: httpx.AsyncClient, number: int) -> int:
    """One request of a day's mix, by its number: its status."""
    title = TITLES[number % len(TITLES)]
    said = [{"role": "user", "content": f"{title} (offer {number}). What is it?"}]
    chat: dict[str, Any] = {"model": "auto", "messages": said, "stream": number % 4 == 1}
    job = {"text": f"{title} (offer {number})", "budget": {"latency_ms": 20_000}}
    match number % 8:
        case 3:
            job = {"text": title, "images": ["data:image/png;base64,bm8="]}  # no photo
        case 5:
            chat["model"] = "no-such-model"
        case 7:
            job = {"text": title}  # asked before
    if number % 2:
        route, body = ("/v1/jobs", job) if number % 8 in (3, 7) else ("/v1/chat/completions", chat)
    else:
        route, body = "/v1/jobs", job
    return (await client.post(route, json=body)).status_code


def ask_all(address: str, count: int, at_once: int, start: int = 0) -> list[int]:
    """The statuses of many requests, some at once."""

    async def work() -> list[int]:
        statuses: list[int] = []
        numbers = iter(range(start, start + count))
        async with client_of(address) as client:

            async def one() -> None:
                for number in numbers:
                    statuses.append(await ask(client, number))

            await asyncio.gather(*(one() for _ in range(at_once)))
        return statuses

    return asyncio.run(work())
