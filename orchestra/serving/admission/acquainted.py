"""Which tenants the credentials of requests belong to, as ingresses said when they answered.

The front checks no key. Of a credential that it has not seen it knows nothing, and a few of those
go past the queue, so that a right one is soon known and a wrong one hears at once that it is wrong.
What was refused stays refused for a minute, without asking an ingress again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.types import Scope

from orchestra.access.principal import Principal
from orchestra.serving.admission.prepared import Prepared

KNOWN = 4096  # credentials that are remembered, the last seen
NAMES = (b"authorization", b"x-api-key", b"api-key")
REFUSED_S = 60.0  # that a refused credential is not asked about again
ASKED_AT_ONCE = 8  # credentials of nobody knows whom that may go past the queue
ASKED_A_SECOND = 20.0  # and how many of them: who guesses keys takes no more than that

Credential = tuple[bytes, ...]


def credential_of(scope: Scope) -> Credential:
    """What a request shows of who sends it."""
    return tuple([value for name, value in scope["headers"] if name in NAMES])


@dataclass(eq=False, slots=True)
class Acquainted:
    """Principals by credential, and those that were refused. Times are of one clock, in seconds."""

    _who: OrderedDict[Credential, Principal] = field(default_factory=OrderedDict)
    _refused: OrderedDict[Credential, tuple[float, Prepared]] = field(default_factory=OrderedDict)
    _asked: set[Credential] = field(default_factory=set)
    _tokens: float = ASKED_A_SECOND
    _counted_s: float = 0.0

    def who(self, credential: Credential) -> Principal | None:
        """Whose it is, where that is known."""
        return self._who.get(credential)

    def refusal(self, credential: Credential, now_s: float) -> Prepared | None:
        """What it was refused with a moment ago."""
        known = self._refused.get(credential)
        if known is None:
            return None
        if known[0] <= now_s:
            del self._refused[credential]
            return None
        return known[1]

    def remember(self, credential: Credential, who: Principal) -> None:
        """It was let in as this one's."""
        self._refused.pop(credential, None)
        self._who[credential] = who
        self._who.move_to_end(credential)
        if len(self._who) > KNOWN:
            self._who.popitem(last=False)

    def refuse(self, credential: Credential, answer: Prepared, now_s: float) -> None:
        """It was refused with this."""
        self._who.pop(credential, None)
        self._refused[credential] = (now_s + REFUSED_S, answer)
        self._refused.move_to_end(credential)
        if len(self._refused) > KNOWN:
            self._refused.popitem(last=False)

    def may_ask(self, credential: Credential, now_s: float) -> bool:
        """Whether one of nobody knows whom may go past the queue; it counts as asked then."""
        gained = (now_s - self._counted_s) * ASKED_A_SECOND
        self._tokens = min(ASKED_A_SECOND, self._tokens + gained)
        self._counted_s = now_s
        is_full = len(self._asked) >= ASKED_AT_ONCE or self._tokens < 1
        if is_full or credential in self._asked or credential in self._who:
            return False
        self._tokens -= 1
        return True

    @contextmanager
    def asking(self, credential: Credential) -> Iterator[None]:
        """Within the block an ingress is asked whose it is."""
        self._asked.add(credential)
        try:
            yield
        finally:
            self._asked.discard(credential)
