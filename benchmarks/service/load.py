"""Makes load in a process of its own: `load(spec)` starts it and returns what became of it.

A closed loop has so many clients, each of which asks again when it was answered; an open loop asks
at random times, whatever becomes of those before.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from benchmarks.service.wire import Connections

COLOURS = ("red", "green", "blue", "yellow", "white", "black")
PLACES = ("Italy", "Spain", "Sweden", "Peru", "Chile")
THINGS = ("apple", "shirt", "lemon", "carton of milk", "hat", "tomato", "pear")


@dataclass(frozen=True, slots=True)
class Spec:
    """What to send where. `rate` a second at random times, or else `clients` in a closed loop.

    `latency_ms` are the deadlines that are drawn from; none where it is empty. `once` is a burst:
    so many at one moment. `tenants` are drawn alike, and `keys` are theirs. With
    `photos` each job has a photo as well, and so many jobs are drawn before the first is sent.
    `key` is sent with each.
    """

    port: int
    seconds: float
    clients: int = 0
    rate: float = 0.0
    once: int = 0
    latency_ms: tuple[float, ...] = ()
    tenants: tuple[str, ...] = ()
    seed: int = 0
    path: str = "/v1/jobs"
    photos: int = 0
    key: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One request: when it was sent, how long it took, what came. Status 0 is a broken line."""

    at_s: float
    took_s: float
    status: int
    code: str = ""
    retry_after: str = ""
    latency_s: float | None = None
    tenant: str = ""

    @property
    def is_good(self) -> bool:
        """Answered, and in time."""
        return self.status == 200 and (self.latency_s is None or self.took_s <= self.latency_s)


@dataclass(frozen=True, slots=True)
class Load:
    """All requests, the CPU seconds that making them took, and how long it went on."""

    records: list[Record]
    cpu_s: float
    seconds: float


def load(spec: Spec) -> Load:
    """Make it, in a process of its own. Raises `subprocess.CalledProcessError`."""
    command = [sys.executable, "-m", "benchmarks.service.load"]
    done = subprocess.run(
        command, input=json.dumps(asdict(spec)), stdout=subprocess.PIPE, text=True, check=True
    )
    made = json.loads(done.stdout)
    return Load([Record(*row) for row in made["records"]], made["cpu_s"], made["seconds"])


@dataclass(eq=False)
class _Maker:
    spec: Spec
    wire: Connections
    records: list[Record] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.draw = random.Random(self.spec.seed)
        self.keys = dict(zip(self.spec.tenants, self.spec.keys, strict=False))
        self.photos = [self.photo(number) for number in range(self.spec.photos)]
        self.began = time.monotonic()
        self.number = self.spec.seed * 1_000_003

    async def one(self) -> None:
        asked, latency_s = self.job()
        tenant = self.draw.choice(self.spec.tenants) if self.spec.tenants else ""
        sent = time.monotonic()
        key = self.keys.get(tenant, self.spec.key)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = await self.wire.post(self.spec.path, asked, headers)
        except OSError as error:
            took = time.monotonic() - sent
            self.note(sent, took, 0, type(error).__name__, "", latency_s, tenant)
            return
        took = time.monotonic() - sent
        code = "" if answer.status == 200 else _code(answer.body)
        again = answer.headers.get("retry-after", "")
        self.note(sent, took, answer.status, code, again, latency_s, tenant)

    def note(self, sent: float, *rest: Any) -> None:
        self.records.append(Record(sent - self.began, *rest))

    def job(self) -> tuple[dict[str, Any], float | None]:
        """A job like no other, so that no reply is reused."""
        self.number += 1
        n = self.number
        text = (
            f"A {COLOURS[n % 6]} {THINGS[n % 7]} from {PLACES[n % 5]}, lot {n}. What colour is it?"
        )
        if self.photos:
            return {"text": text, "images": [self.photos.pop()]}, None
        if not self.spec.latency_ms:
            return {"text": text}, None
        latency = self.draw.choice(self.spec.latency_ms)
        return {"text": text, "budget": {"latency_ms": latency}}, latency / 1000

    def photo(self, number: int) -> str:
        """A drawn photo like no other, as a data URI."""
        number += self.spec.seed * 10_007
        image = Image.new("RGB", (128, 128), (255, 255, 255))
        image.paste((number * 37 % 256, number * 91 % 256, number % 256), (24, 24, 104, 104))
        image.putpixel((0, 0), (number % 256, number // 256 % 256, number // 65536 % 256))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    async def run(self) -> None:
        spec = self.spec
        if spec.once:
            await asyncio.gather(*(self.one() for _ in range(spec.once)))
        elif spec.clients:
            await asyncio.gather(*(self._client() for _ in range(spec.clients)))
        else:
            await self._open()
        self.wire.close()

    async def _client(self) -> None:
        while time.monotonic() - self.began < self.spec.seconds:
            if self.spec.photos and not self.photos:
                return
            await self.one()

    async def _open(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        due = self.began
        while due - self.began < self.spec.seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += self.draw.expovariate(self.spec.rate)
        await asyncio.gather(*under_way)


def _code(body: bytes) -> str:
    """The error's name; of an answer that is not ours, what it says."""
    try:
        return json.loads(body)["error"]["code"]
    except ValueError:
        return body[:40].decode("utf-8", "replace")


def main() -> None:
    """Read a spec from stdin, print the records."""
    given = json.load(sys.stdin)
    maker = _Maker(
        Spec(**{**given, "latency_ms": tuple(given["latency_ms"])}),
        Connections("127.0.0.1", given["port"]),
    )
    asyncio.run(maker.run())
    used = resource.getrusage(resource.RUSAGE_SELF)
    rows = [
        [one.at_s, one.took_s, one.status, one.code, one.retry_after, one.latency_s, one.tenant]
        for one in maker.records
    ]
    seconds = time.monotonic() - maker.began
    print(json.dumps({"records": rows, "cpu_s": used.ru_utime + used.ru_stime, "seconds": seconds}))


if __name__ == "__main__":
    main()
