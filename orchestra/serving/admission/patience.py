"""`Patience`: hangs up on a client that sends, or reads, nothing for half a minute."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STALL_S = 30.0


class Patience:
    """For the application a client that reads nothing of its answer has left, and its work ends."""

    def __init__(self, app: ASGIApp, stall_s: float = STALL_S) -> None:
        self._app = app
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_stalled = False
        waiting: set[asyncio.Future[Message]] = set()

        async def watched() -> Message:
            message = asyncio.ensure_future(receive())
            waiting.add(message)
            try:
                # Not `await message`: who cancels us must find the very error it sent.
                await asyncio.wait({message})
            finally:
                waiting.discard(message)
                message.cancel()
            return {"type": "http.disconnect"} if message.cancelled() else message.result()

        async def heard(message: Message) -> None:
            nonlocal is_stalled
            if is_stalled:
                return
            try:
                async with asyncio.timeout(self._stall_s):
                    await send(message)
            except TimeoutError:
                is_stalled = True
                for message_to_come in waiting:
                    message_to_come.cancel()

        await self._app(scope, watched, heard)
