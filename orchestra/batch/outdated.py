"""What a model wrote of values that a person has changed since, and that says them still."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestra.core.job import Field
from orchestra.core.values import folded, text_of


def outdated(fields: Mapping[str, Field], said: Mapping[str, Field]) -> Iterable[tuple[str, Field]]:
    """What was written of values that a person has changed since, and says them still."""
    changed = {
        name: (said[name], one)
        for name, one in fields.items()
        if one.decided is not None
        and name in said
        and said[name].value is not one.value
        and not is_same(said[name], one)
    }
    if not changed:
        return
    for name, one in fields.items():
        if one.source != "derived" or one.decided is not None or not one.answered:
            continue
        text = text_of(one.value) or ""
        for changed_name, (before, now) in changed.items():
            word = text_of(before.value) or ""
            if now.decided is None or before.source == "derived" or not _says(text, word):
                continue
            if not _says(text_of(now.value) or "", word):
                told = f"it says {word!r} still, which {now.decided.by} changed in {changed_name!r}"
                yield name, one.model_copy(update={"doubt": told})
                break


def _says(text: str, word: str) -> bool:
    """Whether `word` stands in `text` as a word of its own; where none is parted, anywhere."""
    found = re.escape(word.strip())
    whole = rf"\b{found}\b" if word.isascii() else found
    return bool(word.strip()) and re.search(whole, text, re.IGNORECASE) is not None


def is_same(one: Field, other: Field) -> bool:
    """Whether two fields say the same, but for case and spaces."""
    return folded(text_of(one.value) or "") == folded(text_of(other.value) or "")
