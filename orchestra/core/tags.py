"""Tags of what is spent: pairs of words that a job carries into the book; it knows no account.

A label is the pairs as JSON, so that keys and values may hold any character. A label that is no
such text (books had plain ones before there were tags) has no tags.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from orchestra.core.errors import UsageError

# Of OpenAI's `metadata`, so that what a client sends there is a job's tags.
MOST_TAGS = 16
MOST_KEY_CHARS = 64
MOST_VALUE_CHARS = 512


def label_of(tags: Mapping[str, str]) -> str:
    """The label that an account of `tags` has; empty for none."""
    return json.dumps(dict(sorted(tags.items())), ensure_ascii=False) if tags else ""


def tags_of(label: str) -> dict[str, str]:
    """The tags that `label_of` wrote."""
    try:
        found = json.loads(label)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_tags(pairs: Iterable[str]) -> dict[str, str]:
    """Tags given as `key=value`. Raises `UsageError` for one that is no pair, or given twice."""
    tags: dict[str, str] = {}
    for pair in pairs:
        key, mark, value = (part.strip() for part in pair.partition("="))
        if not (key and mark and value):
            raise UsageError(f"The tag {pair!r} is no pair. Write it as key=value.")
        if tags.setdefault(key, value) != value:
            raise UsageError(f"The tag {key!r} is given twice: {tags[key]!r} and {value!r}.")
    wrong = problem(tags)
    if wrong is not None:
        raise UsageError(wrong)
    return tags


def problem(tags: Mapping[str, str]) -> str | None:
    """What is wrong with `tags`, or None."""
    if len(tags) > MOST_TAGS:
        return f"{len(tags)} tags were given; at most {MOST_TAGS} are kept. Leave some out."
    for key, value in tags.items():
        if not 0 < len(key) <= MOST_KEY_CHARS or not 0 < len(value) <= MOST_VALUE_CHARS:
            return (
                f"The tag {key[:80]!r}={value[:80]!r} is empty or too long: a key has at most "
                f"{MOST_KEY_CHARS} characters, a value {MOST_VALUE_CHARS}. Shorten it."
            )
    return None
