"""Known answers by row id, as tables and gold sets hold them, and what is compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.core.job import Field
from orchestra.core.values import folded, text_of


@dataclass(frozen=True, slots=True)
class Truth:
    """The true values of one row by field, and how many rows of the batch it stands for."""

    values: Mapping[str, str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Truths:
    """Known answers by row id, in the table's order; `columns` are the table's."""

    rows: Mapping[str, Truth]
    columns: tuple[str, ...]

    @property
    def is_weighted(self) -> bool:
        """Whether rows stand for different numbers of rows."""
        return len({truth.weight for truth in self.rows.values()}) > 1

    def field(self, name: str) -> dict[str, str]:
        """The values of one field by row id."""
        return {row_id: truth.values.get(name, "") for row_id, truth in self.rows.items()}


def said(field: Field | None) -> str | None:
    """What a field says, as it is compared with a true value; None where it abstains."""
    return None if field is None or not field.answered else folded(text_of(field.value) or "")
