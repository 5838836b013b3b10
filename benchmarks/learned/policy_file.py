"""Writes a policy to one file of arrays and reads it back; it runs nothing that a file brings.

The file is numpy's .npz without pickled objects: the trees' arrays, and a JSON header as bytes.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.learned.cues import CUES_VERSION, NAMES
from benchmarks.learned.curve import Interval, RoutingScore
from benchmarks.learned.forest import BINS, LEAF, Forest
from benchmarks.learned.held_out import DEPTHS
from benchmarks.learned.policy import Evidence, Form, Policy
from orchestra.core.atomic import atomic_file
from orchestra.core.errors import InvalidPolicy

FORMAT = "orchestra text policy 1"
ARRAYS = ("edges", "roots", "column", "cut", "left", "value")
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError)
CURE = "Fit it again, or take it from where it was saved."


class Header(BaseModel):
    """All of a policy but its arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    cues_version: int
    models: tuple[str, ...] = Field(min_length=1)
    depth: int = Field(ge=0, le=DEPTHS[-1])
    covered: frozenset[Form]
    spread: float = Field(ge=0, allow_inf_nan=False)
    texts: int
    groups: int
    skill: dict[str, tuple[float, float, float]]
    routing: dict[str, tuple[float, float, float]] | None
    left_out: tuple[str, ...]


def save(policy: Policy, path: Path) -> None:
    """Write the policy whole or not at all. Raises OSError where the folder cannot be written."""
    evidence = policy.evidence
    header = Header(
        format=FORMAT,
        cues_version=CUES_VERSION,
        models=policy.models,
        depth=policy.depth,
        covered=policy.covered,
        spread=policy.spread,
        texts=evidence.texts,
        groups=evidence.groups,
        skill={model: _triple(interval) for model, interval in evidence.skill.items()},
        routing=evidence.routing
        and {name: _triple(getattr(evidence.routing, name)) for name in RoutingScore.__slots__},
        left_out=evidence.left_out,
    )
    text = np.frombuffer(header.model_dump_json().encode(), dtype=np.uint8)
    arrays: dict[str, Any] = {name: getattr(policy.forest, name) for name in ARRAYS}
    with atomic_file(path) as file:
        np.savez_compressed(file, header=text, **arrays)


def load(path: Path) -> Policy:
    """Read a policy. Raises `InvalidPolicy` when there is none, or it is broken or of another
    version of orchestra."""
    if not path.is_file():
        raise InvalidPolicy(f"There is no policy at {str(path)!r}. Save one there first.")
    try:
        # Opened here: numpy leaves a file open that turns out to be no zip.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            raw = json.loads(stored["header"].tobytes())
            _check_version(path, raw)
            header = Header.model_validate_json(stored["header"].tobytes())
            forest = Forest(**{name: stored[name] for name in ARRAYS})
            _check_forest(forest, len(header.models))
            return _policy(header, forest)
    except BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidPolicy(f"The policy {str(path)!r} is broken: {reason}. {CURE}") from error


def _check_version(path: Path, raw: Any) -> None:
    found = (raw.get("format"), raw.get("cues_version")) if isinstance(raw, dict) else (raw, None)
    if found != (FORMAT, CUES_VERSION):
        raise InvalidPolicy(
            f"The policy {str(path)!r} is {found[0]!r} with cues {found[1]!r}, and this version "
            f"reads {FORMAT!r} with cues {CUES_VERSION!r}. Fit it again with this version."
        )


def _check_forest(forest: Forest, models: int) -> None:
    """A file that was changed must not send a prediction in circles or out of its arrays."""
    nodes = len(forest.left)
    shapes = {
        "edges": (len(NAMES), BINS - 1),
        "roots": (len(forest.roots),),
        "column": (nodes,),
        "cut": (nodes,),
        "left": (nodes,),
        "value": (nodes, models),
    }
    for name, shape in shapes.items():
        found = getattr(forest, name).shape
        if found != shape:
            raise ValueError(f"{name} has the shape {found!r} where {shape!r} is due")
    inner = forest.left != LEAF
    checks = {
        "roots": _within(forest.roots, 0, nodes) and len(forest.roots) > 0,
        "column": _within(forest.column, 0, len(NAMES)),
        # Children after their parents: no way through the nodes can go in circles.
        "left": bool(np.all(forest.left[inner] > np.flatnonzero(inner)))
        and _within(forest.left[inner], 0, nodes - 1),
        "value": _within(forest.value, 0, 1 + 1e-6),
        "edges": bool(np.isfinite(forest.edges).all()),
    }
    for name, passed in checks.items():
        if not passed:
            raise ValueError(f"{name} holds values that no forest has")


def _within(values: NDArray[Any], low: float, end: float) -> bool:
    return bool(np.all((values >= low) & (values < end)))


def _policy(header: Header, forest: Forest) -> Policy:
    evidence = Evidence(
        texts=header.texts,
        groups=header.groups,
        skill={model: Interval(*values) for model, values in header.skill.items()},
        routing=RoutingScore(**{n: Interval(*value) for n, value in header.routing.items()})
        if header.routing
        else None,
        left_out=header.left_out,
    )
    if set(evidence.skill) != set(header.models):
        raise ValueError(f"it was measured for {sorted(evidence.skill)!r}, not for its models")
    return Policy(header.models, forest, header.depth, header.covered, header.spread, evidence)


def _triple(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
