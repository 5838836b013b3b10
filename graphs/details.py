"""The second step of a taxonomy: what a text says of the fields that its category has.

Not a graph: what `graphs.listing` asks once the category is known, and keeps of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from orchestra import Job, JobState, Recipe
from orchestra.batch.taxonomy.field import DetailRule
from orchestra.core.schema import narrow
from orchestra.core.state import fields_of, json_of, outcomes_of


@dataclass(frozen=True, eq=False)
class CategoryDetails:
    """Which fields are asked of a text: those of its category that the recipe has not itself."""

    recipe: Recipe

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The fields of any category: what the node may be asked, for its plan."""
        details = self.recipe.details
        return _object({} if details is None else self._own(details[1].all_details))

    def __call__(self, state: JobState) -> Mapping[str, Any]:
        """The fields of this job's category, narrowed to its text."""
        text = Job.model_validate(state["job"]).text or ""
        return narrow(json.dumps(_object(self.asked(state)), ensure_ascii=False), text)

    def route(self, state: JobState) -> Literal["detail", "settle"]:
        """Whether there is anything to ask."""
        return "detail" if self.asked(state) else "settle"

    def asked(self, state: JobState) -> dict[str, Any]:
        """The shapes of the category's fields, by name; none where no category was found."""
        details = self.recipe.details
        if details is None:
            return {}
        name, tree = details
        category = fields_of(state).get(name)
        if category is None or not category.answered or category.contradiction:
            return {}
        return self._own(tree.details_of(str(category.value)))

    def _own(self, rules: Mapping[str, DetailRule]) -> dict[str, Any]:
        """Without those that the recipe reads in the first step, or writes."""
        taken = {*self.recipe.fields, *self.recipe.written_parts()}
        return {name: rule.shape for name, rule in rules.items() if name not in taken}


@dataclass(frozen=True, eq=False, slots=True)
class KeepDetails:
    """Keeps the fields of the category; of others nothing was asked, so nothing is said."""

    details: CategoryDetails
    costs_nothing: ClassVar[bool] = True

    async def __call__(self, state: JobState) -> dict[str, Any]:
        """The category's fields, beside those that are known."""
        outcome = outcomes_of(state).get("detail")
        asked = self.details.asked(state)
        found = {} if outcome is None else outcome.fields
        kept = {name: field for name, field in found.items() if name in asked}
        return {"fields": json_of(kept)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
