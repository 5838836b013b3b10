"""Two ways of doing a batch on one gold set: both are run on its rows, then compared.

A way is a fleet, a graph, a recipe, a policy, or some models of a fleet. The column of true values
is taken out of the rows before any model sees them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestra.batch.columns import Columns
from orchestra.batch.output.rows import said_of
from orchestra.batch.output.summary import Summary
from orchestra.batch.progress import Progress
from orchestra.batch.recipe import Recipe
from orchestra.batch.score.compare import Comparison, compare
from orchestra.batch.spec import BatchSpec, RunSettings
from orchestra.batch.start import run_batch
from orchestra.batch.tables.table import open_table, resolve_columns
from orchestra.cache.store import ReplyStore
from orchestra.core.card import FleetFile
from orchestra.core.errors import InvalidFleet, InvalidTable, UsageError
from orchestra.core.files.atomic import write_text
from orchestra.fleet.opened import OpenFleet
from orchestra.fleet.source import load_graph
from orchestra.quality.readings import Truths

ID = "gold_id"
ROWS = "rows.csv"
KEYS = ("fleet", "graph", "recipe", "policy", "models")


@dataclass(frozen=True, slots=True)
class Way:
    """One side of a trial. Of its fleet only `models` may be used; empty is all."""

    fleet: str
    graph: str
    recipe: Path | None = None
    policy: Path | None = None
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As `read_way` reads it."""
        parts = {"fleet": self.fleet, "graph": self.graph, "recipe": self.recipe}
        parts |= {"policy": self.policy, "models": "+".join(self.models)}
        return ",".join(f"{key}={value}" for key, value in parts.items() if value)

    def loaded_recipe(self) -> Recipe | None:
        """Its recipe, where one is named."""
        return None if self.recipe is None else Recipe.load(self.recipe)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was asked of both ways: the rows, the true values, and how each of them is run."""

    table: Path
    truths: Truths
    field: str
    settings: RunSettings
    id_column: str | None = None
    image_column: tuple[str, ...] | None = None
    text_columns: tuple[str, ...] | None = None


def read_way(spec: str, *, fleet: str, graph: str) -> Way:
    """A way written as `fleet=mini,recipe=a.yaml`; what it does not name is `fleet` and `graph`.

    Models are joined by `+`. Raises `UsageError` for another key, or one given twice.
    """
    way, seen = Way(fleet, graph), set[str]()
    for part in filter(None, (part.strip() for part in spec.split(","))):
        key, mark, value = (word.strip() for word in part.partition("="))
        if key not in KEYS or not mark or not value or key in seen:
            raise UsageError(
                f"{part!r} in {spec!r} says nothing of a way to run the rows. Give each of "
                f"{', '.join(KEYS)} once at most, as in 'fleet=mini,recipe=short.yaml'."
            )
        seen.add(key)
        given: Any = Path(value) if key in ("recipe", "policy") else value
        if key == "models":
            given = tuple(name.strip() for name in value.split("+") if name.strip())
        way = replace(way, **{key: given})
    return way


async def try_both(
    trial: Trial, a: Way, b: Way, *, cache: Path | None = None, progress: Progress | None = None
) -> tuple[Comparison, tuple[Summary, Summary]]:
    """Run the gold rows by `a` and by `b` into the trial's folder, and compare them row by row.

    A trial that was stopped goes on where it was. Raises `UsageError` for ways that are the same,
    and what a batch raises.
    """
    if a == b:
        raise UsageError(f"Both ways are {a.name!r}. Give --b another fleet, recipe or graph.")
    recipes = [way.loaded_recipe() for way in (a, b)]
    rows = write_rows(trial, recipes)
    outs = [trial.settings.out / letter for letter in "ab"]
    summaries: list[Summary] = []
    for way, recipe, out in zip((a, b), recipes, outs, strict=True):
        store = None if cache is None else ReplyStore(cache)
        async with OpenFleet.open(way.fleet, policy=way.policy, cache=store) as fleet:
            if way.models:
                fleet.file = only(fleet.file, way.models)
            spec = BatchSpec(
                table=rows,
                graph=load_graph(way.graph),
                fleet=fleet.name,
                recipe=recipe,
                text_columns=trial.text_columns,
                image_column=trial.image_column,
                id_column=ID,
                policy=fleet.policy,
            )
            settings = trial.settings.model_copy(update={"out": out})
            summaries.append(await run_batch(fleet, spec, settings, progress=progress))
    first, second = (said_of(out) for out in outs)
    truths = trial.truths.field(trial.field)
    found = compare((a.name, first), (b.name, second), truths, trial.field)
    return found, (summaries[0], summaries[1])


def only(file: FleetFile, models: Sequence[str]) -> FleetFile:
    """The fleet with these models alone; a fallback that is not among them is none.

    Raises `InvalidFleet` for a name that it does not have.
    """
    kept = [file.card(name) for name in dict.fromkeys(models)]
    if not kept:
        raise InvalidFleet(f"No model of {file.name!r} is named. Name one, or leave out 'models'.")
    cards = [
        card if card.fallback in models else card.model_copy(update={"fallback": None})
        for card in kept
    ]
    return FleetFile.model_validate({**dict(file), "models": cards})


def write_rows(trial: Trial, recipes: Sequence[Recipe | None]) -> Path:
    """The table's rows that have a true value, without it; photos by their whole paths.

    Raises `InvalidTable` when there is none, or the column of true values is to be shown.
    """
    table = open_table(trial.table)
    resolve_columns(trial.truths.columns, [trial.field], [], "truth")
    if trial.field in (trial.text_columns or ()):
        raise InvalidTable(
            f"--text-columns shows the models {trial.field!r}, the true values they are to be "
            "judged by. Leave it out."
        )
    found = [
        Columns.resolve(
            table, recipe, text=trial.text_columns, images=trial.image_column, id=trial.id_column
        )
        for recipe in recipes
    ]
    photos = {name for columns in found for name in columns.images}
    true = {row_id for row_id, value in trial.truths.field(trial.field).items() if value.strip()}
    names = [name for name in table.columns if name != trial.field and name != ID]
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow([ID, *names])
    count = 0
    for row in table.rows():
        row_id = found[0].row_id(row)
        if row.error is None and row_id.strip() in true:
            values = _placed(row.values, photos, trial.table.parent)
            lines.writerow([row_id, *(values.get(name, "") for name in names)])
            count += 1
    if not count:
        raise InvalidTable(
            f"No row of {str(trial.table)!r} has a true value of {trial.field!r}. Name the id that "
            "table and gold set share with --id-column."
        )
    path = trial.settings.out / ROWS
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
    return path


def _placed(values: Mapping[str, str], photos: set[str], base: Path) -> dict[str, str]:
    """`values` with photos that are relative to the table's folder named from the root."""
    placed = dict(values)
    for name in photos & placed.keys():
        value = placed[name].strip()
        if value and "://" not in value and not value.startswith("data:"):
            placed[name] = str((base / value).resolve())
    return placed
