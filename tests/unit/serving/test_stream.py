"""A stream whose reader is slower than it is kept up to a bound, and then its work ends."""

from __future__ import annotations

import asyncio

from orchestra.core.errors import Cancelled
from orchestra.serving.stream import MOST_UNREAD, Telling, TellPiece

BLOCK = "x" * 2**20


async def test_what_nobody_reads_is_bounded_and_its_work_ends() -> None:
    told = 0

    async def work(tell: TellPiece) -> str:
        nonlocal told
        while True:
            tell(BLOCK)
            told += 1
            await asyncio.sleep(0)

    telling = await Telling.begin(work)
    for _ in range(200):
        await asyncio.sleep(0)
    read = [piece async for piece in telling.pieces(1.0)]
    assert told <= MOST_UNREAD // len(BLOCK) + 2
    assert len(read) == MOST_UNREAD // len(BLOCK)
    assert telling.end is not None and isinstance(telling.end.outcome, Cancelled)


async def test_a_reader_that_keeps_up_hears_all_of_a_long_stream() -> None:
    async def work(tell: TellPiece) -> str:
        for _ in range(40):
            tell(BLOCK)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return "done"

    telling = await Telling.begin(work)
    read = [piece async for piece in telling.pieces(1.0)]
    assert len(read) == 40 and telling.end is not None and telling.end.outcome == "done"
