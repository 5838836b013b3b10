"""A deployment handle as Ray Serve's looks, without Ray: scripted, or over an object right here."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any, Self


class Response:
    """What `.remote()` returns: awaited for an answer, or iterated for pieces."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer
        self.cancelled = False

    def cancel(self) -> None:
        """Note that the caller does not want it any more."""
        self.cancelled = True

    def __await__(self) -> Any:
        return self._told().__await__()

    async def _told(self) -> Any:
        answer = self._answer()
        if asyncio.iscoroutine(answer):
            return await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in self._answer():
            if piece is FOR_EVER:
                await asyncio.Event().wait()
            if isinstance(piece, Exception) and not hasattr(piece, "kind"):
                raise piece  # ours, which have a kind, are told as values
            yield piece


FOR_EVER = object()  # among a stream's pieces: nothing more comes


async def for_ever() -> Any:
    """An answer that never comes."""
    await asyncio.Event().wait()


class ScriptedHandle:
    """Answers each call by the next of `script`; the last one repeats.

    An exception is raised as Ray would, a coroutine function is awaited, a list is a stream.
    """

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.methods: list[str] = []
        self.left_s: list[float | None] = []
        self.responses: list[Response] = []

    def options(self, *, stream: bool) -> Self:
        """The same handle; what is asked of it says whether it streams."""
        return self

    def __getattr__(self, method: str) -> Any:
        return _Method(lambda *_, left_s: self._call(method, left_s))

    def _call(self, method: str, left_s: float | None) -> Response:
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.methods.append(method)
        self.left_s.append(left_s)
        self.responses.append(Response(step if callable(step) else lambda: step))
        return self.responses[-1]


class NearHandle:
    """Calls the methods of `target` as if it were elsewhere: pickled arguments, no context."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, method: str) -> Any:
        return _Method(lambda *arguments, **named: self._call(method, arguments, named))

    def _call(self, method: str, arguments: Any, named: Any) -> Response:
        arguments, named = pickle.loads(pickle.dumps((arguments, named)))

        async def work() -> Any:
            return await getattr(self._target, method)(*arguments, **named)

        async def elsewhere() -> Any:
            return await asyncio.create_task(work(), context=contextvars.Context())

        return Response(elsewhere)


class _Method:
    """`handle.method`, which has a `.remote`."""

    def __init__(self, call: Callable[..., Response]) -> None:
        self.remote = call
