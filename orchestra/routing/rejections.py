"""Why assignments were not taken: told when asked for, since a plan is made for every job.

Pure. Comparing every assignment takes far longer than finding the best one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, overload

from orchestra.routing.options import Option, Options, name_of, rank
from orchestra.routing.plan import Rejected, money


class Rejections(Sequence[Rejected]):
    """Options with reasons, worked out at their first reading and kept."""

    __slots__ = ("_known", "_tell")

    def __init__(self, tell: Callable[[], Sequence[Rejected]]) -> None:
        self._tell = tell
        self._known: tuple[Rejected, ...] | None = None

    def _all(self) -> tuple[Rejected, ...]:
        if self._known is None:
            self._known = tuple(self._tell())
        return self._known

    @overload
    def __getitem__(self, at: int) -> Rejected: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Rejected, ...]: ...

    def __getitem__(self, at: int | slice) -> Rejected | tuple[Rejected, ...]:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Rejected]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        return (tuple, (list(self._all()),))


def rejections(options: Options, best: Option, refused: Sequence[Rejected]) -> list[Rejected]:
    """`refused`, and every other assignment with what it breaks or lacks against `best`."""
    return [
        *refused,
        *(
            Rejected(name_of(option), reason(option, options.broken(option), best))
            for option in options.all()
            if option != best
        ),
    ]


def reason(option: Option, broken: dict[str, Decimal], best: Option) -> str:
    """Why `option`, which breaks the limits `broken`, was not taken."""
    if broken:
        return "; ".join(
            f"{name} {_show(name, value)} is over the limit" for name, value in broken.items()
        )
    asked = (m.node for m, o in zip(best, option, strict=True) if m.escalation and not o.escalation)
    if (node := next(asked, None)) is not None:
        return f"the policy has a cascade at {node}"
    mine, theirs = -rank(option)[0], -rank(best)[0]
    if mine < theirs:
        return f"expected quality {mine:.1f}, and {name_of(best)} has {theirs:.1f}"
    if rank(option)[1] > rank(best)[1]:
        return f"no better, and costs ${money(rank(option)[1])} against ${money(rank(best)[1])}"
    return f"no better and no cheaper than {name_of(best)}"


def _show(name: str, value: Decimal) -> str:
    return f"${money(int(value))}" if name == "cost_usd" else format(value.normalize(), "f")
