"""Graph `listing`: the photo is looked at, the text read, both merged, and a listing written.

Where fields of the recipe name `print`, what is printed on the photo is read as well. What is
extracted and how it is written comes from a recipe. The written parts are checked
against the facts before they stand: what the inputs do not support is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from langgraph.graph import END, START, StateGraph

from graphs.details import CategoryDetails, KeepDetails
from graphs.writing import check_field, known_facts, published, shape_of, with_left_out
from orchestra import Context, JobState, Recipe, ask, cascade, in_turn, merge, serve
from orchestra.batch.recipe import WRITTEN, Language
from orchestra.combine.instructions import instructed
from orchestra.core.ask import Ask
from orchestra.core.job import Field
from orchestra.core.state import fields_of, json_of, outcomes_of


@lru_cache(maxsize=1)
def default_recipe() -> Recipe:
    """The recipe that ships with the graph."""
    return Recipe.load(Path(__file__).parent / "recipes" / "listing.yaml")


def build(recipe: Recipe | None = None) -> StateGraph[JobState, Context]:
    """Wire the graph for `recipe` (default: the one that ships)."""
    recipe = recipe or default_recipe()
    graph = StateGraph(JobState, context_schema=Context)
    photo = recipe.photo_schema()
    look = ask("vision", "Describe the product shown.", schema=photo, regions=recipe.maps)
    graph.add_node("look", _over_photos(look, recipe))
    graph.add_node(
        "read", ask("text", "Extract what the text states.", schema=recipe.text_schema())
    )
    joined = ("look", "read") if recipe.print_schema() is None else ("look", "print", "read")
    graph.add_node("merge", merge(*joined, rules=recipe.merge_rules()), defer=True)
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", "merge")
    graph.add_edge("read", "merge")
    _add_print(graph, recipe)
    known = "merge" if recipe.details is None else _add_details(graph, recipe)
    if recipe.write is None:
        graph.add_edge(known, END)
        return graph
    _add_writing(graph, recipe, known)
    return graph


def _add_details(graph: StateGraph[JobState, Context], recipe: Recipe) -> str:
    """The second step of a taxonomy: the fields of the category that was found, and no others.

    The node that leaves them.
    """
    details = CategoryDetails(recipe)
    reading = ask("text", "Extract what the text states.", schema=details.schema, shape=details)
    graph.add_node("detail", reading)
    graph.add_node("settle", KeepDetails(details))
    graph.add_conditional_edges("merge", details.route, {"detail": "detail", "settle": "settle"})
    graph.add_edge("detail", "settle")
    return "settle"


def _over_photos(look: Ask, recipe: Recipe) -> Ask:
    """A look at the main photo, and at further ones for what it leaves open."""
    if not look.fields:
        return look
    return in_turn(look, most=recipe.photos, least=recipe.least_photo_confidence)


def _add_print(graph: StateGraph[JobState, Context], recipe: Recipe) -> None:
    """The node that reads print: after the text, for what that left open, or beside it."""
    printed = recipe.print_schema()
    if printed is None:
        return
    reading = _over_photos(
        ask("read", "Read what is printed on the product.", schema=printed), recipe
    )
    if recipe.read_print == "open":
        reading = cascade(reading, after="read", least=recipe.least_text_confidence)
    graph.add_node("print", reading)
    graph.add_edge("read" if recipe.read_print == "open" else START, "print")
    graph.add_edge("print", "merge")


def _add_writing(graph: StateGraph[JobState, Context], recipe: Recipe, known: str) -> None:
    """One write node a language once the facts are `known`, then the check of all of them."""
    writers: dict[str, str] = {}
    for language in recipe.languages:
        node = "write" if len(recipe.languages) == 1 else f"write_{language}"
        writers[node] = language
        wanted = "{language}" if language == "auto" else language
        graph.add_node(
            node,
            ask(
                "text",
                f"Write a product listing in {wanted}. Tone: {recipe.tone}.",
                schema=recipe.write_schema(),
                data=RenderFacts(recipe, language),
                shape=ShapeListing(recipe, language),
                derived=True,
            ),
        )
        graph.add_edge(known, node)
        graph.add_edge(node, "check")
    graph.add_node("check", CheckWriting(recipe, tuple(writers.items())), defer=True)
    graph.add_edge("check", END)


@dataclass(frozen=True, eq=False, slots=True)
class RenderFacts:
    """Renders the merged facts as the writer's data, one a line, in the language asked for."""

    recipe: Recipe
    language: str
    asks_nobody: ClassVar[bool] = True

    def __call__(self, state: JobState) -> str | None:
        """`name: value` lines, or None when there is nothing to write about."""
        facts = known_facts(self.recipe, fields_of(state), written_in(self.language, state))
        return "\n".join(f"{name}: {value}" for name, (value, _) in facts.items()) or None


@dataclass(frozen=True, eq=False, slots=True)
class ShapeListing:
    """The response schema of one listing: patterns made of its own facts."""

    recipe: Recipe
    language: str
    asks_nobody: ClassVar[bool] = True

    def __call__(self, state: JobState) -> Mapping[str, Any]:
        """JSON schema of title, description and bullets."""
        language = written_in(self.language, state)
        facts = known_facts(self.recipe, fields_of(state), language)
        return shape_of(self.recipe, {name: value for name, (value, _) in facts.items()}, language)


@dataclass(frozen=True, eq=False, slots=True)
class CheckWriting:
    """Keeps of the written parts what the facts support, with the evidence of those facts."""

    recipe: Recipe
    writers: tuple[tuple[str, str], ...]
    costs_nothing: ClassVar[bool] = True

    async def __call__(self, state: JobState) -> dict[str, Any]:
        """Fields title, description and bullets, suffixed if there are several languages."""
        outcomes = outcomes_of(state)
        checked: dict[str, Field] = {}
        for node, wanted in self.writers:
            outcome = outcomes.get(node)
            if outcome is None:
                continue
            language = written_in(wanted, state)
            facts = known_facts(self.recipe, fields_of(state), language)
            suffix = "" if len(self.writers) == 1 else f"_{language}"
            words = instructed(_text_of(state), self.recipe.instructing).rest
            title = ""
            for name in WRITTEN:
                field = outcome.fields.get(name) or Field(note="nothing was written")
                if name == "bullets" and outcome.error is None:
                    field = with_left_out(self.recipe, field, facts, language)
                kept = check_field(self.recipe, field, facts, language)
                if name != "bullets":
                    kept = published(self.recipe, name, kept, words, facts, language, title)
                    title = title or str(kept.value or "")
                checked[f"{name}{suffix}"] = kept
        return {"fields": json_of(checked)}


def _text_of(state: JobState) -> str:
    return state["job"].get("text") or ""


def written_in(wanted: str, state: JobState) -> Language:
    """The language a writer writes in; `auto` is the job's own."""
    if wanted in ("en", "zh"):
        return "zh" if wanted == "zh" else "en"
    return "zh" if state["job"].get("language") == "zh" else "en"


app = serve(build)
