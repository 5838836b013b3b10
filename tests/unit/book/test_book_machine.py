"""Nested budgets under interleaving and crashes, against a model that keeps no counters.

The model holds accounts and entries only and computes each sum from them, so the book's
incremental counters are checked against their definition.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestra.book.amounts import NOTHING, Amount, Limits
from orchestra.book.book import Book
from orchestra.core.errors import BookError, BudgetExceeded
from tests.unit.book.book_audit import discrepancies

OPEN = ("reserved", "dispatched")
amounts = st.builds(Amount, st.integers(0, 20), st.integers(0, 8))
limits = st.builds(Limits, st.none() | st.integers(0, 60), st.none() | st.integers(0, 30))
picks = st.integers(0, 11)  # which account or call; taken modulo how many there are
LATEST = 0


@dataclass
class Call:
    account: str
    reserved: Amount
    state: str = "reserved"
    cost: Amount = NOTHING


@dataclass
class Budget:
    parent: str | None
    limits: Limits
    hold: bool
    closed: bool = False


@dataclass
class Model:
    """What the book should hold; sums are computed anew each time."""

    accounts: dict[str, Budget] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)

    def children(self, id: str) -> list[str]:
        return [name for name, account in self.accounts.items() if account.parent == id]

    def own(self, id: str) -> list[Call]:
        return [call for call in self.calls.values() if call.account == id]

    def spent(self, id: str) -> Amount:
        below = [self.spent(child) for child in self.children(id)]
        return _sum([call.cost for call in self.own(id)] + below)

    def open(self, id: str) -> Amount:
        own = [call.reserved for call in self.own(id) if call.state in OPEN]
        return _sum(own + [self._open_above(child) for child in self.children(id)])

    def _open_above(self, child: str) -> Amount:
        """What an account takes of its parent's room."""
        account, inside = self.accounts[child], self.open(child)
        if not account.hold:
            return inside
        left = Amount() if account.closed else account.limits.less(self.spent(child))
        return Amount(
            inside.micro if account.limits.micro is None else left.micro,
            inside.tokens if account.limits.tokens is None else left.tokens,
        )

    def busy(self, id: str) -> bool:
        return any(call.state in OPEN for call in self.own(id)) or any(
            self.busy(child) or (self.accounts[child].hold and not self.accounts[child].closed)
            for child in self.children(id)
        )

    def over(self) -> bool:
        return any(
            limit is not None and used > limit
            for id, account in self.accounts.items()
            for limit, used in (
                (account.limits.micro, self.spent(id).micro + self.open(id).micro),
                (account.limits.tokens, self.spent(id).tokens + self.open(id).tokens),
            )
        )

    def usable(self, id: str) -> bool:
        """Whether the account and its ancestors, up to the first hold, are open."""
        account = self.accounts[id]
        if account.closed:
            return False
        return account.hold or account.parent is None or self.usable(account.parent)


def _sum(parts: list[Amount]) -> Amount:
    return Amount(sum(part.micro for part in parts), sum(part.tokens for part in parts))


