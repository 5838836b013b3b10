"""A batch's plan as it is saved and printed: kinds of rows, their routes, and what it will come to.

It knows no model and no table; the batch that runs it holds itself to the same identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestra.batch.mismatch import differences
from orchestra.batch.plan.kinds import Kinds
from orchestra.core.atomic import atomic_file
from orchestra.core.errors import InvalidPlan
from orchestra.core.job import Word
from orchestra.core.stats import Estimate
from orchestra.routing.allocate import Group, Way

VERSION = 1


class WayPlan(Word):
    """One route of a kind: rows that take it, and of one row its cost, time and worth.

    `right` is the share of right answers in `tried` rows, None where nothing judged them.
    """

    route: str
    rows: int
    cost_usd: float
    seconds: float
    worth: float
    tried: int = 0
    right: float | None = None


class KindPlan(Word):
    """Rows that are alike. The first way is the fullest; `left` rows are over budget."""

    name: str
    rows: int
    sampled: int
    left: int
    ways: tuple[WayPlan, ...]
    complete: Estimate | None = None
    confidence: float | None = None

    def group(self) -> Group:
        """As it is allocated."""
        ways = tuple(
            Way(way.route, way.cost_usd * 1e6, way.worth, way.seconds) for way in self.ways
        )
        return Group(self.name, self.rows, ways)


class More(Word):
    """What more money or time would buy: worth and rows, or hosts that are not needed."""

    worth: float = 0.0
    quality: float | None = None
    rows: int = 0
    hosts: int = 0

    def __str__(self) -> str:
        told = []
        if self.rows:
            told.append(f"{self.rows} more rows served")
        if self.worth > 0.0005:
            told.append(f"{self.worth:+.1%} of the answers' worth")
        if self.quality is not None and abs(self.quality) > 0.0005:
            told.append(f"{self.quality:+.1%} right")
        if self.hosts:
            told.append(f"{self.hosts} fewer hosts")
        return ", ".join(told) or "nothing more"


class BatchPlan(Word):
    """A plan for one table. Money in dollars, time in seconds on one host like this one.

    `worth` is the mean over all rows, as the routes were chosen by it; `spend` counts the sample.
    An estimate that is None is unknown.
    """

    version: int = VERSION
    table: str
    rows: int
    unusable: int
    identity: Mapping[str, str]
    fleet: str
    snapshot: str
    cost_usd: float | None
    deadline_s: float | None
    hosts_given: int | None
    seed: int
    gold: Mapping[str, str] = {}
    fields: tuple[str, ...] = ()
    edges: Kinds
    kinds: tuple[KindPlan, ...]
    sampled: tuple[int, ...] = ()
    is_full: bool
    full_usd: float
    at_most_usd: float
    reserve_usd: float
    spent_usd: float
    sample_usd: float
    sample_s: float
    spend: Estimate | None
    seconds: Estimate | None
    quality: Estimate | None
    worth: float
    expected_usd: float
    work_s: float
    hosts: int | None
    replicas: Mapping[str, int] = {}
    next_dollar: More | None = None
    next_hour: More | None = None
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Rows that are over budget."""
        return sum(kind.left for kind in self.kinds)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        with atomic_file(path) as file:
            file.write((self.model_dump_json(indent=2) + "\n").encode())

    def check(self, identity: Mapping[str, str]) -> None:
        """Raise `InvalidPlan` unless it is a plan of the batch that `identity` describes."""
        asked = {name: value for name, value in identity.items() if name in self.identity}
        if differing := differences(self.identity, asked, None, None):
            raise InvalidPlan(
                f"The plan was made for another batch: {'; '.join(differing)}. Plan it again with "
                "`orchestra plan`."
            )

    def check_snapshot(self, snapshot: str) -> None:
        """Raise `InvalidPlan` unless its models' prices and figures are those of `snapshot`."""
        if self.snapshot != snapshot:
            raise InvalidPlan(
                f"The plan was made at other prices, latencies or limits of the fleet's models: "
                f"its snapshot is {self.snapshot}, the fleet's {snapshot}. Plan it again with "
                "`orchestra plan`."
            )

    def public(self) -> dict[str, Any]:
        """As printed by `plan --json`, and saved."""
        return self.model_dump(mode="json")

    def __str__(self) -> str:
        from orchestra.batch.plan.quote_text import render  # it reads the words of this module

        return render(self)


def load_plan(path: Path) -> BatchPlan:
    """Read a saved plan. Raises `InvalidPlan` for a file that is missing or is none."""
    try:
        return read_plan(path.read_text(encoding="utf-8"), origin=str(path))
    except (OSError, UnicodeDecodeError) as cause:
        raise InvalidPlan(
            f"The plan {str(path)!r} cannot be read ({cause}). Give the file that "
            "`orchestra plan TABLE --save` wrote."
        ) from cause


def read_plan(text: str, *, origin: str) -> BatchPlan:
    """A plan from its JSON. Raises `InvalidPlan`."""
    try:
        made = BatchPlan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidPlan(
            f"{origin} is not a plan of a batch: {place}: {first['msg']}. Make one with "
            "`orchestra plan TABLE --save plan.json`."
        ) from error
    if made.version != VERSION:
        raise InvalidPlan(
            f"{origin} is a plan of version {made.version!r}; this release reads {VERSION}. "
            "Plan it again with `orchestra plan`."
        )
    return made
