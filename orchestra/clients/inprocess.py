"""Reaches an engine in this process: loads it once, and joins waiting calls into batches.

One thread runs the engine; calls that arrive while it
works form the next batch, so batches grow by load and an idle engine answers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from orchestra.core.call import Call, Engine, OnPiece, Reply
from orchestra.core.errors import Cancelled, ModelUnavailable, OrchestraError
from orchestra.core.loops import PerLoop
from orchestra.observe.trace import span

T = TypeVar("T")
QUIET_TURNS = 8  # of the event loop, without a new call: jobs that run side by side have all asked


@dataclass(eq=False, slots=True)
class _Waiting:
    call: Call
    answer: asyncio.Future[Reply]
    on_piece: OnPiece | None = None
    gone: bool = False
    since: float = field(default_factory=time.monotonic)

    def end(self, answer: Reply | OrchestraError) -> None:
        """Hand over the answer, unless nobody waits for it any more."""
        if self.answer.done():
            return
        if isinstance(answer, OrchestraError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


async def _settled(queue: asyncio.Queue[_Waiting], most: int) -> None:
    """Let calls that are about to come join a batch; an idle loop turns in microseconds."""
    quiet = 0
    while quiet < QUIET_TURNS and queue.qsize() < most:
        before = queue.qsize()
        await asyncio.sleep(0)
        quiet = 0 if queue.qsize() > before else quiet + 1


@dataclass(eq=False, slots=True)
class _CallQueue:
    """The calls of one event loop that wait for the engine, and the task that feeds them to it."""

    calls: asyncio.Queue[_Waiting] = field(default_factory=asyncio.Queue)
    worker: asyncio.Task[None] | None = None


def _check(answers: Sequence[object], count: int) -> None:
    """Raise where an engine gave something else than a reply or an error for each call."""
    if len(answers) != count:
        raise RuntimeError(f"{len(answers)} answers to {count} calls")
    for answer in answers:
        if not isinstance(answer, Reply | OrchestraError):
            raise TypeError(
                f"generate gave {answer!r:.60}, not a Reply or an OrchestraError for each call"
            )


@dataclass(eq=False)
class InProcessClient:
    """One model of this process. `load` makes the engine, in the worker thread, at first use.

    `seen` is told what the engine made of each row, whether or not somebody waits for it still.
    Several event loops may use it at once: each has a queue of its own, and all the one engine.
    """

    name: str
    load: Callable[[], Engine]
    max_batch: int = 16
    max_waiting: int = 2**14  # calls of one event loop; each holds its text and photos
    seen: Callable[[Reply | OrchestraError], None] | None = None
    _queues: PerLoop[_CallQueue] = field(default_factory=lambda: PerLoop(_CallQueue))
    _engine: Engine | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _closed: bool = False

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        """Answer one call; raises its typed error. Cancelling the wait stops the decoding.

        `left_s` is not needed here: who waits no longer cancels. `on_piece` is called in the
        event loop's thread, before the answer is returned.

        Raises `ModelUnavailable` when the engine breaks down, and `Cancelled` when the client is
        closed before the answer is there.
        """
        if self._closed:
            raise self._closed_error()
        queue = self._queues.here()
        if queue.calls.qsize() >= self.max_waiting:
            raise ModelUnavailable(
                f"The model {self.name!r} has {self.max_waiting:,} calls waiting and takes no "
                "more. Send fewer jobs at once."
            )
        if queue.worker is None or queue.worker.done():
            queue.calls = asyncio.Queue()
            work = self._work(queue.calls)
            queue.worker = asyncio.create_task(work, name=f"engine {self.name}")
        waiting = _Waiting(call, asyncio.get_running_loop().create_future(), on_piece)
        queue.calls.put_nowait(waiting)
        with span("orchestra.engine", {"orchestra.model": self.name}) as seen:
            try:
                reply = await waiting.answer
            finally:
                waiting.gone = True
            if seen is not None:
                seen.set_attribute("orchestra.batch_size", reply.served.batch)
                seen.set_attribute("orchestra.queue_seconds", round(reply.served.waited_s, 6))
        return reply

    async def prepare(self) -> None:
        """Load the model now, so that a damaged checkpoint shows before any work."""
        await self.engine()

    async def engine(self) -> Engine:
        """The engine, loaded. Raises the typed error of loading, else `ModelUnavailable`."""
        if self._engine is not None:
            return self._engine
        return await self.in_thread(self.load_engine)

    async def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, as the model's own tokenizer counts; a bound without one."""
        engine = await self.engine()
        count = getattr(engine, "count_tokens", None)
        if count is None:  # a token has at least one byte
            said = (call.instruction, call.text or "", *call.texts)
            return sum(len(text.encode()) for text in said)
        return await self.in_thread(lambda: count(call))

    async def close(self) -> None:
        """Stop the work of every loop; calls still waiting end with `Cancelled`."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, queue in self._queues.all():
            if queue.worker is None:
                continue
            if loop is here:
                queue.worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await queue.worker
            else:
                with contextlib.suppress(RuntimeError):  # that loop was closed, its tasks with it
                    loop.call_soon_threadsafe(queue.worker.cancel)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def load_engine(self) -> Engine:
        """The engine, loaded now if it was not; any thread may ask. Raises as `engine` does."""
        with self._loading:
            if self._engine is None:
                with self._translated():
                    self._engine = self.load()
            return self._engine

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What `work` returns, done in the engine's own thread. Raises as `engine` does."""
        if self._closed:
            raise self._closed_error()
        with self._translated():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """An engine is foreign code: what it raises beside our errors is `ModelUnavailable`."""
        try:
            yield
        except OrchestraError:
            raise
        except Exception as cause:
            raise ModelUnavailable(
                f"The model {self.name!r} stopped with {type(cause).__name__}: {cause}. "
                "Check memory and the checkpoint, then run again."
            ) from cause

    def _closed_error(self) -> Cancelled:
        return Cancelled(f"The model {self.name!r} was closed. Open the fleet again to call it.")

    async def _work(self, queue: asyncio.Queue[_Waiting]) -> None:
        batch: list[_Waiting] = []
        try:
            while True:
                batch = [await queue.get()]
                await _settled(queue, self.max_batch)
                while len(batch) < self.max_batch and not queue.empty():
                    batch.append(queue.get_nowait())
                batch = [waiting for waiting in batch if not waiting.gone]
                if batch:
                    await self._answer(batch)
        finally:
            while not queue.empty():
                batch.append(queue.get_nowait())
            for waiting in batch:
                waiting.end(self._closed_error())

    async def _answer(self, batch: list[_Waiting]) -> None:
        calls = [waiting.call for waiting in batch]

        loop = asyncio.get_running_loop()

        def pass_on(row: int, piece: str) -> None:
            on_piece = batch[row].on_piece
            if on_piece is not None and not batch[row].gone:
                loop.call_soon_threadsafe(on_piece, piece)

        heard = pass_on if any(waiting.on_piece for waiting in batch) else None

        def generate(engine: Engine) -> list[Reply | OrchestraError]:
            answers = engine.generate(calls, lambda row: batch[row].gone, heard)
            _check(answers, len(calls))
            return answers

        answers: Sequence[Reply | OrchestraError]
        started = time.monotonic()
        try:
            engine = await self.engine()
            started = time.monotonic()
            answers = await self.in_thread(lambda: generate(engine))
        except OrchestraError as error:
            answers = [error] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if self.seen is not None:
                self.seen(answer)
            if isinstance(answer, Reply):
                waited_s = started - waiting.since
                told = replace(answer.served, batch=len(batch), waited_s=waited_s)
                answer = replace(answer, served=told)
            waiting.end(answer)
