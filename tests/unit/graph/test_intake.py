"""Photos that are slow to come: what they cost their own job, and nobody else's."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from PIL import Image

from graphs.listing import build
from orchestra import Budget, Fleet, Job
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.errors import UsageError
from orchestra.fleet.source import load_fleet
from orchestra.graph.intake import FETCHES, Intake, take_in
from orchestra.graph.run import run_job
from orchestra.images.limits import ImageLimits
from orchestra.images.store import ImageStore
from orchestra.routing.compiled import compile_graph
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed


@dataclass
class SlowServer:
    """A server of photos that come when `release` is set; `asked` counts who waits."""

    url: str
    release: threading.Event
    asked: threading.Semaphore


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    release, asked = threading.Event(), threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.release()
            release.wait(30)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SlowServer(f"http://127.0.0.1:{server.server_port}/photo", release, asked)
    release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def opened() -> Fleet:
    """Scripted models, photos from this machine."""
    clients: dict[str, Any] = {
        name: InProcessClient(name, lambda: ScriptedEngine(first_allowed)) for name in ("r1", "vl")
    }
    limits = ImageLimits(allow_private=True, timeout_s=20, per_host=FETCHES._max_workers)
    return Fleet.open("mini", clients=clients, image_limits=limits)


def photo(number: int = 0) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (number, 128, 0)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


async def test_a_photo_that_does_not_come_before_the_deadline_is_an_error_of_its_own(
    slow: SlowServer,
) -> None:
    job = Job(text="red", images=[slow.url, photo()], budget=Budget(latency_ms=400))
    async with opened() as fleet:
        intake = await take_in(fleet, job)
        assert not slow.release.is_set() and len(intake.job.images) < 2
        error = intake.errors[0]
        assert (error.stage, error.type) == ("images", "DeadlineExceeded")
        assert slow.url in error.message and "Raise latency_ms" in error.message
        slow.release.set()


async def test_what_photos_took_is_not_left_for_the_models() -> None:
    job = Job(text="A red shirt", budget=Budget(latency_ms=5000))
    async with opened() as fleet:
        graph = compile_graph(build)
        quick = await run_job(fleet, graph, Intake(job, seconds=0.1), account="quick")
        late = await run_job(fleet, graph, Intake(job, seconds=5.1), account="late")
    assert quick.errors == ()
    assert {error.type for error in late.errors} == {"DeadlineExceeded"}
    assert "No time is left" in late.errors[0].message


async def test_slow_servers_of_photos_do_not_hold_up_photos_that_are_here(
    slow: SlowServer,
) -> None:
    many = FETCHES._max_workers
    async with opened() as fleet:
        waiting = [
            asyncio.create_task(take_in(fleet, Job(images=[f"{slow.url}/{number}"])))
            for number in range(2 * many)
        ]
        for _ in range(many):
            await asyncio.to_thread(slow.asked.acquire)
        here = await asyncio.wait_for(take_in(fleet, Job(images=[photo()])), timeout=15)
        assert len(here.job.images) == 1 and not slow.release.is_set()
        slow.release.set()
        taken = await asyncio.gather(*waiting)
    assert {intake.errors[0].type for intake in taken} == {"ImageNotFound"}


class _Busy(BaseHTTPRequestHandler):
    """Turns everybody away `refusals` times with `status`, or hangs up at 0; then has a photo."""

    refusals: ClassVar[int] = 0
    status: ClassVar[int] = 429
    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked += 1
        if kind.asked > kind.refusals:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(base64.b64decode(photo().partition(",")[2]))
        elif kind.status:
            self.send_response(kind.status)
            self.send_header("Retry-After", "0.01")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def busy(refusals: int, status: int) -> Iterator[tuple[type[_Busy], str]]:
    """A server that is busy for so many requests, and the address of its photo."""
    handler = type("Handler", (_Busy,), {"refusals": refusals, "status": status, "asked": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/photo"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [429, 503, 0])
async def test_a_photo_whose_server_is_busy_is_asked_for_again(status: int) -> None:
    with busy(2, status) as (server, address):
        async with opened() as fleet:
            intake = await take_in(fleet, Job(images=[address]))
    assert intake.errors == () and len(intake.job.images) == 1
    assert server.asked == 3


@pytest.mark.parametrize(
    ("status", "kind", "asked"), [(503, "ImageUnavailable", 4), (404, "ImageNotFound", 1)]
)
async def test_only_what_may_pass_is_asked_for_again_and_not_for_ever(
    status: int, kind: str, asked: int
) -> None:
    with busy(9, status) as (server, address):
        async with opened() as fleet:
            intake = await take_in(fleet, Job(images=[address]))
    assert [error.type for error in intake.errors] == [kind]
    assert server.asked == asked


async def test_a_busy_server_is_not_waited_for_beyond_the_deadline() -> None:
    with busy(9, 503) as (server, address):
        async with opened() as fleet:
            job = Job(text="red", images=[address], budget=Budget(latency_ms=450))
            intake = await take_in(fleet, job)
    assert [error.type for error in intake.errors] == ["ImageUnavailable"]
    assert server.asked == 1


async def test_a_jobs_photos_are_there_until_it_ends_however_many_others_come() -> None:
    clients: dict[str, Any] = {
        name: InProcessClient(name, lambda: ScriptedEngine(first_allowed)) for name in ("r1", "vl")
    }
    file, folder = load_fleet("mini")
    store = ImageStore(memory_bytes=2 * 12 * 8 * 4)  # two of these photos
    async with Fleet(file, folder, clients=clients, images=store) as fleet:
        jobs = [Job(text=f"red {number}", images=[photo(number)]) for number in range(40)]
        results = await asyncio.gather(*(fleet.run(build, job) for job in jobs))
        assert [error for result in results for error in result.errors] == []
    gc.collect()
    assert sum(result.images[0] in store for result in results) <= 2


async def test_a_job_with_more_photos_than_it_may_have_is_refused() -> None:
    async with opened() as fleet:
        with pytest.raises(UsageError, match=r"has 65 photos; the limit is 64\. Send fewer"):
            await fleet.run(build, Job(images=[photo()] * 65))
