"""One answer within what is left of an allowance: planned, tried again on refunds, stopped."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from orchestra.chat.messages import answer_of, cut_at, stop_message
from orchestra.core.call import OnPiece
from orchestra.core.errors import BudgetExceeded, DeadlineExceeded, NoFeasiblePlan, OrchestraError
from orchestra.core.job import Budget, ErrorRecord, Job, Result
from orchestra.graph.allowance import Allowance
from orchestra.graph.query import Query, answer_query

REFUND_POLL_S = 0.02
MOST_REFUSALS = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """A query, who pays, and its job, whose budget is what is left when it is tried.

    With `stops_politely` a budget without room for it is an answer that says so, else an error.
    Answers end where a word of `stop` begins.
    """

    allowance: Allowance
    query: Query
    job: Job
    stops_politely: bool
    stop: Sequence[str] | None = None

    async def answer(self, on_piece: OnPiece | None = None) -> AIMessage:
        """The answer; `on_piece` hears it as it is decoded, unless it may have to be cut.

        Raises `NoFeasiblePlan` when not even the first call fits, and the error of a call that
        failed for another reason than the budget.
        """
        refused = 0
        while True:
            left, is_waiting = await self.allowance.left()
            try:
                result = await self._tried(left, on_piece)
            except NoFeasiblePlan as error:
                if not self.allowance.has_called and not is_waiting:
                    raise
                failure: OrchestraError = error
            else:
                failed = result.errors[0].error() if result.errors else None
                if isinstance(failed, BudgetExceeded):
                    # Another call took the room, here or in an account above: plan again.
                    refused += 1
                    if refused < MOST_REFUSALS:
                        await asyncio.sleep(REFUND_POLL_S)
                        continue
                    return await self._end(failed)
                self.allowance.note(result.calls)
                if failed is None:
                    message = answer_of(result, self.query.tools, prefix=self._prefix())
                    return cut_at(message, self.stop)
                if not isinstance(failed, DeadlineExceeded):
                    raise failed
                failure = failed
            if is_waiting and not isinstance(failure, DeadlineExceeded):
                await asyncio.sleep(REFUND_POLL_S)  # calls under way may give something back
                continue
            return await self._end(await self._explained(failure))

    async def _explained(self, failure: OrchestraError) -> OrchestraError:
        """`failure`, with whose server used the budget up where one charged beyond its bounds."""
        overruns = await self.allowance.overruns()
        if not overruns or not isinstance(failure, NoFeasiblePlan):
            return failure
        return BudgetExceeded(" ".join(map(str, (failure, *overruns))))

    async def _tried(self, left: Budget, on_piece: OnPiece | None) -> Result:
        is_heard = not self.query.tools.offered and not self.stop  # a call of a tool is no words
        return await answer_query(
            self.allowance.fleet,
            self.query,
            self.job.model_copy(update={"budget": left}),
            on_piece if is_heard else None,
            parent=self.allowance.account,
            ends_at=self.allowance.ends_at,
        )

    def _prefix(self) -> str:
        """Begins the ids of tool calls that the model gave none."""
        return f"{self.query.node}-{uuid.uuid4().hex[:8]}-"

    async def _end(self, failure: OrchestraError) -> AIMessage:
        must_call = bool(self.query.tools.offered) and self.query.tools.choice != "auto"
        if self.stops_politely and not must_call:  # no message of ours is the value asked for
            kind = DeadlineExceeded if _is_late(failure) else BudgetExceeded
            await self.allowance.stop(ErrorRecord.of(self.query.node, kind(str(failure))))
            return cut_at(stop_message(failure), self.stop)
        if isinstance(failure, NoFeasiblePlan):
            raise BudgetExceeded(str(failure))
        raise failure


def _is_late(failure: OrchestraError) -> bool:
    """Whether time ran out, rather than money or tokens."""
    if isinstance(failure, NoFeasiblePlan):
        return failure.tightest == "latency_ms"
    return isinstance(failure, DeadlineExceeded)
