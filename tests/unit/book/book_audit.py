"""Recomputes every counter of a book file from its entries, without the book's own code."""

import sqlite3
from pathlib import Path


def discrepancies(path: Path) -> list[str]:
    """What does not add up in the book at `path`; empty for a sound book."""
    database = sqlite3.connect(path)
    try:
        database.row_factory = sqlite3.Row
        accounts = {row["number"]: row for row in database.execute("SELECT * FROM accounts")}
        entries = database.execute("SELECT * FROM entries").fetchall()
        foreign = database.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        database.close()
    found = [f"broken reference {tuple(row)}" for row in foreign]
    for number, account in accounts.items():
        own = [row for row in entries if row["account"] == number]
        children = [row for row in accounts.values() if row["parent"] == number]
        for name, value in _expected(own, children).items():
            if account[name] != value:
                found.append(f"{account['id']}: {name} is {account[name]}, entries say {value}")
        for unit in ("micro", "tokens"):
            used = account[f"spent_{unit}"] + account[f"open_{unit}"]
            for name in ("limit", "ceiling"):
                limit = account[f"{name}_{unit}"]
                if limit is not None and used > limit + account[f"overrun_{unit}"]:
                    found.append(f"{account['id']}: over its {name} of {limit} {unit}")
    return found


def _expected(own: list[sqlite3.Row], children: list[sqlite3.Row]) -> dict[str, int]:
    still_open = [row for row in own if row["state"] == "dispatched"]
    held = [row for row in children if row["hold"] and not row["closed"]]
    presumed = [row for row in own if row["state"] == "presumed"]
    return {
        "spent_micro": _sum(own, "cost_micro") + _sum(children, "spent_micro"),
        "spent_tokens": _sum(own, "tokens") + _sum(children, "spent_tokens"),
        "open_micro": _sum(still_open, "reserved_micro") + _open(children, "micro"),
        "open_tokens": _sum(still_open, "reserved_tokens") + _open(children, "tokens"),
        "pending": len(still_open)
        + len(held)
        + _sum([row for row in children if not row["hold"]], "pending"),
        "overrun_micro": _sum(own, "overrun_micro") + _sum(children, "overrun_micro"),
        "overrun_tokens": _sum(own, "overrun_tokens") + _sum(children, "overrun_tokens"),
        "presumed_micro": _sum(presumed, "cost_micro") + _sum(children, "presumed_micro"),
        "presumed_calls": len(presumed) + _sum(children, "presumed_calls"),
    }


def _sum(rows: list[sqlite3.Row], column: str) -> int:
    return sum(row[column] for row in rows)


def _open(children: list[sqlite3.Row], unit: str) -> int:
    total = 0
    for child in children:
        limit, ceiling = child[f"limit_{unit}"], child[f"ceiling_{unit}"]
        if ceiling is not None:
            ceiling += child[f"overrun_{unit}"]
        bound = min((one for one in (limit, ceiling) if one is not None), default=None)
        if not child["hold"] or bound is None:
            total += child[f"open_{unit}"]
        elif not child["closed"]:
            total += max(child[f"open_{unit}"], bound - child[f"spent_{unit}"])
    return total
