"""What who asks may use: models, graphs, and what a job may cost."""

from __future__ import annotations

from collections.abc import Iterable

from orchestra.access.principal import principal
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NotAllowed
from orchestra.core.job import Budget
from orchestra.core.money import usd

MOST_FLEETS = 256
Narrowing = tuple[tuple[str, ...] | None, bool, bool]  # models, only near ones, only priced ones
_NARROWED: dict[tuple[int, Narrowing], tuple[FleetFile, FleetFile]] = {}


def narrowing() -> Narrowing:
    """What tells the fleets of two who ask apart."""
    who = principal()
    return who.scope.models, who.scope.data == "local", who.is_bounded


def allowed_fleet(file: FleetFile) -> FleetFile:
    """The fleet with those of its cards alone that who asks may use.

    The same one each time, so that plans can be kept by it. Raises `NotAllowed` where it is none.
    """
    narrow = narrowing()
    if narrow == (None, False, False):
        return file
    known = _NARROWED.get((id(file), narrow))
    if known is not None and known[0] is file:
        return known[1]
    cards = tuple(card for card in file.models if _is_allowed(card))
    if len(cards) == len(file.models):
        return file
    if not cards:
        raise NotAllowed(
            f"The key {principal().key!r} may use {_models(file)}, and the fleet {file.name!r} has "
            "none of them. Have its scope widened with: orchestra keys set"
        )
    found = FleetFile.model_construct(**{**dict(file), "models": cards})
    if len(_NARROWED) >= MOST_FLEETS:
        _NARROWED.clear()
    _NARROWED[id(file), narrow] = (file, found)
    return found


def check_model(file: FleetFile, name: str) -> None:
    """Raise `NotAllowed` for a model that who asks may not use."""
    card = next((card for card in file.models if card.name == name), None)
    if card is not None and not _is_allowed(card):
        raise NotAllowed(
            f"The key {principal().key!r} may not use the model {name!r}; it may use "
            f"{_models(file)}. Ask one of those, or 'auto'."
        )


def check_graph(name: str) -> None:
    """Raise `NotAllowed` for a graph that who asks may not use."""
    graphs = principal().scope.graphs
    if graphs is not None and name not in graphs:
        raise NotAllowed(
            f"The key {principal().key!r} may not use the graph {name!r}; it may use: "
            f"{', '.join(graphs) or 'none'}. Name one of those."
        )


def allowed_names(names: Iterable[str], *, graphs: bool) -> list[str]:
    """Those of `names`, of graphs or models, that who asks may use."""
    scope = principal().scope
    most = scope.graphs if graphs else scope.models
    return [name for name in names if most is None or name in most]


def within(budget: Budget) -> Budget:
    """`budget`, no more than what a job of who asks may cost."""
    most = principal().job_cost_micro
    if most is None or (budget.cost_usd is not None and budget.cost_usd <= usd(most)):
        return budget
    return budget.model_copy(update={"cost_usd": usd(most)})


def _is_allowed(card: Card) -> bool:
    models, is_near, is_priced = narrowing()
    if (is_near and card.data_goes_to != "local") or (is_priced and card.price.unknown):
        return False
    return models is None or card.name in models


def _models(file: FleetFile) -> str:
    scope = principal().scope
    names = scope.models
    if names is None:
        names = tuple(card.name for card in file.models if _is_allowed(card))
    near = " that keep data here" if scope.data == "local" else ""
    priced = " of a known price" if principal().is_bounded else ""
    return f"the models{near}{priced}: {', '.join(names) or 'none'}"
