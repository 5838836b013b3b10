"""Renders the console's page and its parts; it knows no HTTP and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment

from orchestra.core.job import Question
from orchestra.core.values import shown
from orchestra.graph.threads import Thread
from orchestra.pages.style import base_style
from orchestra.pages.templates import templates
from orchestra.pages.wording import LANGUAGES
from orchestra.routing.plan import Plan, remarks
from orchestra.serving.console.drawing import Drawing
from orchestra.serving.console.shown import ShownResult
from orchestra.serving.console.spend import SpendTable
from orchestra.serving.console.waiting import WaitingRun
from orchestra.serving.console.words import spoken, word, word_or

STATICS = {  # all that is served as a file, by its name
    "base.css": "text/css",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "job.js": "text/javascript",
    "run.js": "text/javascript",
    "server.js": "text/javascript",
    "waiting.js": "text/javascript",
}
MOST_REJECTED = 12


class ConsoleRenderer:
    """Renders in one language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def page(self, root: str) -> str:
        """The page, in which no part of any job is; `root` stands before its addresses."""
        return self._render("page.html.j2", root=root, spoken=spoken(self._language))

    def plan(self, plan: Plan, drawing: Drawing) -> str:
        """A plan, with the graph that it is for."""
        public = plan.public()
        return self._render(
            "plan.html.j2",
            plan=plan,
            total=public["total"],
            drawing=drawing,
            planned={node.node: node for node in plan.nodes},
            skipped={entry.option: entry.reason for entry in plan.skipped},
            remarks=list(remarks(plan)),
            # Routes that would have done say more than models that cannot take a node.
            rejected=sorted(plan.rejected, key=lambda entry: ", " not in entry.option),
        )

    def result(self, shown: ShownResult, photos: Mapping[str, str]) -> str:
        """What a run came to; `photos` are those that the page has not, as data URIs by key."""
        return self._render("result.html.j2", shown=shown, result=shown.result, photos=photos)

    def waiting(self, threads: Sequence[Thread]) -> str:
        """The runs that wait."""
        return self._render("waiting.html.j2", threads=threads)

    def waiting_run(self, run: WaitingRun) -> str:
        """One of them, with the form of its answer."""
        return self._render("waiting_run.html.j2", run=run)

    def spend(self, table: SpendTable) -> str:
        """What was spent."""
        return self._render("spend.html.j2", table=table)

    def _render(self, template: str, **values: Any) -> str:
        return (
            _environment()
            .get_template(template)
            .render(
                t=partial(word, self._language),
                named=partial(word_or, self._language),
                language=self._language,
                languages=LANGUAGES,
                most_rejected=MOST_REJECTED,
                **values,
            )
        )


def asked(question: Question) -> str:
    """What a question asks, in a line; of an object its parts."""
    if question.id and isinstance(question.value, Mapping | list):
        return shown(question.value)
    return question.text


@cache
def _environment() -> Environment:
    environment = templates("orchestra.serving.console", "pages", asked=asked)
    environment.tests.update(mapping=lambda value: isinstance(value, Mapping))
    return environment


@cache
def static(name: str) -> str:
    """A file of the page. Raises `KeyError` for a name that is none of `STATICS`."""
    if name not in STATICS:
        raise KeyError(name)
    if name == "base.css":
        return base_style()
    return (Path(__file__).parent / "pages" / name).read_text(encoding="utf-8")
