"""A server is asked for few photos at once; who waits for it holds up nobody else."""

from __future__ import annotations

import asyncio

import pytest

from orchestra.images.limits import ImageLimits
from orchestra.images.politeness import HostTurns, host_of

ONE, OTHER = "https://cdn.example.org/a.jpg", "//img.example.net/b.jpg"


async def test_of_one_server_few_photos_are_fetched_at_once() -> None:
    turns, limits = HostTurns(), ImageLimits(per_host=2, host_gap_s=0)
    running, most = 0, 0

    async def fetch() -> None:
        nonlocal running, most
        async with turns.turn(ONE, limits):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(fetch() for _ in range(9)))
    assert most == 2


async def test_another_server_and_a_file_need_not_wait() -> None:
    turns, limits = HostTurns(), ImageLimits(per_host=1, host_gap_s=0)
    async with turns.turn(ONE, limits):
        for source in (OTHER, "a.jpg", "data:image/png;base64,AAAA"):
            async with asyncio.timeout(5), turns.turn(source, limits):
                pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(ONE, limits):
                pytest.fail("the server's only place is taken")


async def test_photos_of_one_server_are_asked_for_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    turns, limits = HostTurns(), ImageLimits(host_gap_s=30)
    for _ in range(3):
        async with turns.turn(ONE, limits):
            pass
    assert [round(seconds, -1) for seconds in waits] == [30, 60]
    turns.rest(ONE, 600, limits)
    async with turns.turn(ONE, limits), turns.turn(OTHER, limits):
        pass
    assert [round(seconds, -1) for seconds in waits] == [30, 60, 600]


@pytest.mark.parametrize(
    ("source", "host"),
    [
        (ONE, "cdn.example.org"),
        ("https://user:pass@CDN.example.org:8080/a.jpg", "cdn.example.org:8080"),
        (OTHER, "img.example.net"),
        ("photos/a.jpg", None),
        ("data:image/png;base64," + "A" * 9000, None),
    ],
)
def test_a_server_is_known_by_its_name(source: str, host: str | None) -> None:
    assert host_of(source) == host


def test_each_event_loop_has_turns_of_its_own() -> None:
    turns, limits = HostTurns(), ImageLimits(per_host=1, host_gap_s=0)

    async def fetch() -> None:
        async with asyncio.timeout(5), turns.turn(ONE, limits):
            pass

    for _ in range(2):
        asyncio.run(fetch())
