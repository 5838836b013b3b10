"""`ChatModel`: a LangChain chat model that routes each call over a fleet, within one budget.

A graph that calls `model.invoke` joins by naming this one. Each call is planned by what it holds
(text or photos) and by what is left of the budget.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from orchestra.app import Fleet
from orchestra.chat.exchange import Exchange
from orchestra.chat.messages import (
    Conversation,
    bound_tools,
    conversation_of,
    last_chunk,
    query_of,
    tools_of,
)
from orchestra.core.edge import awaited, own_loop, wait_for
from orchestra.core.job import Budget, CallRecord, Job, Usd, Word
from orchestra.core.money import usd
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.query import plan_query
from orchestra.graph.translation import Tools
from orchestra.routing.plan import Plan

ANSWER_TOKENS = 256
NODE = "model"
# Of all models: a lock of its own would keep a model from being copied or pickled.
_OPENING = threading.Lock()


class Bill(Word):
    """What a chat model has spent, what its budget leaves, and the calls that were made."""

    cost_usd: Usd
    tokens: int
    left: Budget
    calls: tuple[CallRecord, ...]


class ChatModel(BaseChatModel):
    """A chat model of a whole fleet, for graphs and chains that call `model.invoke`.

    `fleet` is a name, a YAML file, or a `Fleet`, which then belongs to this model. `budget` bounds
    what all calls of this object spend together; its `latency_ms` is the deadline of each call.
    What is spent is counted in `book`, or in memory. `data="local"` keeps calls on this machine.

    A call that the budget has no room for ends the conversation with a message that says so,
    `finish_reason` "budget". With `on_budget="raise"`, and where a value is asked for rather than a
    message (`with_structured_output`), it raises `BudgetExceeded`. When not even the first call
    fits, `NoFeasiblePlan` names the smallest budget that does.

    Inside a job of `Fleet.run` or a batch the job's fleet, account and deadline hold; `budget`
    then bounds this model's part of each job. With a `name` that part goes on where another process
    resumes the job.
    """

    fleet: Any = "mini"
    budget: Budget = Budget()
    book: Path | None = None
    max_tokens: int = ANSWER_TOKENS
    data: Literal["any", "local"] = "any"
    on_budget: Literal["stop", "raise"] = "stop"

    _own: Allowance | None = PrivateAttr(default=None)
    _whole: Allowance | None = PrivateAttr(default=None)  # what `_own` is a part of, by `within`
    _above: ChatModel | None = PrivateAttr(default=None)  # which it was made of, by `within`
    _name: str = PrivateAttr(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def _llm_type(self) -> str:
        return "orchestra"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with `tools` to ask for; `tool_choice` is as LangChain's.

        Raises `UsageError` for a choice that is no tool.
        """
        tools_of(tools, tool_choice)
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=offered, tool_choice=tool_choice, **kwargs)

    def within(self, budget: Budget) -> ChatModel:
        """The same model for one run, bounded by `budget` and by what is left of this one's."""
        model = self.model_copy(update={"budget": budget})
        model._name = uuid.uuid4().hex[:12]
        model._whole = self._allowance()
        model._own = model._whole.part(model._name, budget)
        model._above = self
        return model

    def plan(self, question: str | Sequence[BaseMessage], *, calls: int = 1) -> Plan:
        """How a conversation would be answered, `calls` times at most; spends nothing.

        Raises what planning raises.
        """
        given = question if isinstance(question, str) else list(question)
        talk = conversation_of(self._convert_input(given).to_messages())
        query = query_of(talk, Tools(), node=NODE, max_tokens=self.max_tokens, calls=calls)
        allowance = self._allowance()
        left, _ = wait_for(allowance.left(), allowance.loop)
        job = self._job(talk).model_copy(update={"budget": left})
        return plan_query(allowance.fleet, query, job)

    def bill(self) -> Bill:
        """What was spent so far."""
        allowance = self._allowance()
        return wait_for(self._bill(allowance), allowance.loop)

    def close(self) -> None:
        """Close the account and the fleet; of a model made by `within`, its part of the account."""
        if self._own is not None:
            wait_for(self._close(), own_loop())

    async def _bill(self, allowance: Allowance) -> Bill:
        spent = await allowance.spent()
        left, _ = await allowance.left()
        own = Budget(cost_usd=left.cost_usd, tokens=left.tokens)
        return Bill(
            cost_usd=usd(spent.cost_micro),
            tokens=spent.tokens,
            left=own,
            calls=tuple(allowance.calls),
        )

    async def _close(self) -> None:
        with _OPENING:
            allowance, self._own = self._own, None
        if allowance is not None:
            await allowance.close()
            if allowance.above is None:
                await allowance.fleet.close()

    def _allowance(self) -> Allowance:
        """What pays: a part of the running job's allowance, or this model's own."""
        current = CURRENT.get()
        if current is not None:
            whole = current if self._above is None else self._above._allowance()
            return whole.part(self.name or self._name, self.budget)
        with _OPENING:  # threads that ask first at one moment share one account
            if self._own is None and self._whole is not None:
                self._own = self._whole.part(self._name, self.budget)  # closed, and asked again
            elif self._own is None:
                if isinstance(self.fleet, Fleet):
                    fleet = self.fleet
                else:
                    fleet = Fleet.open(self.fleet, book=self.book)
                self._own = Allowance(fleet, f"chat:{uuid.uuid4().hex}", own_loop(), self.budget)
            return self._own

    def _job(self, talk: Conversation) -> Job:
        return Job(
            text=talk.text or None,
            images=talk.photos,
            data=self.data,
            cache=self.cache is not False,
            tags={
                name: value
                for name, value in (self.metadata or {}).items()
                if isinstance(value, str) and value
            },
        )

    def _exchange(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        run_manager: Any,
        parameters: dict[str, Any],
    ) -> Exchange:
        """The exchange that these messages begin, paid by what pays here."""
        talk = conversation_of(messages)
        tools, node = bound_tools(parameters), _node(run_manager)
        return Exchange(
            self._allowance(),
            query_of(talk, tools, node=node, max_tokens=self.max_tokens),
            self._job(talk),
            stops_politely=self.on_budget == "stop",
            stop=stop,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._exchange(messages, stop, run_manager, kwargs)
        return _result(wait_for(exchange.answer(), exchange.allowance.loop))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        exchange = self._exchange(messages, stop, run_manager, kwargs)
        return _result(await awaited(exchange.answer(), exchange.allowance.loop))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        exchange = self._exchange(messages, stop, run_manager, kwargs)
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        work = exchange.answer(pieces.put)
        future = asyncio.run_coroutine_threadsafe(work, exchange.allowance.loop)
        future.add_done_callback(lambda _: pieces.put(None))
        heard = ""
        try:
            while (piece := pieces.get()) is not None:
                heard += piece
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            yield last_chunk(future.result(), heard)
        finally:
            future.cancel()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        exchange = self._exchange(messages, stop, run_manager, kwargs)
        here = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def hear(piece: str) -> None:
            here.call_soon_threadsafe(pieces.put_nowait, piece)

        work = awaited(exchange.answer(hear), exchange.allowance.loop)
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: pieces.put_nowait(None))
        heard = ""
        try:
            while (piece := await pieces.get()) is not None:
                heard += piece
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
            yield last_chunk(await task, heard)
        finally:
            task.cancel()


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _node(run_manager: Any) -> str:
    """The graph's node that asks, where LangGraph says so."""
    metadata = {} if run_manager is None else run_manager.metadata or {}
    return str(metadata.get("langgraph_node", NODE))
