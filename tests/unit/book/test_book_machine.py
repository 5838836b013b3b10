"""Nested budgets under interleaving and crashes, against a model that keeps no counters.

The model holds accounts and entries only and computes each sum from them, so the book's
incremental counters are checked against their definition.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestra.book.amounts import NOTHING, AccountLimits, Amount, Unit
from orchestra.book.book import Book
from orchestra.book.messages import (
    AbandonAccount,
    BeginCall,
    BookHit,
    CloseAccount,
    OpenAccount,
    ReleaseCall,
    SettleCall,
)
from orchestra.core.errors import BookError, BudgetExceeded
from tests.unit.book.book_audit import discrepancies

amounts = st.builds(Amount, st.integers(0, 20), st.integers(0, 8))
actuals = amounts | st.builds(Amount, st.integers(0, 60), st.integers(0, 30))  # a few overrun
limits = st.builds(AccountLimits, st.none() | st.integers(0, 60), st.none() | st.integers(0, 30))
picks = st.integers(0, 11)  # which account or call; taken modulo how many there are
LATEST = 0
UNITS: tuple[Unit, ...] = ("micro", "tokens")
UNLIMITED = AccountLimits()


@dataclass
class Call:
    account: str
    reserved: Amount
    state: str = "dispatched"
    cost: Amount = NOTHING

    @property
    def overrun(self) -> Amount:
        return self.cost.beyond(self.reserved)


@dataclass
class Budget:
    parent: str | None
    limits: AccountLimits
    hold: bool
    ceilings: AccountLimits
    closed: bool = True


@dataclass
class Model:
    """What the book should hold; sums are computed anew each time."""

    accounts: dict[str, Budget] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)

    def children(self, id: str) -> list[str]:
        return [name for name, account in self.accounts.items() if account.parent == id]

    def own(self, id: str) -> list[Call]:
        return [call for call in self.calls.values() if call.account == id]

    def spent(self, id: str) -> Amount:
        below = [self.spent(child) for child in self.children(id)]
        return _sum([call.cost for call in self.own(id)] + below)

    def open(self, id: str) -> Amount:
        own = [call.reserved for call in self.own(id) if call.state == "dispatched"]
        return _sum(own + [self._open_above(child) for child in self.children(id)])

    def overrun(self, id: str) -> Amount:
        below = [self.overrun(child) for child in self.children(id)]
        return _sum([call.overrun for call in self.own(id)] + below)

    def on_its_way(self, id: str) -> Amount:
        own = [call.reserved for call in self.own(id) if call.state == "dispatched"]
        return _sum(own + [self.on_its_way(child) for child in self.children(id)])

    def bound(self, id: str, unit: Unit) -> int | None:
        """What may be spent and reserved: the limit, or the ceiling beside what overran."""
        account = self.accounts[id]
        limit, ceiling = getattr(account.limits, unit), getattr(account.ceilings, unit)
        ceiling = None if ceiling is None else ceiling + getattr(self.overrun(id), unit)
        return min((one for one in (limit, ceiling) if one is not None), default=None)

    def held(self, id: str) -> Amount:
        """What a hold that is open takes of its parent's room."""
        inside, spent = self.open(id), self.spent(id)
        bounds: dict[Unit, int | None] = {unit: self.bound(id, unit) for unit in UNITS}
        return Amount(
            *(
                getattr(inside, unit)
                if most is None
                else max(getattr(inside, unit), most - getattr(spent, unit))
                for unit, most in bounds.items()
            )
        )

    def _open_above(self, child: str) -> Amount:
        """What an account takes of its parent's room."""
        account = self.accounts[child]
        if not account.hold:
            return self.open(child)
        if account.closed:
            return Amount(
                *(
                    getattr(self.open(child), u) if self.bound(child, u) is None else 0
                    for u in UNITS
                )
            )
        return self.held(child)

    def used(self, id: str, unit: Unit) -> int:
        return getattr(self.spent(id), unit) + getattr(self.open(id), unit)

    def fits(self, id: str | None, amount: Amount) -> bool:
        """Whether a reservation has room in `id` and above it."""
        return all(
            not getattr(amount, unit) or self._fits(id, getattr(amount, unit), unit)
            for unit in UNITS
        )

    def _fits(self, id: str | None, asked: int, unit: Unit) -> bool:
        held = beneath_a_hold = False
        while id is not None:
            account, most, limit = self.accounts[id], self.bound(id, unit), None
            limit = getattr(account.limits, unit)
            if not held and most is not None and self.used(id, unit) + asked > most:
                return False
            if beneath_a_hold and limit is not None and self.used(id, unit) > limit:
                really = getattr(self.spent(id), unit) + getattr(self.on_its_way(id), unit)
                if really + asked > limit:
                    return False
            held = held or (account.hold and most is not None)
            beneath_a_hold = beneath_a_hold or account.hold
            id = account.parent
        return True

    def busy(self, id: str) -> bool:
        return any(call.state == "dispatched" for call in self.own(id)) or any(
            self.busy(child) or (self.accounts[child].hold and not self.accounts[child].closed)
            for child in self.children(id)
        )

    def over(self) -> bool:
        """Whether more is spent or reserved than a limit and what overran allow."""
        return any(
            limit is not None and self.used(id, unit) > limit + getattr(self.overrun(id), unit)
            for id, account in self.accounts.items()
            for unit in UNITS
            for limit in (getattr(account.limits, unit), getattr(account.ceilings, unit))
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
        self.refused = 0
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
        self.open_as("tenant", None, AccountLimits(100, 50), hold=False)
        self.open_as("batch", "tenant", AccountLimits(80, None), hold=hold)
        self.open_as("held job", "batch", AccountLimits(30, 20), hold=True)
        self.open_as("job", "batch", AccountLimits(30, None), hold=False)
        self.open_as("row", "batch", AccountLimits(), True, AccountLimits(20, 10))

    @rule(pick=picks, limits=limits, ceilings=limits, hold=st.booleans())
    def open_child(
        self, pick: int, limits: AccountLimits, ceilings: AccountLimits, hold: bool
    ) -> None:
        hold = hold and (limits, ceilings) != (AccountLimits(), AccountLimits())
        id = f"job-{len(self.model.accounts)}"
        self.open_as(id, self.account(pick), limits, hold, ceilings)

    @rule(pick=picks)
    def open_again(self, pick: int) -> None:
        id = self.account(pick)
        account = self.model.accounts[id]
        self.open_as(id, account.parent, account.limits, account.hold, account.ceilings)

    @rule(pick=picks, amount=amounts, times=st.integers(1, 3))
    def begin(self, pick: int, amount: Amount, times: int = 1) -> None:
        """A call whose message arrives up to three times."""
        id, uid = self.account(pick), f"uid-{len(self.model.calls)}-{self.refused}"
        usable, fits = self.model.usable(id), self.model.fits(id, amount)
        refusals = self.refusals(usable=usable, fits=fits)
        message = BeginCall(uid, id, uid, "n", "m", amount.micro, amount.tokens)
        for _ in range(times):
            assert self.attempt(lambda: self.book.do(message)) in (refusals or [None])
        if refusals:
            self.refused += 1
        else:
            self.model.calls[uid] = Call(id, amount)

    @rule(pick=picks, amount=amounts, actual=actuals)
    def pay(self, pick: int, amount: Amount, actual: Amount) -> None:
        before = len(self.model.calls)
        self.begin(pick, amount)
        if len(self.model.calls) > before:
            self.settle(LATEST, actual)

    @rule(pick=picks, amount=amounts, actual=actuals)
    def pay_and_close(self, pick: int, amount: Amount, actual: Amount) -> None:
        self.pay(pick, amount, actual)
        self.close(pick)

    @rule(pick=picks, saved=amounts, times=st.integers(1, 3))
    def hit(self, pick: int, saved: Amount, times: int) -> None:
        """A call that a cache answered costs nothing, even where nothing is left."""
        id, uid = self.account(pick), f"uid-{len(self.model.calls)}-{self.refused}"
        message = BookHit(uid, id, uid, "n", "m", saved.micro, saved.tokens, "reply")
        refusals = self.refusals(usable=self.model.usable(id))
        for _ in range(times):
            assert self.attempt(lambda: self.book.do(message)) in (refusals or [None])
        if refusals:
            self.refused += 1
        else:
            self.model.calls[uid] = Call(id, NOTHING, "settled")

    @precondition(lambda self: self.model.calls)
    @rule(pick=picks, actual=actuals, times=st.integers(1, 3), presumed=st.booleans())
    def settle(self, pick: int, actual: Amount, times: int = 1, presumed: bool = False) -> None:
        uid, call = self.call(pick)
        if presumed:
            actual = call.reserved
        message = SettleCall(uid, actual.micro, actual.tokens, presumed=presumed)
        for _ in range(times):
            done = self.attempt(lambda: self.book.do(message))
            assert (done is None) == (call.state != "released")
        if call.state == "dispatched":
            call.state, call.cost = "presumed" if presumed else "settled", actual

    @precondition(lambda self: self.model.calls)
    @rule(pick=picks, times=st.integers(1, 3))
    def release(self, pick: int, times: int) -> None:
        uid, call = self.call(pick)
        for _ in range(times):
            done = self.attempt(lambda: self.book.do(ReleaseCall(uid)))
            assert (done is None) == (call.state != "settled")
        if call.state == "dispatched":
            call.state = "released"

    @rule(pick=picks)
    def close(self, pick: int) -> None:
        id = self.account(pick)
        allowed = self.model.accounts[id].closed or not self.model.busy(id)
        assert (self.attempt(lambda: self.book.do(CloseAccount(id))) is None) == allowed
        self.model.accounts[id].closed |= allowed

    @rule(pick=picks)
    def abandon(self, pick: int) -> None:
        """What a lost process leaves: all or nothing, and nothing for a closed account."""
        id = self.account(pick)
        done = self.attempt(lambda: self.book.do(AbandonAccount(id)))
        if self.model.accounts[id].closed:
            assert done is None
            return
        before = [(call, call.state, call.cost) for call in self.model.own(id)]
        for call in self.model.own(id):
            if call.state == "dispatched":
                call.state, call.cost = "presumed", call.reserved
        if self.model.busy(id):  # an account under it is in use
            assert done is BookError
            for call, state, cost in before:
                call.state, call.cost = state, cost
        else:
            assert done is None
            self.model.accounts[id].closed = True

    @rule(pick=picks, limits=limits)
    def set_limits(self, pick: int, limits: AccountLimits) -> None:
        id = self.account(pick)
        account = self.model.accounts[id]
        done = self.attempt(
            lambda: self.book.set_limits(id, cost_micro=limits.micro, tokens=limits.tokens)
        )
        if account.hold:
            assert done is BookError
            return
        new: dict[Unit, Any] = {
            unit: (getattr(limits, unit), getattr(account.limits, unit)) for unit in UNITS
        }
        if any(
            limit not in (None, before) and self.model.used(id, unit) > limit
            for unit, (limit, before) in new.items()
        ):
            assert done is BudgetExceeded
        else:
            assert done is None
            account.limits = limits

    @precondition(lambda self: len(self.model.calls) > 3 * self.lives)
    @rule(pick=picks, amount=amounts)
    def die_inside_a_group(self, pick: int, amount: Amount) -> None:
        with self.book.transaction():
            id = self.account(pick)
            message = BeginCall("lost", id, "lost", "n", "m", amount.micro, amount.tokens)
            self.attempt(lambda: self.book.do(message))
            self.attempt(lambda: self.book.do(CloseAccount(self.account(pick))))
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
            overrun = self.model.overrun(id)
            assert (held.overrun_micro, held.overrun_tokens) == (overrun.micro, overrun.tokens), id

    def open_as(
        self,
        id: str,
        parent: str | None,
        limits: AccountLimits,
        hold: bool,
        ceilings: AccountLimits = UNLIMITED,
    ) -> None:
        old = self.model.accounts.get(id)
        done = self.attempt(
            lambda: self.book.do(
                OpenAccount(
                    id,
                    parent=parent,
                    cost_micro=limits.micro,
                    tokens=limits.tokens,
                    hold=hold,
                    ceiling_micro=ceilings.micro,
                    ceiling_tokens=ceilings.tokens,
                )
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
        self.model.accounts[id] = Budget(parent, limits, hold, ceilings)
        fits = not hold or self.model.fits(parent, self.model.held(id))
        refusals = self.refusals(usable=parent_usable, fits=fits)
        assert done in (refusals or [None])
        if not refusals:
            self.model.accounts[id].closed = False
        elif old is None:
            del self.model.accounts[id]

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
        presumed = 0
        for call in self.model.calls.values():
            if call.state == "dispatched":
                call.state, call.cost, presumed = "presumed", call.reserved, presumed + 1
        for account in self.model.accounts.values():
            account.closed |= account.hold
        assert self.book.recover() == presumed
        assert self.book.recover() == 0
        for id in self.model.accounts:
            spent = self.book.spent(id)
            assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)
            own = [call for call in self.model.own(id) if call.state == "presumed"]
            assert spent.presumed_calls >= len(own)

    def refusals(self, *, usable: bool, fits: bool = True) -> list[type]:
        """The errors that the book may give for a reservation."""
        over = [] if fits else [BudgetExceeded]
        return over if usable else [BookError, *over]

    def attempt(self, act) -> object:
        """What `act` gave, or the type of the error it raised."""
        try:
            return act()
        except (BookError, BudgetExceeded) as error:
            return type(error)

    def account(self, pick: int) -> str:
        return sorted(self.model.accounts)[pick % len(self.model.accounts)]

    def call(self, pick: int) -> tuple[str, Call]:
        """A call, one of the latest: those still have somewhere to go."""
        uids = list(self.model.calls)
        uid = uids[-1 - (pick % min(len(uids), 4))]
        return uid, self.model.calls[uid]


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
