"""What calls that no plan holds may spend: an account, its limits and its deadline.

A `ChatModel` has one of its own; the run of a job gives one to nodes that are no asks, so that
what they spend is counted and bounded with the job.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal

from orchestra.book.ledger import open_or_close
from orchestra.book.messages import CloseAccount, OpenAccount, Overrun, ReadSpent, Spent
from orchestra.core.errors import DeadlineExceeded
from orchestra.core.job import Budget, CallRecord, ErrorRecord
from orchestra.core.money import limit_micro, usd
from orchestra.graph.backing import Backing


@dataclass(eq=False, slots=True)
class Allowance:
    """An account that opens with its first call.

    `budget` bounds what is spent from it; `parent` is an account of the same ledger that pays for
    it, `above` the allowance it is a part of, `ends_at` a deadline by the monotonic clock. What
    calls of the account `beside` it cost beyond their bounds is taken off. `loop` is where the
    fleet's clients live. `calls` are those made, in order; `label` is of their tags.
    `on_stop` hears of what had no room left, and whether all of it is used up or only a part's.
    """

    fleet: Backing
    account: str
    loop: asyncio.AbstractEventLoop
    budget: Budget = field(default_factory=Budget)
    parent: str | None = None
    above: Allowance | None = None
    beside: str | None = None
    ends_at: float | None = None
    calls: list[CallRecord] = field(default_factory=list)
    label: str = ""
    on_stop: Callable[[ErrorRecord, bool], None] | None = None
    name: str = ""  # as a part
    _is_open: bool = False
    _parts: dict[str, Allowance] = field(default_factory=dict)

    def part(self, name: str, budget: Budget) -> Allowance:
        """The part of this allowance called `name`, which `budget` bounds."""
        part = self._parts.get(name)
        if part is None:
            part = Allowance(
                self.fleet,
                f"{self.account}:{name}",
                self.loop,
                budget,
                parent=self.account,
                above=self,
                ends_at=self.ends_at,
                name=name,
            )
            # Nodes that are no coroutines ask from threads of their own: the first one's stays.
            part = self._parts.setdefault(name, part)
        return part

    @property
    def has_called(self) -> bool:
        """Whether a call was made, here or in those it is a part of."""
        return bool(self.calls) or (self.above is not None and self.above.has_called)

    def note(self, calls: Sequence[CallRecord]) -> None:
        """Note calls that were made, here and in those it is a part of."""
        link: Allowance | None = self
        while link is not None:
            for call in calls:
                link.calls.append(call)  # a run tells of each
            link = link.above

    async def open(self) -> None:
        """Open the account, and those above it, unless they are open."""
        if self._is_open:
            return
        if self.above is not None:
            await self.above.open()
        cost = self.budget.cost_usd
        opened = OpenAccount(
            self.account,
            parent=self.parent,
            cost_micro=None if cost is None else limit_micro(cost),
            tokens=self.budget.tokens,
            label=self.label,
        )
        await open_or_close(self.fleet.ledger, opened)
        self._is_open = True

    async def close(self) -> None:
        """Close the account and its parts, if they were opened; who handed it out forgets it.

        What it has spent stays in its account, and a part that is asked for again goes on from it.
        """
        for part in list(self._parts.values()):
            await part.close()
        if self._is_open:
            self._is_open = False
            await self.fleet.ledger.send(CloseAccount(self.account))
        if self.above is not None and self.above._parts.get(self.name) is self:
            self.above._parts.pop(self.name, None)  # or each part of a long life would stay

    async def spent(self) -> Spent:
        """What was spent from it, and is reserved now."""
        await self.open()
        return await self.fleet.ledger.send(ReadSpent(self.account))

    async def left(self) -> tuple[Budget, bool]:
        """What a call may still take, and whether calls under way may give some of it back."""
        cost: Decimal | None = None
        tokens: int | None = None
        is_waiting = False
        link: Allowance | None = self
        while link is not None:
            now, over_micro, over_tokens = await link.spent(), *await link._overrun_beside()
            if link.budget.cost_usd is not None:
                used = now.cost_micro + now.open_cost_micro + over_micro
                left = link.budget.cost_usd - usd(used)
                cost = max(Decimal(0), left if cost is None else min(cost, left))
            if link.budget.tokens is not None:
                rest = link.budget.tokens - now.tokens - now.open_tokens - over_tokens
                tokens = max(0, rest if tokens is None else min(tokens, rest))
            is_waiting = is_waiting or bool(now.open_cost_micro or now.open_tokens)
            link = link.above
        limits = {"cost_usd": cost, "tokens": tokens, "memory_gib": self.budget.memory_gib}
        return Budget(**limits, latency_ms=self._left_ms()), is_waiting

    async def stop(self, error: ErrorRecord) -> None:
        """Tell the run that pays, where one does, what a call had no room or time for."""
        parts: list[Allowance] = []
        whole = self
        while whole.above is not None:
            parts.append(whole)
            whole = whole.above
        if whole.on_stop is None:
            return
        if error.type == DeadlineExceeded.__name__:
            is_whole = all(part.budget.latency_ms is None for part in parts)
        else:
            (mine, _), (all_of_it, _) = await self.left(), await whole.left()
            is_whole = (mine.cost_usd, mine.tokens) == (all_of_it.cost_usd, all_of_it.tokens)
        whole.on_stop(error, is_whole)

    async def overruns(self) -> tuple[Overrun, ...]:
        """What calls of the whole, and of the account beside it, cost beyond their bounds."""
        if self.above is not None:
            return await self.above.overruns()
        found = (await self.spent()).overruns
        if self.beside is not None:
            found += (await self.fleet.ledger.send(ReadSpent(self.beside))).overruns
        return found

    async def _overrun_beside(self) -> tuple[int, int]:
        """What calls of the account beside this cost beyond their bounds: micro-dollars, tokens."""
        if self.beside is None:
            return 0, 0
        now = await self.fleet.ledger.send(ReadSpent(self.beside))
        return now.overrun_micro, now.overrun_tokens

    def _left_ms(self) -> float | None:
        """The time of a call: the budget's own, within what is left to the deadline."""
        left = math.inf if self.ends_at is None else (self.ends_at - time.monotonic()) * 1000
        own = math.inf if self.budget.latency_ms is None else self.budget.latency_ms
        most = min(left, own)
        return None if math.isinf(most) else max(0.0, most)


# The allowance of the job whose graph is running; nodes' tasks and threads inherit it.
CURRENT: ContextVar[Allowance | None] = ContextVar("orchestra_allowance", default=None)
