"""A service over one scripted model with its files and batches, and one that can be killed."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from graphs.answer import build
from orchestra import Fleet
from orchestra.book.filing.filing import Filing
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client
from orchestra.serving.admission.guard import turnstile_of
from orchestra.serving.batches.desk import BatchDesk
from orchestra.serving.batches.entry import LineEntrance
from orchestra.serving.batches.words import BatchRequest, Endpoint
from orchestra.serving.batches.work import BatchWork
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine

CHAT = "/v1/chat/completions"


def said(call: Call) -> Any:
    """What was asked, or under a schema one value for all of it."""
    if call.schema is not None:
        return {name: "red apple" for name in call.schema["properties"]}
    return f"It is {call.instruction}"


def number_of(call: Call) -> int:
    """Which line a call is of."""
    return int(call.instruction.split()[-1])


def ask(number: int, **body: Any) -> dict[str, Any]:
    """A line of a batch."""
    messages = [{"role": "user", "content": f"thing {number}"}]
    body = {"model": "r1", "messages": messages, **body}
    return {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body}


def jsonl(*rows: Any) -> bytes:
    return b"".join(
        (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows
    )


class Served:
    """A service over one scripted model, with its files in `folder` and its book beside them."""

    def __init__(self, folder: Path | None, answer: Callable[[Call], Any] = said) -> None:
        self.engine = ScriptedEngine(answer)
        clients: dict[str, Client] = {"r1": InProcessClient("r1", lambda: self.engine)}
        book = None if folder is None else folder / "book.sqlite"
        self.fleet = Fleet.open("mini", clients=clients, book=book)
        self.filing = Filing.open(None if folder is None else folder / "files")
        self.app = make_app(
            Service(self.fleet, {"answer": build}), HttpSettings(filing=self.filing)
        )
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://o", timeout=60)

    async def send(self, content: bytes, name: str = "in.jsonl", purpose: str = "batch") -> Any:
        answer = await self.http.post(
            "/v1/files", files={"file": (name, content)}, data={"purpose": purpose}
        )
        return answer.json()

    async def take(self, content: bytes, endpoint: Endpoint = CHAT) -> str:
        """A batch that nobody works on yet."""
        file = await self.send(content)
        entrance = LineEntrance(self.fleet.ledger, Access(), turnstile_of(1, 1))
        work = BatchWork(self.filing, {}, entrance)
        work.begin = lambda: None  # type: ignore[method-assign]
        asked = BatchRequest(input_file_id=file["id"], endpoint=endpoint, completion_window="24h")
        return BatchDesk(self.filing, work).begin(asked).id

    async def begin(self, content: bytes, endpoint: str = CHAT, window: str = "24h") -> Any:
        file = await self.send(content)
        asked = {
            "input_file_id": file["id"], "endpoint": endpoint, "completion_window": window,
        }  # fmt: skip
        answer = await self.http.post("/v1/batches", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, id: str, *statuses: str) -> Any:
        """The batch once it has one of `statuses`."""
        async with asyncio.timeout(60):
            while True:
                batch = (await self.http.get(f"/v1/batches/{id}")).json()
                if batch["status"] in statuses:
                    return batch
                await asyncio.sleep(0.02)

    async def rows(self, file: str | None) -> list[Any]:
        assert file is not None
        text = (await self.http.get(f"/v1/files/{file}/content")).text
        return [json.loads(line) for line in text.splitlines()]


@asynccontextmanager
async def served(folder: Path | None = None, answer: Any = said) -> AsyncIterator[Served]:
    one = Served(folder, answer)
    async with one.app.router.lifespan_context(one.app):
        yield one
    await one.http.aclose()
    await one.fleet.close()
    one.filing.close()


def main(folder: str, stuck_from: str) -> None:
    """Work on what is filed in `folder`, until a line that never ends, and for ever."""

    def stuck(call: Call) -> Any:
        while number_of(call) >= int(stuck_from):
            time.sleep(0.05)
        return said(call)

    async def work() -> None:
        async with served(Path(folder), stuck):
            await asyncio.Event().wait()

    asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[1:])
