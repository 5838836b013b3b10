"""The second version of an application, a canary: what it has of its own, what both share."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path

from orchestra.core.card import Card, FleetFile
from orchestra.core.identity import fingerprints
from orchestra.fleet.opened import Build
from orchestra.fleet.source import load_fleet
from orchestra.serving.args import AppArgs

SUFFIX = "-canary"  # of a deployment's name


def second_args(args: AppArgs) -> AppArgs | None:
    """The arguments of the second version; None where there is none.

    A policy is of one fleet: that of the stable version holds for the same fleet only.
    """
    if not args.canary_percent:
        return None
    is_same = args.canary_fleet in ("", args.fleet)
    changes = {
        "fleet": args.canary_fleet or args.fleet,
        "policy": args.canary_policy or (args.policy if is_same else ""),
    }
    return args.model_copy(update=changes)


def own_cards(args: AppArgs, stable: FleetFile) -> tuple[Card, ...]:
    """The second version's models that are hosted for it alone, each under its deployment's name.

    A model that both versions have, by its fingerprint, is hosted once.
    """
    second = second_args(args)
    if second is None:
        return ()
    shared = fingerprints(stable, load_fleet(args.fleet)[1])
    file, folder = load_fleet(second.fleet)
    own = fingerprints(file, folder)
    return tuple(
        card.model_copy(update={"name": f"{card.name}{SUFFIX}"})
        for card in file.models
        if card.hosting.worker is not None and own[card.name] != shared.get(card.name)
    )


def with_second(args: AppArgs, stable: FleetFile) -> FleetFile:
    """The fleet `stable` and what the second version hosts beside it, as the cluster has room."""
    return stable.model_copy(update={"models": (*stable.models, *own_cards(args, stable))})


def second_graphs(args: AppArgs, graphs: Mapping[str, Build | str]) -> dict[str, Build | str]:
    """The second version's graphs: the application's own first one is replaced, under its name."""
    if not args.canary_graph:
        return dict(graphs)
    return {**graphs, next(iter(graphs)): args.canary_graph}


def trial_name(args: AppArgs, builds: Mapping[str, Build]) -> str:
    """What tells a trial from others: both versions by their content, and the share.

    So a version that lost its share is on trial anew once it was mended, or given another share.
    """
    told: list[object] = [args.canary_percent]
    for version in (args, second_args(args) or args):
        file, folder = load_fleet(version.fleet)
        told += [file.model_dump(mode="json"), dict(fingerprints(file, folder))]
        told.append(Path(version.policy).read_text(encoding="utf-8") if version.policy else "")
    for name, build in builds.items():
        told += [name, getattr(build, "__qualname__", ""), _source(build)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def _source(build: Build) -> str:
    """The text of the file that a graph stands in; empty where it stands in none."""
    try:
        return Path(inspect.getfile(build)).read_text(encoding="utf-8")
    except (TypeError, OSError):
        return ""
