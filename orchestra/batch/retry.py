"""Which finished rows a run of a batch takes up again, by the types of their errors."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from orchestra.core.errors import ImageUnavailable, OrchestraError, UsageError, kinds_under

# What the next run mends without being told to: nothing about the row has to change for it.
PASSING = frozenset(kinds_under(ImageUnavailable.__name__))


def retried_kinds(asked: bool | Collection[str]) -> frozenset[str]:
    """Types of errors whose rows are run again: those `asked` for, all with True, and `PASSING`.

    A type holds those under it in the tree of `core/errors`. Raises `UsageError` for one that is
    not in it.
    """
    names = [OrchestraError.__name__] if asked is True else asked or ()
    return PASSING.union(*(_checked(name) for name in names))


def _checked(name: str) -> list[str]:
    found = kinds_under(name)
    if not found:
        near = get_close_matches(name, kinds_under(OrchestraError.__name__), n=1)
        cure = (
            f"Did you mean {near[0]!r}?" if near else "See the types in the batch's errors.jsonl."
        )
        raise UsageError(f"There is no error of type {name!r}, so no row has it. {cure}")
    return found
