"""Names that a tenant gives: two tenants may give the same one, and neither sees the other's."""

from __future__ import annotations

from orchestra.access.principal import ANYONE, principal

PART = "/"  # no tenant's name holds it
OF_GRAPH = "@"


def own_name(name: str) -> str:
    """A name that who asks gave, as it is kept: beside another tenant's it is another one."""
    return _prefix() + name


def spending_name(account: str, graph: str | None) -> str:
    """The account of a run as it is kept: its tenant's, with the graph that it is a run of."""
    return own_name(account if graph is None else f"{account}{OF_GRAPH}{graph}")


def is_own(kept: str) -> bool:
    """Whether what is kept so belongs to the tenant of who asks."""
    return kept.startswith(_prefix())


def given_name(kept: str) -> str:
    """What is kept so, as its tenant gave it."""
    return kept.removeprefix(_prefix())


def _prefix() -> str:
    tenant = principal().tenant
    return "" if tenant == ANYONE.tenant else f"{tenant}{PART}"
