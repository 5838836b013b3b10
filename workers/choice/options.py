"""What is chosen among: names, what they mean, and texts whose names a user gave."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from orchestra.core.errors import InvalidLabels, InvalidSchema
from orchestra.core.spelling import nearest
from workers.choice.names import plain, same


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """Names to choose among, in their order, which changes no answer.

    `descriptions` are (name, what it means), `examples` (text, name); a name of None is a text
    that is none of them.
    """

    names: tuple[str, ...]
    descriptions: tuple[tuple[str, str], ...] = ()
    examples: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def of(
        cls,
        names: Any,
        descriptions: Mapping[str, str] | None = None,
        examples: Iterable[tuple[str, str | None]] = (),
    ) -> ChoiceOptions:
        """Checked options of a list, an enum or a Literal.

        Raises InvalidSchema where no name or one name twice is given, or a description's name is
        none of them; InvalidLabels for such an example.
        """
        listed = _listed(names)
        _check(listed)
        described = {name: text for name, text in (descriptions or {}).items() if text.strip()}
        for name in described:
            if name not in listed:
                raise InvalidSchema(
                    f"A description is given for {name!r}, which is no option. "
                    f"{_cure(name, listed)}"
                )
        taught = tuple((text, _own(name, listed)) for text, name in examples)
        return cls(listed, tuple(described.items()), taught)

    @property
    def key(self) -> str:
        """The same for the same options, whatever the order: names are cached under it."""
        parts = [
            sorted(self.names),
            sorted(self.descriptions),
            sorted(map(list, self.examples), key=str),
        ]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:32]

    def with_examples(self, examples: Iterable[tuple[str, str | None]]) -> ChoiceOptions:
        """The same options with more examples; raises what `of` raises."""
        added = tuple((text, _own(name, self.names)) for text, name in examples)
        return ChoiceOptions(self.names, self.descriptions, (*self.examples, *added))


def _listed(names: Any) -> tuple[str, ...]:
    members: Any = getattr(names, "__members__", None)  # of an enum
    values: list[Any] = (
        [m.value for m in members.values()] if members else list(get_args(names) or names)
    )
    listed = tuple(value for value in values if value is not None)
    for value in listed:
        if not isinstance(value, str) or not plain(value):
            raise InvalidSchema(f"An option is {value!r}, which is no name. Give words to choose.")
    return listed


def _check(listed: tuple[str, ...]) -> None:
    if not listed:
        raise InvalidSchema("The options are (), nothing to choose. Give at least one name.")
    twice = [name for name, count in Counter(listed).items() if count > 1]
    if twice:
        raise InvalidSchema(
            f"The option {twice[0]!r} stands twice. Give each once; in a tree, write its path "
            "('Home > Mugs')."
        )


def _own(name: str | None, listed: tuple[str, ...]) -> str | None:
    """The option that `name` spells."""
    if name is None or name in listed:
        return name
    found = [option for option in listed if same(option) == same(name)]
    if len(found) != 1:
        raise InvalidLabels(
            f"An example is labelled {name!r}, which is no option. {_cure(name, listed)}"
        )
    return found[0]


def _cure(name: str, listed: tuple[str, ...]) -> str:
    near = nearest(name, listed)
    return f"Did you mean {near!r}?" if near else f"Use one of {', '.join(map(repr, listed[:8]))}."
