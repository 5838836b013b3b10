"""What a name that is not known was perhaps meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` is a misspelling of, whatever its case, or None."""
    by_lower = {entry.lower(): entry for entry in known}
    found = get_close_matches(str(name).lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The cure for a misspelt `name`, or what there is, as a sentence."""
    known = list(known)
    near = nearest(name, known)
    if near is not None:
        return f"Did you mean {near!r}?"
    return f"There are: {', '.join(map(repr, known))}." if known else "There are none."
