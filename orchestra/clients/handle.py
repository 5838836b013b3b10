"""Reaches models on Ray Serve, and actors of a batch; the one file that calls `.remote`.

A replica that dies under a call is replaced by Serve,
and the call is made again: the caller reserved it once and settles it once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    RayActorError,
    RayTaskError,
    TaskCancelledError,
)
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
)

from orchestra.core.call import Call, OnPiece, Reply
from orchestra.core.errors import DeadlineExceeded, ModelUnavailable, OrchestraError
from orchestra.core.loops import SingleFlight
from orchestra.observe.trace import carrier

ATTEMPTS = 6
RETRY_S = 0.5  # Serve needs a moment to notice a dead replica and route around it
READY_S = 120.0  # a replica that loads longer than this is reported, not waited for
HEAD_NODE = "node:__internal_head__"  # ray gives every head node this resource
LOST = (ActorDiedError, ActorUnavailableError, RayActorError, ReplicaUnavailableError)


@dataclass(eq=False, slots=True)
class HandleClient:
    """One model behind a deployment handle, whose replicas are `ModelReplica`s."""

    name: str
    handle: Any
    ready_s: float = READY_S
    _ready: bool = False
    _asking: SingleFlight[None] = field(default_factory=SingleFlight)

    async def prepare(self) -> None:
        """Wait until a replica has loaded the model. Raises its error, or `ModelUnavailable`."""
        if not self._ready:
            await self._asking.do(self._ask_ready)

    async def _ask_ready(self) -> None:
        try:
            await self._answer("prepare", self.ready_s)
        except DeadlineExceeded as cause:
            raise ModelUnavailable(
                f"The model {self.name!r} was not ready after {self.ready_s:g} s. `serve status` "
                "says why: too few CPUs or GPUs free, or a checkpoint that cannot be loaded."
            ) from cause
        self._ready = True

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        """Answer one call; raises its typed error. Cancelling the wait stops the decoding.

        A call whose replica died is made again while time is left, unless a piece of its answer
        was heard already. Raises `ModelUnavailable` when no replica answers.
        """
        if on_piece is None:
            return await self._answer("complete", left_s, call, carrier())
        return await self._listen(call, left_s, on_piece)

    async def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, as the model's own tokenizer counts."""
        return await self._answer("count_tokens", None, call)

    async def _answer(self, method: str, left_s: float | None, *arguments: Any) -> Any:
        ends_at = None if left_s is None else time.monotonic() + left_s
        lost: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(RETRY_S)
            left = None if ends_at is None else ends_at - time.monotonic()
            if left is not None and left <= 0:
                raise self._too_late(left_s) from lost
            try:
                answer = await self._once(method, left, *arguments)
            except LOST as error:
                lost = error
                continue
            if isinstance(answer, OrchestraError):
                raise answer
            return answer
        raise self._silent(lost) from lost

    async def _once(self, method: str, left_s: float | None, *arguments: Any) -> Any:
        """One round trip."""
        response = getattr(self.handle, method).remote(*arguments, left_s=left_s)
        with self._bounded(response, left_s):
            async with asyncio.timeout(left_s):
                return await response

    @contextmanager
    def _bounded(self, response: Any, left_s: float | None) -> Iterator[None]:
        """What is cancelled or late here is cancelled on the replica, too; Serve's errors are ours.

        One of `LOST` is raised as it is: whether to call again depends on what was heard.
        """
        try:
            yield
        except asyncio.CancelledError:
            response.cancel()
            raise
        except TimeoutError:
            response.cancel()
            raise self._too_late(left_s) from None
        except TaskCancelledError as cause:  # not by us: an operator, or a replica taken down
            raise ModelUnavailable(
                f"A replica of {self.name!r} was told to stop this call. Send the request again.",
                may_have_spent=True,
            ) from cause
        except BackPressureError as cause:
            raise self._overloaded(cause) from cause
        except DeploymentUnavailableError as cause:
            raise self._silent(cause) from cause
        except RayTaskError as cause:
            if isinstance(cause, LOST):  # ray mixes the cause's class into the wrapper
                raise
            raise ModelUnavailable(
                f"A replica of {self.name!r} failed with {cause.cause!r}. See its log with "
                "`ray logs`, or under the session's logs/serve folder."
            ) from cause

    async def _listen(self, call: Call, left_s: float | None, on_piece: OnPiece) -> Reply:
        """The answer piece by piece; the last item is the reply, or the error."""
        ends_at = None if left_s is None else time.monotonic() + left_s
        pieces = self.handle.options(stream=True).stream.remote(call, carrier(), left_s=left_s)
        heard = False
        try:
            with self._bounded(pieces, left_s):
                async with asyncio.timeout(left_s):
                    async for piece in pieces:
                        if isinstance(piece, OrchestraError):
                            raise piece
                        if isinstance(piece, Reply):
                            return piece
                        heard = True
                        on_piece(piece)
        except LOST as error:
            if heard:
                raise self._silent(error) from error
            left_s = None if ends_at is None else ends_at - time.monotonic()
            return await self._answer("complete", left_s, call, carrier())
        raise self._silent(None)

    def _too_late(self, left_s: float | None) -> OrchestraError:
        return DeadlineExceeded(
            f"The model {self.name!r} gave no answer in the {(left_s or 0) * 1000:.0f} ms that "
            "were left. Raise latency_ms."
        )

    def _overloaded(self, cause: BackPressureError) -> ModelUnavailable:
        return ModelUnavailable(
            f"The model {self.name!r} has more calls waiting than it takes: {cause.message} "
            "Try again later, or raise hosting.scaling.max_replicas on its card."
        )

    def _silent(self, cause: Exception | None) -> ModelUnavailable:
        why = "" if cause is None else f" ({type(cause).__name__})"
        return ModelUnavailable(
            f"No replica of {self.name!r} answers{why}. `serve status` says why; the same "
            "request may succeed once one is up again."
        )


class ActorLink:
    """A Ray actor of a plain class, called as if it were here."""

    def __init__(self, plain: type, *arguments: Any, **options: Any) -> None:
        """Start an actor of `plain` with `arguments`; `options` are those of `ray.remote`."""
        self._actor: Any = ray.remote(plain).options(**options).remote(*arguments)

    async def call(self, method: str, *arguments: Any) -> Any:
        """What the actor's method returns. A wait that is cancelled cancels the method, too.

        Raises what the method raises, and one of `LOST` when the actor is gone.
        """
        reference = getattr(self._actor, method).remote(*arguments)
        try:
            return await reference
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except RayTaskError as error:
            if isinstance(error, LOST) or not isinstance(error.cause, Exception):
                raise
            raise error.cause from error

    def stop(self) -> None:
        """End the actor's process."""
        ray.kill(self._actor)


def shared_link(name: str, namespace: str, plain: type, *arguments: Any) -> ActorLink:
    """A link to the actor of that name, which outlives who asked for it; started if there is none.

    It stands on the head node, is started again where it dies, and takes many calls at once.
    """
    return ActorLink(
        plain,
        *arguments,
        name=name,
        namespace=namespace,
        get_if_exists=True,
        lifetime="detached",
        num_cpus=0,
        resources={HEAD_NODE: 0.001},
        max_restarts=-1,
    )


def link_to(name: str) -> ActorLink:
    """A link to the actor of that name, which somebody else started."""
    link = ActorLink.__new__(ActorLink)
    link._actor = ray.get_actor(name)
    return link
