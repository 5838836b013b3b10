"""Latencies that a user accepted, in a file beside a fleet's, or beside a copy that is theirs.

`shop.latency.yaml` beside `shop.yaml` is read whenever the fleet is, so that the fleet's own file,
with its comments and variables, stays as its owner wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import InvalidFleet
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import yaml_text
from orchestra.core.identity import checkpoint_place
from orchestra.core.job import Word, first_problem
from orchestra.core.latency import Latency, Overhead, WholeJobs

SUFFIX = ".latency.yaml"
HEADER = "# Written by `orchestra refit`: how long calls took. Delete it to go back.\n"


class FittedFile(Word):
    """What `orchestra refit` found: latencies by model, and the fleet that they are for."""

    fleet: str
    fitted: date
    models: dict[str, Latency]
    overhead: Overhead | None = None
    whole_jobs: WholeJobs | None = None


def latency_path(fleet: Path) -> Path:
    """Where the latencies of the fleet at `fleet` stand, if it has any of its own."""
    return fleet.with_name(fleet.stem + SUFFIX)


def with_fitted(raw: Any, fitted: Any, path: Path) -> Any:
    """The fleet `raw`, as read from YAML, with `fitted`, as read from `path`, put into it.

    Raises `InvalidFleet` for a file that is wrong, or names a model that the fleet does not have.
    """
    try:
        found = FittedFile.model_validate(fitted)
    except ValidationError as error:
        raise InvalidFleet(
            f"{path} holds no latencies: {first_problem(error, FittedFile)}. "
            "Write it again with `orchestra refit --accept`, or delete it."
        ) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("models"), list):
        return raw  # no fleet: what is wrong with it is told where it is validated
    names = [card.get("name") for card in raw["models"] if isinstance(card, dict)]
    unknown = sorted(set(found.models) - set(names))
    if unknown:
        raise InvalidFleet(
            f"{path} has a latency of {unknown[0]!r}, which the fleet does not have (it has: "
            f"{', '.join(map(str, names))}). Fit again with `orchestra refit`, or delete the file."
        )
    models = [_with_latency(card, found.models) for card in raw["models"]]
    jobs = found.model_dump(include={"overhead", "whole_jobs"}, exclude_none=True)
    return raw | {"models": models} | jobs


def _with_latency(card: Any, found: Mapping[str, Latency]) -> Any:
    if not isinstance(card, dict) or card.get("name") not in found:
        return card
    return card | {"latency": found[card["name"]].model_dump()}


def write_fitted(path: Path, file: FleetFile) -> None:
    """Write the latencies of `file` to `path`, whole or not at all."""
    models = {
        card.name: card.latency.model_dump(mode="json", exclude_defaults=True)
        for card in file.models
        if card.latency is not None
    }
    raw: dict[str, Any] = {"fleet": file.name, "fitted": date.today(), "models": models}
    for name, part in (("overhead", file.overhead), ("whole_jobs", file.whole_jobs)):
        if part is not None:
            raw[name] = part.model_dump(mode="json", exclude_defaults=True)
    write_text(path, yaml_text(raw, HEADER))


def write_copy(path: Path, file: FleetFile, folder: Path) -> None:
    """Write `file` as a fleet of the user's own; checkpoints stay where they are, in `folder`."""
    parts = file.model_dump(mode="json", exclude_defaults=True, exclude={"models"})
    cards = [moved(card.model_copy(update={"latency": None}), folder) for card in file.models]
    header = f"# The fleet {file.name}, written by `orchestra refit` to hold its own latencies.\n"
    write_text(path, yaml_text(parts | {"models": cards}, header))


def moved(card: Card, folder: Path) -> dict[str, Any]:
    """`card` for a fleet in another folder than `folder`: its checkpoint is named in full."""
    raw = card.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    place = checkpoint_place(card.hosting.checkpoint or "", folder)
    if card.hosting.checkpoint and isinstance(place, Path):
        raw["hosting"]["checkpoint"] = str(place.resolve())
    return raw
