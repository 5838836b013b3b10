"""Whatever branches, servers, cancels, crashes and threads do: the book says what was charged.

Jobs are drawn with the script of their server. An honest server charges no more than a call's
bound; then nothing spent and reserved ever passes the budget. One that charges more is booked as it
is, and nothing begins any more that what is spent leaves no room for.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph

from orchestra import Budget, Context, Job, JobState, ask
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    OpenAccount,
    ReadSpent,
    SettleCall,
)
from orchestra.core.call import Call, Reply
from orchestra.core.card import FleetFile
from orchestra.core.errors import (
    AnswerInvalid,
    BookError,
    BudgetExceeded,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.core.money import MICRO_PER_USD
from orchestra.core.pricing import Work
from orchestra.core.usage import Usage
from orchestra.graph.caller import Caller, Ticket
from tests.servers.fake_server import endpoint_card
from tests.unit.book.book_audit import discrepancies

# A token is a micro-dollar.
PRICE = {
    "as_of": "2026-11-01",
    "usd_per_million_input_tokens": 1,
    "usd_per_million_output_tokens": 1,
}
CARD = endpoint_card("http://127.0.0.1:9/v1", price=PRICE, limits={"context_tokens": 4_000})
End = Literal["answers", "unusable", "unreported", "lost", "down", "breaks", "hangs"]
PRESUMED = ("unreported", "lost", "breaks", "hangs")
LIMITS: dict[str, Any] = {"max_examples": 60, "deadline": None}


@dataclass(frozen=True)
class Asked:
    """A call: its bound, what its server charges, how it ends, and after how many turns."""

    worst: Work
    charged: Work
    end: End
    turns: int

    @property
    def owed(self) -> int:
        """What the book is to say of it, once it was begun."""
        if self.end == "down":
            return 0
        return self.worst.tokens if self.end in PRESUMED else self.charged.tokens


@dataclass(frozen=True)
class Drawn:
    """A job: whether it holds its ceiling, and its calls, side by side or one after the other."""

    hold: bool
    parallel: bool
    calls: tuple[Asked, ...]


def _asked(drawn: tuple[int, int, int, int, End, int], most_over: int) -> Asked:
    sent, written, less, over, end, turns = drawn
    charged = Work(max(0, sent - less), max(0, written - less) + over * most_over)
    return Asked(Work(sent, written), charged, end, turns)


def jobs(*, most_over: int) -> st.SearchStrategy[list[Drawn]]:
    ends: list[End] = ["answers"] * 4 + list(End.__args__)  # type: ignore[attr-defined]
    parts = st.tuples(
        st.integers(1, 40),
        st.integers(0, 40),
        st.integers(0, 40),
        st.integers(0, 3).map(lambda n: max(0, n - 2)),  # one in four is charged too much
        st.sampled_from(ends),
        st.integers(0, 4),
    )
    calls = st.lists(parts, min_size=1, max_size=4)
    job = st.builds(
        lambda hold, parallel, drawn: Drawn(
            hold, parallel, tuple(_asked(one, most_over) for one in drawn)
        ),
        st.booleans(),
        st.booleans(),
        calls,
    )
    return st.lists(job, min_size=1, max_size=5)


HONEST, ANY = jobs(most_over=0), jobs(most_over=500)
BUDGETS = st.none() | st.integers(0, 300)


class Server:
    """Does with each call what is drawn for it, and knows what it has charged."""

    def __init__(self) -> None:
        self.script: dict[str, Asked] = {}
        self.sent: list[str] = []

    async def prepare(self) -> None:
        """Nothing to load."""

    async def complete(self, call: Call, **options: Any) -> Reply:
        """Answer, or fail, as it is drawn for the call of this instruction."""
        asked = self.script[call.instruction]
        self.sent.append(call.instruction)
        for _ in range(asked.turns):
            await asyncio.sleep(0)
        usage = Usage(asked.charged.input_tokens, asked.charged.output_tokens)
        match asked.end:
            case "answers":
                return Reply("yes", "yes", usage=usage)
            case "unreported":
                bound = Usage(10**6, 10**6, is_bound=True)  # a client's own, wider bound
                return Reply("yes", "yes", usage=bound)
            case "unusable":
                error = AnswerInvalid("It is no answer. Ask again.")
                error.used = usage
                raise error
            case "lost":
                raise ModelUnavailable("It broke off. Ask again.", may_have_spent=True)
            case "down":
                raise ModelUnavailable("It is down. Wait.")
            case "breaks":
                raise ZeroDivisionError
            case "hangs":
                await asyncio.Event().wait()
        raise AssertionError(asked.end)

    async def count_tokens(self, call: Call) -> int:
        """Few."""
        return 1

    @property
    def owed(self) -> int:
        """What all calls that were sent are to be booked at."""
        return sum(self.script[name].owed for name in self.sent)


@dataclass
class Watched:
    """A ledger that checks after each message what must hold of the budget `root`."""

    inner: Ledger
    limit: int | None
    honest: bool
    begun: Counter[str] = field(default_factory=Counter)
    worst: dict[str, int] = field(default_factory=dict)
    after: Callable[[], None] = lambda: None

    async def send(self, message: Any) -> Any:
        answer = await self.inner.send(message)
        if isinstance(message, BeginCall) and answer is None:
            self.worst[message.uid] = message.cost_micro
            await self._check(begins=message.cost_micro)
        elif isinstance(message, SettleCall):
            self.worst.pop(message.uid, None)
            await self._check()
        elif type(message).__name__ == "ReleaseCall":
            self.worst.pop(message.uid, None)
        self.after()
        return answer

    async def _check(self, begins: int = 0) -> None:
        if self.limit is None:
            return
        now = await self.inner.send(ReadSpent("root"))
        if self.honest:
            assert now.cost_micro + now.open_cost_micro <= self.limit and not now.is_over
            assert now.overruns == ()
        elif begins:
            assert now.cost_micro + sum(self.worst.values()) <= self.limit
        assert now.cost_micro + now.open_cost_micro <= self.limit + now.overrun_micro


class Direct:
    """A book that does each message at once, so that nothing comes between it and the check."""

    def __init__(self, book: Book) -> None:
        self.book = book

    async def send(self, message: Any) -> Any:
        return self.book.do(message)


@dataclass
class Running:
    """Jobs under `root` of one event loop; those that hang are cancelled in the end."""

    ledger: Ledger
    server: Server
    prefix: str = ""

    def __post_init__(self) -> None:
        self.caller = Caller(self.ledger, Path())

    async def all(self, drawn: list[Drawn]) -> None:
        tasks = [asyncio.create_task(self.job(n, job)) for n, job in enumerate(drawn)]
        for _ in range(120):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def job(self, number: int, job: Drawn) -> None:
        account = f"{self.prefix}job:{number}"
        ceiling = sum(asked.worst.tokens for asked in job.calls)
        opened = OpenAccount(account, parent="root", ceiling_micro=ceiling, hold=job.hold)
        try:
            await self.ledger.send(opened)
        except BudgetExceeded:
            return
        waiting = [lambda a=a, n=n: self.call(f"{account}:{n}", account, a)
                   for n, a in enumerate(job.calls)]  # fmt: skip
        try:
            if job.parallel:
                await asyncio.gather(*(call() for call in waiting))
            else:
                for call in waiting:
                    await call()
        finally:
            await asyncio.shield(self.ledger.send(AbandonAccount(account)))

    async def call(self, name: str, account: str, asked: Asked) -> None:
        self.server.script[name] = asked
        ticket = Ticket("n", CARD, account, asked.worst, (), "hash", None, may_share=False)
        with contextlib.suppress(ZeroDivisionError):
            answer, record = await self.caller.call(self.server, Call(name), ticket)
            if isinstance(answer, BudgetExceeded):
                assert record.cost_usd == 0
                return
            assert int(record.cost_usd * MICRO_PER_USD) == asked.owed
            assert record.presumed == (asked.end in PRESUMED)
            beyond = max(0, asked.owed - asked.worst.tokens)
            assert int(record.overrun_usd * MICRO_PER_USD) == beyond


def check_end(server: Server, spent: Any) -> None:
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
    assert spent.cost_micro == spent.tokens == server.owed


@pytest.mark.parametrize("kind", ["book", "memory"])
@settings(**LIMITS)
@given(drawn=HONEST, limit=BUDGETS)
def test_with_honest_servers_no_budget_is_passed_and_the_book_says_what_they_reported(
    kind: str, drawn: list[Drawn], limit: int | None
) -> None:
    _interleaved(kind, drawn, limit, honest=True)


@pytest.mark.parametrize("kind", ["book", "memory"])
@settings(**LIMITS)
@given(drawn=ANY, limit=BUDGETS)
def test_what_a_server_charges_too_much_is_booked_and_nothing_begins_that_it_leaves_no_room_for(
    kind: str, drawn: list[Drawn], limit: int | None
) -> None:
    _interleaved(kind, drawn, limit, honest=False)


def _interleaved(kind: str, drawn: list[Drawn], limit: int | None, *, honest: bool) -> None:
    async def run() -> Any:
        inner: Ledger = Direct(book) if kind == "book" else MemoryLedger()
        ledger, server = Watched(inner, limit, honest), Server()
        await ledger.send(OpenAccount("root", cost_micro=limit))
        await Running(ledger, server).all(drawn)
        check_end(server, await ledger.send(ReadSpent("root")))

    with Book.open(None) as book:
        asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(drawn=ANY, limit=BUDGETS, dies_after=st.integers(0, 40))
def test_a_crash_after_any_message_loses_nothing_that_was_charged(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[Drawn],
    limit: int | None,
    dies_after: int,
) -> None:
    folder = tmp_path_factory.mktemp("crash")
    path, image = folder / "book.sqlite", folder / "image.sqlite"
    settled: dict[str, int] = {}
    on_its_way: dict[str, int] = {}
    left = dies_after

    def crash() -> None:
        nonlocal left
        left -= 1
        if left == 0:  # as the files lie when the process is killed
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{image}{suffix}")
            on_its_way.update(ledger.worst)
            settled["spent"] = book.spent("root").cost_micro

    with Book.open(path) as book:
        ledger, server = Watched(Direct(book), limit, honest=False), Server()
        book.do(OpenAccount("root", cost_micro=limit))
        ledger.after = crash
        asyncio.run(Running(ledger, server).all(drawn))
        check_end(server, book.spent("root"))
    assert discrepancies(path) == []
    if not image.exists():
        return
    with Book.open(image) as book:
        assert book.recover() == len(on_its_way)
        spent = book.spent("root")
        assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
        assert spent.cost_micro == settled["spent"] + sum(on_its_way.values())
        assert spent.presumed_micro >= sum(on_its_way.values())
    assert discrepancies(image) == []


@pytest.mark.parametrize("kind", ["book", "memory"])
@settings(max_examples=12, deadline=None)
@given(drawn=ANY, limit=BUDGETS)
def test_threads_of_one_ledger_account_for_each_micro_dollar(
    kind: str, drawn: list[Drawn], limit: int | None
) -> None:
    server, failures = Server(), list[BaseException]()
    with Book.open(None) as book:
        ledger: Ledger = LocalLedger(book) if kind == "book" else MemoryLedger()

        def work(number: int) -> None:
            try:
                asyncio.run(Running(ledger, server, f"thread {number} ").all(drawn))
            except BaseException as error:
                failures.append(error)

        asyncio.run(ledger.send(OpenAccount("root", cost_micro=limit)))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        spent = asyncio.run(ledger.send(ReadSpent("root")))
    check_end(server, spent)
    if limit is not None:
        assert spent.cost_micro <= limit + spent.overrun_micro


def branches() -> StateGraph[JobState, Context]:
    """Three questions side by side, then a fourth."""
    graph = StateGraph(JobState, context_schema=Context)
    for name in ("one", "two", "three"):
        graph.add_node(name, ask("text", f"Question {name}.", max_tokens=8))
        graph.add_edge(START, name)
    graph.add_node("last", ask("text", "Question last.", max_tokens=8))
    graph.add_edge(["one", "two", "three"], "last")
    graph.add_edge("last", END)
    return graph


FOUR = ("one", "two", "three", "last")
END_OF_A_RUN = st.sampled_from(["answers", "answers", "unusable", "unreported", "lost", "down"])


@settings(max_examples=40, deadline=None)
@given(
    charged=st.lists(st.integers(0, 120), min_size=4, max_size=4),
    ends=st.lists(END_OF_A_RUN, min_size=4, max_size=4),
    turns=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    more=st.integers(0, 60),
)
def test_a_run_of_branches_says_what_its_server_charged_and_stops_at_its_budget(
    charged: list[int], ends: list[End], turns: list[int], more: int
) -> None:
    async def run() -> None:
        server = Server()
        file = FleetFile(name="paid", models=(CARD,))
        async with Fleet(file, Path(), clients={CARD.name: server}) as fleet:
            job = Job(text="A red shirt.")
            ceiling = fleet.plan(branches, job).cost_micro
            limit = ceiling + more
            for name, tokens, end, waits in zip(FOUR, charged, ends, turns, strict=True):
                asked = Asked(Work(0, 0), Work(0, tokens), end, waits)
                server.script[f"Question {name}."] = asked
            budget = Budget(cost_usd=f"{limit / MICRO_PER_USD:.6f}")
            try:
                result = await fleet.run(branches, job.model_copy(update={"budget": budget}))
            except OrchestraError as error:
                assert not isinstance(error, BookError | BudgetExceeded)
                return
        cost = int(result.cost_usd * MICRO_PER_USD)
        over = int(result.overrun_usd * MICRO_PER_USD)
        presumed = int(result.presumed_usd * MICRO_PER_USD)
        reported = [server.script[name] for name in server.sent]
        assert cost - presumed == sum(
            one.charged.tokens for one in reported if one.end in ("answers", "unusable")
        )
        assert cost <= limit + over and (over or cost <= ceiling)
        assert cost == result.tokens
        refused = [error for error in result.errors if error.type == "BudgetExceeded"]
        assert len(server.sent) == 4 or any(call.error for call in result.calls) or refused
        if refused:
            assert over and "'far' charged" in refused[0].message

    asyncio.run(run())
