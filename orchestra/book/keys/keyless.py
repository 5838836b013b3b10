"""The gate of a ledger without a book: nobody has a key, and the server alone has a budget."""

from __future__ import annotations

from orchestra.book.keys.gate import KeyedEntrance, Mark, StoredKey
from orchestra.book.keys.terms import TenantTerms


class KeylessEntrance(KeyedEntrance):
    """Keeps where the days of budgets began; accounts are kept by who inherits it."""

    _marks: dict[str, Mark]

    def _stored_key(self, id: str) -> StoredKey | None:
        return None

    def _tenant_terms(self, name: str) -> TenantTerms | None:
        return None

    def _mark(self, account: str) -> Mark | None:
        return self._marks.get(account)

    def _put_mark(self, account: str, mark: Mark) -> None:
        self._marks[account] = mark

    def _budgets(self, month: str) -> list[str]:
        return [account for account in self._marks if account.endswith(f"@{month}")]
