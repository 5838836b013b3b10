"""A fleet that runs jobs: whole, told as they go, on from where they waited, or without asyncio."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, get_args

import numpy as np
from langchain_core.runnables import Runnable, RunnableConfig
from numpy.typing import NDArray

from orchestra.core.edge import own_loop, wait_for
from orchestra.core.errors import UsageError
from orchestra.core.job import Budget, Job, Result
from orchestra.core.spelling import did_you_mean
from orchestra.fleet.opened import Build, Graph, OpenFleet
from orchestra.graph.drive import Listener
from orchestra.graph.encode import Encoding, encode_texts
from orchestra.graph.intake import take_in
from orchestra.graph.run import OWN_MODES, GraphOptions, RunOptions, resume_job, run_job
from orchestra.graph.threads import Thread, list_threads, read_thread, unknown_thread
from orchestra.observe.genai import note_result, workflow_span
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view

T = TypeVar("T")
StreamMode = Literal[
    "values",
    "updates",
    "messages",
    "custom",
    "checkpoints",
    "tasks",
    "debug",
    "tools",
    "plan",
    "call",
    "spend",
    "result",
]
EVERYTHING: tuple[StreamMode, ...] = ("updates", "plan", "call", "spend", "result")


class Runs(OpenFleet):
    """An open fleet whose jobs can be run, streamed and resumed."""

    async def run(
        self,
        build: Build | Graph,
        job: Job,
        *,
        base: Path | None = None,
        listener: Listener | None = None,
        **options: Unpack[RunOptions],
    ) -> Result:
        """Run `job`. Image paths are relative to `base` (default: the working folder).

        `options` are those of `RunOptions`: with a `thread_id` the run can be resumed. The planned
        models load before the deadline begins.

        Raises what planning and loading raise; failures of calls, images and nodes stand in the
        result.
        """
        _check(options)
        graph = compile_graph(build)
        with workflow_span(options.get("graph_name") or graph.get_name()) as seen:
            intake = await take_in(self, job, base, fine=view(graph).is_fine)
            planned = None
            if not intake.is_lost:
                planned = self.plan_for(graph, intake.shape, job.budget)
                await self.prepare(planned)
            account = f"job:{uuid.uuid4().hex}"
            result = await run_job(
                self, graph, intake, account=account, planned=planned, listener=listener, **options
            )
            note_result(seen, result)
        return result

    async def resume(
        self,
        build: Build | Graph,
        thread_id: str,
        answer: Any = None,
        *,
        listener: Listener | None = None,
        **options: Unpack[GraphOptions],
    ) -> Result:
        """Go on with a run that waits, or that its process left, as the one that it was.

        `answer` is what `interrupt()` returns in the node that asked; where there were several
        questions, a mapping from their ids. The budget, the deadline and the photos are those that
        the run began with. Of two who answer at once one is heard. Raises `UnknownThread`,
        `ThreadTaken` for who comes late, `UsageError` for an answer to nothing, and as `run` does.
        """
        _check(options)
        graph = compile_graph(build)
        record, intake = await read_thread(self, thread_id)
        with workflow_span(record.graph or graph.get_name()) as seen:
            await self.prepare(self.plan_for(graph, intake.shape, record.job.budget))
            result = await resume_job(
                self, graph, record, intake, answer, listener=listener, **options
            )
            note_result(seen, result)
        return result

    async def waiting(self) -> dict[str, str]:
        """The threads that can be resumed, and whether each is `waiting` or was `left`."""
        threads = await list_threads(self)
        return {each.thread_id: each.status for each in threads if each.status != "running"}

    async def threads(self) -> list[Thread]:
        """The runs that wait, were left, or are gone on with at the moment; what they ask."""
        return await list_threads(self)

    async def thread(self, thread_id: str) -> Thread:
        """One of them. Raises `UnknownThread`."""
        found = await list_threads(self, thread_id)
        if not found:
            raise unknown_thread(thread_id)
        return found[0]

    def astream(
        self,
        build: Build | Graph,
        job: Job,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = EVERYTHING,
        base: Path | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncIterator[Any]:
        """Run `job`, and tell what happens as it does.

        `stream_mode` takes LangGraph's modes, which give what LangGraph gives, and `plan` (the
        `Plan`), `call` (each `CallRecord`), `spend` (a `Spend` after each call) and `result` (the
        `Result`, last). One mode by its name gives chunks, several give pairs of mode and chunk.
        Raises as `run` does; who stops listening cancels the run.
        """
        return self._told(
            stream_mode,
            lambda listener: self.run(build, job, base=base, listener=listener, **options),
        )

    def astream_resumed(
        self,
        build: Build | Graph,
        thread_id: str,
        answer: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = EVERYTHING,
        **options: Unpack[GraphOptions],
    ) -> AsyncIterator[Any]:
        """`resume`, told as `astream` tells a run."""
        return self._told(
            stream_mode,
            lambda listener: self.resume(build, thread_id, answer, listener=listener, **options),
        )

    async def _told(
        self,
        stream_mode: StreamMode | Sequence[StreamMode],
        start: Callable[[Listener], Coroutine[Any, Any, Result]],
    ) -> AsyncIterator[Any]:
        is_one = isinstance(stream_mode, str)
        modes = frozenset({stream_mode} if isinstance(stream_mode, str) else stream_mode)
        _check_modes(modes)
        told: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

        def tell(mode: str, chunk: Any) -> None:
            if mode in modes:
                told.put_nowait((mode, chunk))

        task = asyncio.create_task(start(Listener(modes - OWN_MODES, tell)))
        task.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (pair := await told.get()) is not None:
                yield pair[1] if is_one else pair
            result = await task
            if "result" in modes:
                yield result if is_one else ("result", result)
        finally:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def run_sync(
        self,
        build: Build | Graph,
        job: Job,
        *,
        base: Path | None = None,
        **options: Unpack[RunOptions],
    ) -> Result:
        """`run`, for who has no event loop, or one that cannot wait (a notebook's cell can).

        It runs on a loop of its own, in another thread. Raises as `run` does, and `UsageError`
        inside that loop.
        """
        return wait_for(self.run(build, job, base=base, **options), own_loop())

    def resume_sync(
        self,
        build: Build | Graph,
        thread_id: str,
        answer: Any = None,
        **options: Unpack[GraphOptions],
    ) -> Result:
        """`resume`, as `run_sync` is `run`."""
        return wait_for(self.resume(build, thread_id, answer, **options), own_loop())

    def stream(
        self,
        build: Build | Graph,
        job: Job,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = EVERYTHING,
        base: Path | None = None,
        **options: Unpack[RunOptions],
    ) -> Iterator[Any]:
        """`astream`, as `run_sync` is `run`; who stops listening cancels the run."""
        return _each(self.astream(build, job, stream_mode=stream_mode, base=base, **options))

    async def encode(
        self,
        texts: Sequence[str],
        *,
        model: str | None = None,
        budget: Budget | None = None,
        data: Literal["any", "local"] = "any",
        tags: Mapping[str, str] | None = None,
        cache: bool = True,
    ) -> NDArray[np.float32]:
        """Vectors (texts, width) of texts, which compare by their dot product.

        The first card that offers `encode` makes them, or `model`; never another in its place, as
        vectors of two models do not compare. Calls are reserved, paid, paced and cached as those of
        a job. Raises `UsageError` for a text that is empty, `NoModel` and `NoFeasiblePlan` before
        anything is spent, and the error of a call that failed.
        """
        job = Job(budget=budget or Budget(), data=data, tags=dict(tags or {}), cache=cache)
        return (await encode_texts(self, Encoding(texts, job, model))).rows

    def encode_sync(self, texts: Sequence[str], **options: Any) -> NDArray[np.float32]:
        """`encode`, as `run_sync` is `run`."""
        return wait_for(self.encode(texts, **options), own_loop())

    def bind(self, build: Build | Graph, **options: Unpack[RunOptions]) -> BoundGraph:
        """The graph over this fleet as a LangChain `Runnable`, from a `Job` to its `Result`."""
        return BoundGraph(self, build, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wait_for(self.close(), own_loop())


class BoundGraph(Runnable[Job, Result]):
    """A graph over an open fleet, to stand where LangChain takes a `Runnable`."""

    def __init__(self, fleet: Runs, build: Build | Graph, options: Mapping[str, Any]) -> None:
        self.fleet = fleet
        self.build = build
        self.options = options

    def invoke(self, input: Job, config: RunnableConfig | None = None, **kwargs: Any) -> Result:
        """The result of a job. Raises as `Fleet.run_sync` does."""
        return self.fleet.run_sync(self.build, input, **self._options(config, kwargs))

    async def ainvoke(
        self, input: Job, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Result:
        """The result of a job. Raises as `Fleet.run` does."""
        return await self.fleet.run(self.build, input, **self._options(config, kwargs))

    def stream(
        self, input: Job, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """What `Fleet.stream` tells of a job."""
        yield from self.fleet.stream(self.build, input, **self._options(config, kwargs))

    async def astream(
        self, input: Job, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """What `Fleet.astream` tells of a job."""
        async for told in self.fleet.astream(self.build, input, **self._options(config, kwargs)):
            yield told

    def _options(self, config: RunnableConfig | None, given: Mapping[str, Any]) -> Any:
        named = {} if config is None else {"config": config}
        return {**self.options, **named, **given}


def _each(told: AsyncIterator[T]) -> Iterator[T]:
    """What `told` gives, each waited for on the loop of synchronous callers."""
    loop = own_loop()

    async def following() -> tuple[bool, Any]:
        async for item in told:
            return True, item
        return False, None

    async def end() -> None:
        close = getattr(told, "aclose", None)
        if close is not None:
            await close()

    try:
        while True:
            there, item = wait_for(following(), loop)
            if not there:
                return
            yield item
    finally:
        wait_for(end(), loop)


def _check(options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an option that a run does not have."""
    names = list(RunOptions.__annotations__)
    for name, value in options.items():
        if name not in names:
            raise UsageError(
                f"A run has no option {name!r} (got {value!r}). {did_you_mean(name, names)}"
            )


def _check_modes(modes: frozenset[str]) -> None:
    """Raise `UsageError` for a mode that no stream has."""
    known = get_args(StreamMode)
    for mode in sorted(modes.difference(known)):
        raise UsageError(f"A stream has no mode {mode!r}. {did_you_mean(mode, known)}")
