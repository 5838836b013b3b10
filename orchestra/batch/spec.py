"""What a batch is, in one value from the command line to the hosts of its rows.

`BatchSpec` holds what decides the answers, and the batch's identity is derived from it alone.
`RunSettings` hold how one run goes about it: another run of the same batch may have others.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, PlainSerializer
from pydantic import Field as Attribute

from orchestra.batch.columns import Columns
from orchestra.batch.recipe import Recipe
from orchestra.batch.tables.reading import ReadAs
from orchestra.core.job import Budget, Language, Word
from orchestra.fleet.source import graph_place, load_graph
from orchestra.quality.policy import Policy

DEFAULT_IN_FLIGHT = 32
TABLE = "table"
PROBE_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)


def place_of(graph: str | Callable[..., Any]) -> str:
    """`module:function` of a graph; a name stays as it is."""
    if isinstance(graph, str):
        return graph
    target = graph.func if isinstance(graph, functools.partial) else graph
    module, name = getattr(target, "__module__", ""), getattr(target, "__qualname__", "")
    return graph_place(target) or f"{module}:{name}"


GraphName = Annotated[
    str | Callable[..., Any], PlainSerializer(place_of, return_type=str, when_used="json")
]


def _column_names(value: Any) -> Any:
    """One name stands for a list of it, "" for an empty one."""
    return tuple(filter(None, (value,))) if isinstance(value, str) else value


class BatchSpec(Word):
    """A batch as it is asked for, and once it is settled with nothing left open.

    `graph` is a name, or a function that has none to be found by. What is None is taken from
    the recipe and the table; a column "" is none. `read_as` says how the table is read. `maps`
    turns on the recipe's own: each value read from a photo is marked there. `images` is what photo
    paths are relative to (default: the table's folder); files lie there, or under `photo_root`.
    `table_hash` to `models` are what the names
    stood for when the batch was settled; a spec that is asked for leaves them out.
    """

    table: Path
    graph: GraphName
    fleet: str
    recipe: Recipe | None = None
    text_columns: tuple[str, ...] | None = None
    image_column: Annotated[tuple[str, ...] | None, BeforeValidator(_column_names)] = None
    id_column: str | None = None
    read_as: ReadAs = ReadAs()
    language: Language | None = None
    maps: bool = False
    images: Path | None = None
    photo_root: Path | None = None
    policy: Policy | None = None
    table_hash: str = ""
    fleet_name: str = ""
    models: Mapping[str, str] = Attribute(default_factory=dict)  # fingerprints by name

    @property
    def identity(self) -> dict[str, str]:
        """What makes a settled batch this one and no other: a folder resumes only its own.

        Of a batch that is the same but for its table the finished rows are taken over.
        """
        columns = self.columns
        images = ",".join(columns.images) or None
        return {
            TABLE: self.table_hash,
            "columns": f"text={','.join(columns.text)} image={images} id={columns.id}",
            "graph": place_of(self.graph),
            "recipe": self.recipe.fingerprint if self.recipe else "",
            "language": self.language or "",
            # Not the fleet's snapshot: at other prices a row's answers are the same.
            "fleet": self.fleet_name,
            "models": json.dumps(dict(self.models), sort_keys=True),
            **({"read_as": self.read_as.format or ""} if self.read_as.is_grouped else {}),
            **({} if self.policy is None else {"policy": self.policy.fingerprint}),
        }

    @property
    def work(self) -> dict[str, str]:
        """What a settled batch does with a row, whatever table that comes in."""
        return {name: value for name, value in self.identity.items() if name != TABLE}

    @property
    def columns(self) -> Columns:
        """The columns of a settled batch."""
        return Columns(self.text_columns or (), self.image_column or (), self.id_column or None)

    @property
    def base(self) -> Path:
        """What photo paths are relative to: the table's folder, or the folder that is the table."""
        folder = self.table if self.table.is_dir() else self.table.parent
        return (self.images or folder).resolve()

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that the table's photos may lie in."""
        return (self.base, *(() if self.photo_root is None else (self.photo_root.resolve(),)))

    def named(self) -> Self:
        """With the graph by its name, where another process finds it by that."""
        if isinstance(self.graph, str):
            return self
        return self.model_copy(update={"graph": graph_place(self.graph) or self.graph})

    def function(self) -> Callable[..., Any]:
        """The graph's build function. Raises `InvalidGraph` when it is not found."""
        return load_graph(self.graph) if isinstance(self.graph, str) else self.graph

    def build(self) -> Callable[..., Any]:
        """The build function with the recipe it takes. Raises as `function` does."""
        function = self.function()
        return function if self.recipe is None else functools.partial(function, self.recipe)


class RunSettings(Word):
    """How one run of a batch goes.

    `limit` runs the first rows only (a pilot, which a later run continues). `budget.cost_usd` and
    `budget.tokens` cap the whole batch over all its runs; `latency_ms` is each row's deadline;
    `memory_gib` bounds what is hosted. `probe_delays_s` are the waits before a silent model is
    asked again. `attempts` is how often a row may fail on a model that answers others (default: the
    `attempts` of its endpoint's card, else 3); then it fails by itself. `retry_failed` runs the
    rows that have an error once more: all with True, or those with an error of these types. `tags`
    are noted in the book with what this run spends. With `spread` a batch whose budget may not do
    for all rows is planned first, by a sample. `yes` lets a paid fleet run without a budget.

    `on` runs the rows on a Ray cluster: "ray" starts one on this machine, "auto" or "host:port"
    uses one that this machine belongs to. Photos and fleet must then have the same paths on all
    nodes; `in_flight` counts for each host, and each node has a `cache` of its own at that path.
    With "ray://host:port" the batch is run by the head node: table, photos, fleet and `out` are
    its paths, and there is no progress to see. `cache` and `allow_private` are those of the fleet
    that runs it.
    """

    out: Path
    limit: int | None = None
    budget: Budget = Budget()
    in_flight: int = DEFAULT_IN_FLIGHT
    probe_delays_s: tuple[float, ...] = PROBE_DELAYS_S
    attempts: int | None = Attribute(default=None, ge=1)
    retry_failed: bool | tuple[str, ...] = False
    tags: Mapping[str, str] = Attribute(default_factory=dict)
    spread: bool = False
    yes: bool = False
    on: str | None = None
    cache: Path | None = None
    allow_private: bool = False


def row_key(work: Mapping[str, str], row_id: str, ordinal: int) -> str:
    """The journal's key of a row: what is done with it, its id, and its place in the table."""
    text = json.dumps([dict(sorted(work.items())), row_id, ordinal])
    return hashlib.sha256(text.encode()).hexdigest()
