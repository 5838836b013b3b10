"""A service that stops: what is under way is finished, nothing new is taken, probes see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from graphs.answer import build
from orchestra.cluster.drain import Entrance
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet


@asynccontextmanager
async def asked(door: Entrance, started: asyncio.Event, go: asyncio.Event) -> AsyncIterator:
    """A client of a service whose model answers when `go` is set."""

    loop = asyncio.get_running_loop()

    def waits(call: object) -> str:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(60)
        return "two words"

    fleet, _ = scripted_fleet(waits, waits)
    transport = httpx.ASGITransport(
        make_app(Service(fleet, {"answer": build}), HttpSettings(door=door))
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as http:
        yield http
    await fleet.close()


async def test_a_request_under_way_is_finished_and_a_new_one_refused(tmp_path: Path) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    stopping = Entrance(tmp_path / "door")
    ask = {"messages": [{"role": "user", "content": "Hello"}], "model": "r1"}
    async with asked(Entrance(tmp_path / "door"), started, go) as http:
        assert (await http.get("/readyz")).json()["status"] == "ok"
        first = asyncio.create_task(http.post("/v1/chat/completions", json=ask))
        await started.wait()
        out = asyncio.create_task(asyncio.to_thread(stopping.shut, 60.0))
        while not stopping.is_shut:
            await asyncio.sleep(0)
        late = await http.post("/v1/chat/completions", json=ask)
        ready, alive = await http.get("/readyz"), await http.get("/healthz")
        threads = await http.get("/v1/threads")
        assert not out.done()
        go.set()
        assert (await first).json()["choices"][0]["message"]["content"] == "two words"
        assert await out
    error = late.json()["error"]
    assert (late.status_code, error["code"], late.headers["Retry-After"]) == (503, "Stopping", "5")
    assert "takes no new work" in error["message"]
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert (alive.status_code, threads.status_code) == (200, 200)
