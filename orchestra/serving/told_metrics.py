"""What `/metrics` tells: of all ingresses together, and what was spent as the book has it.

Without a shared ledger it is of this process alone. An ingress that does not reach the ledger
tells nothing of it, so that no counter ever runs backwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from orchestra.book.messages import ModelTotal
from orchestra.book.shared.member import LedgerMember
from orchestra.core.errors import BookError
from orchestra.core.money import usd
from orchestra.observe import metrics
from orchestra.observe.together import added, beside_ours, family_text

PATIENCE_S = 5.0
# What an ingress counts of these by itself, the book counts for all of them, hung-up jobs too.
OF_THE_BOOK = tuple(f"orchestra_{kind}_usd" for kind in ("cost", "overrun", "presumed", "saved"))


async def exposition(ledger: LedgerMember | None) -> bytes:
    """All metrics in Prometheus' text format."""
    own = metrics.exposition()
    if ledger is None:
        return own
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await ledger.collect()
    except (TimeoutError, BookError):
        return beside_ours(own) + _up(False)  # its own counts would be less than those of all
    shared = added(found.samples, without=OF_THE_BOOK)
    return beside_ours(own) + shared + of_the_book(found.totals) + _up(not found.trouble)


def of_the_book(totals: Iterable[ModelTotal]) -> bytes:
    """What all calls came to, since the book began."""
    by_model: dict[str, list[ModelTotal]] = {}
    for total in totals:
        by_model.setdefault(total.model, []).append(total)
    sums = {
        model: {
            "cost": sum(one.cost_micro for one in all_of_it),
            "overrun": sum(one.overrun_micro for one in all_of_it),
            "presumed": sum(one.cost_micro for one in all_of_it if one.state == "presumed"),
            "saved": sum(one.saved_micro for one in all_of_it),
        }
        for model, all_of_it in by_model.items()
    }
    about = {
        "cost": "Dollars spent, by model, as the book has them.",
        "overrun": "Dollars charged beyond the bounds of calls, by model.",
        "presumed": "Dollars of calls whose use nobody reported.",
        "saved": "Dollars that the cache saved, by model.",
    }
    told = b"".join(
        family_text(
            f"orchestra_{kind}_usd",
            "counter",
            text,
            {
                (f"orchestra_{kind}_usd_total", (("model", model),)): float(usd(of[kind]))
                for model, of in sums.items()
            },
        )
        for kind, text in about.items()
    )
    calls = {
        (
            "orchestra_booked_calls_total",
            (("model", one.model), ("state", one.state)),
        ): float(one.calls)
        for of in by_model.values()
        for one in of
    }
    return told + family_text(
        "orchestra_booked_calls", "counter", "Calls of the book, by model and end.", calls
    )


def _up(is_up: bool) -> bytes:
    about = "1 while the ledger takes calls, 0 while its book cannot be used."
    return family_text(
        "orchestra_book_up", "gauge", about, {("orchestra_book_up", ()): float(is_up)}
    )