class BookMachine(RuleBasedStateMachine):
    """Each rule does one thing to the book and the model and compares what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="book-"))
        self.lives = 0
        self.model = Model()
        self.named: dict[int, str] = {}  # entries begun by a uid
        self.book = Book.open(self.path)

    @property
    def path(self) -> Path:
        return self.folder / f"life-{self.lives}.sqlite"

    def teardown(self) -> None:
        self.book.close()
        found = discrepancies(self.path)
        shutil.rmtree(self.folder)
        assert found == []

    @initialize(hold=st.booleans())
    def open_nested(self, hold: bool) -> None:
        self.open_as("tenant", None, Limits(100, 50), hold=False)
        self.open_as("batch", "tenant", Limits(80, None), hold=hold)
        self.open_as("held job", "batch", Limits(30, 20), hold=True)
        self.open_as("job", "batch", Limits(30, None), hold=False)

    @rule(pick=picks, limits=limits, hold=st.booleans())
    def open_child(self, pick: int, limits: Limits, hold: bool) -> None:
        hold = hold and any(limits.kinds)
        self.open_as(f"job-{len(self.model.accounts)}", self.account(pick), limits, hold)

    @rule(pick=picks)
    def open_again(self, pick: int) -> None:
        id = self.account(pick)
        account = self.model.accounts[id]
        self.open_as(id, account.parent, account.limits, account.hold)

    @rule(pick=picks, amount=amounts)
    def reserve(self, pick: int, amount: Amount) -> None:
        id = self.account(pick)
        entry = self.attempt(lambda: self.reserved(id, amount))
        self.model.calls[-1] = Call(id, amount)
        refusals = self.refusals(usable=self.model.usable(id))
        call = self.model.calls.pop(-1)
        if refusals:
            assert entry in refusals
        else:
            assert isinstance(entry, int)
            self.model.calls[entry] = call

    @rule(pick=picks, amount=amounts, actual=amounts)
    def pay(self, pick: int, amount: Amount, actual: Amount) -> None:
        before = len(self.model.calls)
        self.reserve(pick, amount)
        if len(self.model.calls) > before:
            self.dispatch(LATEST)
            self.settle(LATEST, actual)

    @rule(pick=picks, amount=amounts, actual=amounts)
    def pay_and_close(self, pick: int, amount: Amount, actual: Amount) -> None:
        self.pay(pick, amount, actual)
        self.close(pick)

    @precondition(lambda self: self.model.calls)
    @rule(pick=picks)
    def dispatch(self, pick: int) -> None:
        entry, call = self.call(pick)
        allowed = call.state == "reserved"
        assert (self.attempt(lambda: self.book.dispatch(entry)) is None) == allowed
        if allowed:
            call.state = "dispatched"

    @precondition(lambda self: self.model.calls)
    @rule(pick=picks, actual=amounts)
    def settle(self, pick: int, actual: Amount) -> None:
        entry, call = self.call(pick)
        done = self.attempt(
            lambda: self.book.settle(entry, cost_micro=actual.micro, tokens=actual.tokens)
        )
        assert (done is None) == (call.state == "dispatched")
        if done is None:
            call.state = "settled"
            call.cost = Amount(
                min(actual.micro, call.reserved.micro), min(actual.tokens, call.reserved.tokens)
            )

    @precondition(lambda self: self.model.calls)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        entry, call = self.call(pick)
        done = self.attempt(lambda: self.book.release(entry))
        assert (done is None) == (call.state in OPEN)
        if done is None:
            call.state = "released"

    @rule(pick=picks, amount=amounts, times=st.integers(1, 3))
    def begin(self, pick: int, amount: Amount, times: int) -> None:
        """A call named by its client, whose message arrives up to three times."""
        id, uid = self.account(pick), f"uid-{self.lives}-{len(self.named)}"
        self.model.calls[-1] = Call(id, amount, "dispatched")
        refusals = self.refusals(usable=self.model.usable(id))
        call = self.model.calls.pop(-1)
        for _ in range(times):
            assert self.attempt(lambda: self.begun(uid, id, amount)) in (refusals or [None])
        if not refusals:
            entry = self.book._find(uid)
            assert entry is not None
            self.model.calls[entry[0]] = call
            self.named[entry[0]] = uid

    @precondition(lambda self: self.named)
    @rule(pick=picks, actual=amounts, times=st.integers(1, 3))
    def settle_named(self, pick: int, actual: Amount, times: int) -> None:
        entry = sorted(self.named)[-1 - pick % len(self.named)]
        call = self.model.calls[entry]
        allowed = call.state in ("dispatched", "settled", "presumed")
        for _ in range(times):
            done = self.attempt(
                lambda: self.book.pay(
                    self.named[entry], cost_micro=actual.micro, tokens=actual.tokens
                )
            )
            assert (done is None) == allowed
        if call.state == "dispatched":
            call.state = "settled"
            call.cost = Amount(
                min(actual.micro, call.reserved.micro), min(actual.tokens, call.reserved.tokens)
            )

    @precondition(lambda self: self.named)
    @rule(pick=picks, times=st.integers(1, 3))
    def give_back(self, pick: int, times: int) -> None:
        entry = sorted(self.named)[-1 - pick % len(self.named)]
        call = self.model.calls[entry]
        for _ in range(times):
            done = self.attempt(lambda: self.book.give_back(self.named[entry]))
            assert (done is None) == (call.state in ("dispatched", "released", "presumed"))
        if call.state == "dispatched":
            call.state = "released"

    @rule(pick=picks)
    def close(self, pick: int) -> None:
        id = self.account(pick)
        allowed = self.model.accounts[id].closed or not self.model.busy(id)
        assert (self.attempt(lambda: self.book.close_account(id)) is None) == allowed
        self.model.accounts[id].closed |= allowed

    @rule(pick=picks)
    def abandon(self, pick: int) -> None:
        """What a lost process leaves: all or nothing, and nothing for a closed account."""
        id = self.account(pick)
        if self.model.accounts[id].closed:
            assert self.book.abandon(id) == 0
            return
        before = [(call, call.state, call.cost) for call in self.model.own(id)]
        for call in self.model.own(id):
            if call.state == "dispatched":
                call.state, call.cost = "presumed", call.reserved
            elif call.state == "reserved":
                call.state = "released"
        presumed = sum(state == "dispatched" for _, state, _ in before)
        if self.model.busy(id):  # an account under it is in use
            assert self.attempt(lambda: self.book.abandon(id)) is BookError
            for call, state, cost in before:
                call.state, call.cost = state, cost
        else:
            assert self.book.abandon(id) == presumed
            self.model.accounts[id].closed = True

    @rule(pick=picks, limits=limits)
    def set_limits(self, pick: int, limits: Limits) -> None:
        id = self.account(pick)
        account, before = self.model.accounts[id], self.model.accounts[id].limits
        done = self.attempt(
            lambda: self.book.set_limits(id, cost_micro=limits.micro, tokens=limits.tokens)
        )
        if account.hold and limits.kinds != before.kinds:
            assert done is BookError
            return
        account.limits = limits
        if self.model.over():
            assert done is BudgetExceeded
            account.limits = before
        else:
            assert done is None

    @precondition(lambda self: len(self.model.calls) > 3 * self.lives)
    @rule(pick=picks, amount=amounts)
    def die_inside_a_group(self, pick: int, amount: Amount) -> None:
        with self.book.transaction():
            self.attempt(lambda: self.reserved(self.account(pick), amount))
            self.attempt(lambda: self.book.close_account(self.account(pick)))
            self.book.set_meta("group", "was committed")
            image = self.image()
        self.live_on(image)
        assert self.book.meta("group") is None

    @precondition(lambda self: len(self.model.calls) > 3 * self.lives)
    @rule()
    def die(self) -> None:
        self.live_on(self.image())

    @invariant()
    def sums_agree(self) -> None:
        assert not self.model.over()
        for id in self.model.accounts:
            held, spent, open = self.book.spent(id), self.model.spent(id), self.model.open(id)
            assert (held.cost_micro, held.tokens) == (spent.micro, spent.tokens), id
            assert (held.open_cost_micro, held.open_tokens) == (open.micro, open.tokens), id

    def open_as(self, id: str, parent: str | None, limits: Limits, hold: bool) -> None:
        old = self.model.accounts.get(id)
        done = self.attempt(
            lambda: self.book.open_account(
                id, parent=parent, cost_micro=limits.micro, tokens=limits.tokens, hold=hold
            )
        )
        if old is not None and not old.closed:
            assert done is None
            return
        parent_usable = (
            parent is None
            or (not self.model.accounts[parent].closed and not hold)
            or self.model.usable(parent)
        )
        self.model.accounts[id] = Budget(parent, limits, hold)
        refusals = self.refusals(usable=parent_usable)
        assert done in (refusals or [None])
        if refusals:
            del self.model.accounts[id]
            if old is not None:
                self.model.accounts[id] = old

    def reserved(self, id: str, amount: Amount) -> int:
        return self.book.reserve(
            id, cost_micro=amount.micro, tokens=amount.tokens, node="n", model="m"
        )

    def begun(self, uid: str, id: str, amount: Amount) -> str | None:
        return self.book.begin(
            uid, id, key=uid, node="n", model="m", cost_micro=amount.micro, tokens=amount.tokens
        )

    def image(self) -> Path:
        """A copy of the files as they lie at this moment, as a killed process leaves them."""
        target = self.folder / f"life-{self.lives + 1}.sqlite"
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{target}{suffix}")
        return target

    def live_on(self, image: Path) -> None:
        """Go on from a crash image and compare what recovery did."""
        self.book.close()
        self.lives += 1
        self.book = Book.open(image)
        presumed, released = 0, 0
        for call in self.model.calls.values():
            if call.state == "dispatched":
                call.state, call.cost, presumed = "presumed", call.reserved, presumed + 1
            elif call.state == "reserved":
                call.state, released = "released", released + 1
        for account in self.model.accounts.values():
            account.closed |= account.hold
        done = self.book.recover()
        assert (done.presumed, done.released) == (presumed, released)
        assert self.book.recover().closed_accounts == 0
        for id in self.model.accounts:
            spent = self.book.spent(id)
            assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)

    def refusals(self, *, usable: bool) -> list[type]:
        """The errors that the book may give for what the model was just made to hold."""
        over = [BudgetExceeded] if self.model.over() else []
        return over if usable else [BookError, *over]

    def attempt(self, act) -> object:
        """What `act` gave, or the type of the error it raised."""
        try:
            return act()
        except (BookError, BudgetExceeded) as error:
            return type(error)

    def account(self, pick: int) -> str:
        return sorted(self.model.accounts)[pick % len(self.model.accounts)]

    def call(self, pick: int) -> tuple[int, Call]:
        """A call, one of the latest: those still have somewhere to go."""
        entries = sorted(self.model.calls)
        entry = entries[-1 - (pick % min(len(entries), 4))]
        return entry, self.model.calls[entry]


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
