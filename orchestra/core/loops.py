"""What belongs to an event loop: a value for each loop, and work that its tasks do once together.

A fleet may be used from several loops at once, each in a thread of its own. A queue, a future or a
connection belongs to the loop that first waited on it, so none of them may be shared between two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A value for each event loop, made by `make` at its first use there.

    No lock: only a loop's own thread asks for its value, and each step on the table is atomic.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """The running loop's value."""
        loop = asyncio.get_running_loop()
        try:
            return self._values[loop]
        except KeyError:
            self._forget_closed()
            value = self._values[loop] = self._make()
            return value

    def all(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Every loop that has a value, with it; a loop may have been closed since."""
        return list(self._values.items())

    def drop(self) -> T | None:
        """Forget the running loop's value and return it; None where it has none."""
        return self._values.pop(asyncio.get_running_loop(), None)

    def _forget_closed(self) -> None:
        for loop in list(self._values):
            if loop.is_closed():
                self._values.pop(loop, None)


class SingleFlight(Generic[T]):
    """Work that several tasks ask for at one moment is done once.

    Who asks while it is under way waits for its outcome, a failure included: a server that is down
    is not asked by each of them in turn. Who asks later has it done again. When the task that does
    it is cancelled, one of those that wait does it. Each event loop does its own.
    """

    def __init__(self) -> None:
        self._under_way: PerLoop[dict[Hashable, asyncio.Future[T]]] = PerLoop(dict)

    async def do(self, work: Callable[[], Awaitable[T]], key: Hashable = None) -> T:
        """What `work` returns, done by the first who asks for `key`. Raises what it raises."""
        under_way = self._under_way.here()
        while (first := under_way.get(key)) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                return first.result()
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        under_way[key] = outcome
        try:
            done = await work()
        except Exception as error:
            outcome.set_exception(error)
            outcome.exception()  # fetched, so that asyncio reports none that nobody waited for
            raise
        except BaseException:
            outcome.cancel()
            raise
        finally:
            del under_way[key]
        outcome.set_result(done)
        return done
