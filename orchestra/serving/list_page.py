"""Lists that go over HTTP in pages, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel

Entry = TypeVar("Entry", bound=BaseModel)


class ListPage(BaseModel, Generic[Entry]):
    """A page of a list; more of it is behind `last_id` where it says so."""

    object: Literal["list"] = "list"
    data: list[Entry]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False

    @classmethod
    def of(
        cls, found: Sequence[Entry], limit: int, id_of: Callable[[Any], str] = attrgetter("id")
    ) -> Self:
        """The first `limit` of `found`, where one more is enough to say that there are more."""
        data = list(found[:limit])
        return cls(
            data=data,
            first_id=id_of(data[0]) if data else None,
            last_id=id_of(data[-1]) if data else None,
            has_more=len(found) > limit,
        )
