"""Keys and tenants as an operator makes and sees them, on the command line and over HTTP alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestra.access.secret import new_secret
from orchestra.access.webhooks import check_webhook, new_webhook_secret
from orchestra.book.keys.key_messages import KeyEntry, Left, RotateKey, SaveKey, TenantEntry
from orchestra.book.keys.terms import KeyTerms, TenantTerms
from orchestra.core.errors import UsageError
from orchestra.core.job import first_problem

Terms = TypeVar("Terms", bound=BaseModel)
MOST_DAYS = 36_500  # of a key
MOST_OVERLAP_S = 90 * 86_400.0  # of the secret before beside the new one


def new_key_message(
    tenant: str, terms: KeyTerms, *, days: float | None = None
) -> tuple[str, SaveKey]:
    """A new key, which is shown once, and what the ledger is told of it.

    Raises `UsageError` for `days` that are none, or too many.
    """
    made = new_secret()
    expires = None
    if days is not None:
        if not 0 < days <= MOST_DAYS:
            raise UsageError(
                f"A key cannot be valid for {days:g} days. Give more than 0 and at most "
                f"{MOST_DAYS:,}, or nothing: then it is valid until it is revoked."
            )
        expires = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
    return made.key, SaveKey(made.id, made.digest, tenant, terms, expires)


def rotated_message(id: str, overlap_s: float) -> tuple[str, RotateKey]:
    """Another secret of a key, which is shown once, and what the ledger is told of it.

    Raises `UsageError` for an overlap of another length than 0 to 90 days.
    """
    if not 0 <= overlap_s <= MOST_OVERLAP_S:
        raise UsageError(
            f"The secret before cannot stay valid for {overlap_s / 3600:g} hours. Give 0 to "
            f"{MOST_OVERLAP_S / 3600:g}."
        )
    made = new_secret(id)
    return made.key, RotateKey(id, made.digest, overlap_s)


def changed(kind: type[Terms], before: Terms, changes: Mapping[str, Any]) -> Terms:
    """The terms with `changes` laid over them, part by part; None takes a part away.

    Raises `UsageError` for what there is not, or a value that it does not take.
    """
    laid = _laid(before.model_dump(mode="json", exclude_defaults=True), changes)
    try:
        return kind.model_validate(laid)
    except ValidationError as error:
        raise UsageError(f"These terms are wrong: {first_problem(error, kind)}.") from error


def with_webhook_secret(terms: TenantTerms) -> tuple[TenantTerms, str | None]:
    """Terms whose alerts are signed, and the secret where it was made now, to be shown once.

    Raises `UsageError` for an address or a secret that no webhook can be sent with.
    """
    alerts, made = terms.alerts, None
    if alerts is None:
        return terms, None
    if not alerts.secret:
        made = new_webhook_secret()
        alerts = alerts.model_copy(update={"secret": made})
    check_webhook(alerts.url, alerts.secret)
    return terms.model_copy(update={"alerts": alerts}), made


def key_public(entry: KeyEntry, left: Iterable[Left] = ()) -> dict[str, Any]:
    """A key as it is shown."""
    now = datetime.now(UTC).isoformat()
    is_over = entry.expires is not None and entry.expires <= now
    state = "revoked" if entry.revoked else "expired" if is_over else "valid"
    return {
        "id": entry.id,
        "tenant": entry.tenant,
        "state": state,
        "made": entry.made,
        "expires": entry.expires,
        "revoked": entry.revoked,
        "old_secret_until": entry.old_until,
        "terms": entry.terms.model_dump(mode="json"),
        "budgets": [one.public() for one in left if (one.kind, one.name) == ("key", entry.id)],
    }


def tenant_public(entry: TenantEntry, left: Iterable[Left] = ()) -> dict[str, Any]:
    """A tenant as it is shown: without the secret that signs its webhooks."""
    terms = entry.terms.model_dump(mode="json")
    if entry.terms.alerts is not None:
        terms["alerts"]["secret"] = "set"
    budgets = [one.public() for one in left if one.kind != "key" and one.name == entry.name]
    return {"name": entry.name, "made": entry.made, "terms": terms, "budgets": budgets}


def _laid(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(before)
    for name, value in changes.items():
        known = laid.get(name)
        if value is None:
            laid.pop(name, None)
        elif isinstance(value, Mapping):
            laid[name] = _laid(known if isinstance(known, Mapping) else {}, value)
        else:
            laid[name] = value
    return laid
