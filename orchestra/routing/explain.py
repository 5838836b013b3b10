"""What budget would change a plan, and the plan as a picture. Pure; it plans nothing by itself.

For each limit there are two values at which the plan changes: the most that the plan itself takes,
below which it no longer fits, and, where the limit binds, the least that lets a better one in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from orchestra.core.money import usd
from orchestra.routing.introspect import GraphView
from orchestra.routing.options import LIMITS, name_of, plain, rank
from orchestra.routing.plan import Option, Plan
from orchestra.routing.planner import Weighed

UNITS = {"cost_usd": "$", "latency_ms": " ms", "memory_gib": " GiB", "tokens": " tokens"}


@dataclass(frozen=True, slots=True)
class Change:
    """A value of `limit` `below` or `from` which another plan is made; `option` None is none.

    Quality is the mean over the nodes, unknown counted as 0, as the planner compares it.
    """

    limit: str
    when: Literal["below", "from"]
    value: str
    option: str | None
    quality: float | None
    cost_usd: float | None

    def __str__(self) -> str:
        unit = UNITS[self.limit]
        value = f"{unit}{self.value}" if unit == "$" else f"{self.value}{unit}"
        if self.option is None:
            return f"{self.limit} {self.when} {value}: no plan"
        return (
            f"{self.limit} {self.when} {value}: {self.option} "
            f"(quality {self.quality:g}, at most ${self.cost_usd:f})"
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan, the graph it is for, and what budgets would change it."""

    plan: Plan
    view: GraphView
    changes: tuple[Change, ...]

    def public(self) -> dict[str, Any]:
        """As printed by `plan --explain --json`."""
        changes = [asdict(change) for change in self.changes]
        return {**self.plan.public(), "changes": changes, "picture": picture(self)}

    def __str__(self) -> str:
        changes = [f"changes   {change}" for change in self.changes]
        return "\n".join([str(self.plan), *changes])


def explain(weighed: Weighed) -> Explanation:
    """The nearest values of each limit at which the plan changes."""
    best, options = weighed.plan.nodes, weighed.options
    taken = [(option, options.takes(option)) for option in options.all()] if best else []
    found: list[Change] = []
    for limit in LIMITS if taken else ():
        others = {name: most for name, most in options.limits.items() if name != limit}
        fitting = [
            (option, takes[limit])
            for option, takes in taken
            if all(takes[name] <= most for name, most in others.items())
        ]
        found += _around(best, limit, fitting, options.limits.get(limit))
    return Explanation(weighed.plan, options.view, tuple(found))


def _around(
    best: Option, limit: str, fitting: Sequence[tuple[Option, Decimal]], most: Decimal | None
) -> Iterable[Change]:
    """Changes at a tighter and at a looser value of one limit, with the others as they are."""
    own = next(takes for option, takes in fitting if option == best)
    if own > 0:
        tighter = [option for option, takes in fitting if takes < own]
        yield _change(limit, "below", own, min(tighter, key=rank, default=None))
    if most is None:
        return
    better = [
        (takes, rank(option), option)
        for option, takes in fitting
        if takes > most and rank(option)[:3] < rank(best)[:3]
    ]
    if better:
        takes, _, option = min(better, key=lambda entry: entry[:2])
        yield _change(limit, "from", takes, option)


def _change(
    limit: str, when: Literal["below", "from"], value: Decimal, option: Option | None
) -> Change:
    if option is None:
        return Change(limit, when, plain(limit, value), None, None, None)
    cost = float(usd(sum(node.cost_micro for node in option)))
    return Change(
        limit, when, plain(limit, value), name_of(option), round(-rank(option)[0], 2), cost
    )


def picture(explanation: Explanation) -> str:
    """The plan as a mermaid flowchart: models at their nodes, and what would change them."""
    plan, view = explanation.plan, explanation.view
    numbers = {
        name: f"n{place}" for place, name in enumerate(("__start__", *view.nodes, "__end__"))
    }
    planned = {node.node: node for node in plan.nodes}
    skipped = {entry.option: entry.reason for entry in plan.skipped}
    lines = ["flowchart TD"]
    for name, number in numbers.items():
        label = _quoted(name.strip("_"))
        if name in planned:
            node = planned[name]
            figures = f"{node.latency_ms:.0f} ms, at most ${usd(node.cost_micro):f}"
            label = f"{_quoted(name)}<br/>{_quoted(node.model)}<br/>{figures}"
            if node.condition is not None:
                label += f"<br/>only {_quoted(str(node.condition))}"
        elif name in skipped:
            label = f"{_quoted(name)}<br/>skipped: {_quoted(skipped[name])}"
        shape = f'(["{label}"])' if name.startswith("__") else f'["{label}"]'
        lines.append(f"  {number}{shape}")
    lines += [f"  {numbers[a]} --> {numbers[b]}" for a, b in sorted(view.edges)]
    lines += [
        f"  {numbers[other]} -.-> {numbers[node.node]}"
        for node in plan.nodes
        if node.condition is not None
        for other in node.condition.beside
    ]
    if explanation.changes:
        lines.append('  subgraph changes["what would change it"]')
        lines += [
            f'    c{place}["{_quoted(str(change))}"]'
            for place, change in enumerate(explanation.changes)
        ]
        lines.append("  end")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """`text` within quotes of a label: mermaid writes a quote as an entity."""
    return text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;")
