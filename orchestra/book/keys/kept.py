"""Tenants, keys and where their budgets' days began, kept in a book; it knows no request.

They belong to no epoch: another process may change them while a server has the book. What was read
is remembered until anybody else has written, which each transaction asks first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestra.book.accounts import Accounts
from orchestra.book.keys.gate import NO_DIGEST, KeyedEntrance, Mark, StoredKey
from orchestra.book.keys.key_messages import (
    KeyEntry,
    ListKeys,
    ListTenants,
    RevokeKey,
    RotateKey,
    SaveKey,
    SaveTenant,
    SetKey,
    TenantEntry,
)
from orchestra.book.keys.terms import SERVER, KeyTerms, TenantTerms, check_tenant
from orchestra.book.reservation import Standing
from orchestra.core.errors import UsageError

Terms = TypeVar("Terms", bound=BaseModel)
T = TypeVar("T")
MOST_READ = 4096
_KEY = """SELECT id, tenant, made, terms, expires, revoked, old_until, digest, old_digest
    FROM keys"""


class Keys(Accounts, KeyedEntrance):
    """The tenants and keys of a book."""

    _keys_read: dict[str, StoredKey | None]
    _tenants_read: dict[str, TenantTerms | None]
    _marks_read: dict[str, Mark | None]
    _numbers_read: dict[str, int]

    def _forget(self) -> None:
        super()._forget()
        self._forget_terms()
        self._marks_read, self._numbers_read = {}, {}

    def _forget_terms(self) -> None:
        self._keys_read, self._tenants_read = {}, {}

    def _save_tenant(self, saved: SaveTenant) -> TenantEntry:
        name, terms = check_tenant(saved.name), saved.terms.model_dump_json(exclude_defaults=True)
        known = self._read_one("SELECT made FROM tenants WHERE name = ?", (name,))
        if saved.is_new and known is not None:
            raise UsageError(
                f"There is a tenant {name!r} already. Change it with: orchestra tenants set"
            )
        if not saved.is_new and known is None and name != SERVER:
            raise self._no_tenant(name)
        made = self.now().isoformat(timespec="seconds") if known is None else known[0]
        self._write(
            "INSERT INTO tenants (name, made, terms) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET terms = excluded.terms",
            (name, made, terms),
        )
        self._forget_terms()
        return TenantEntry(name, made, saved.terms)

    def _list_tenants(self, asked: ListTenants) -> list[TenantEntry]:
        which, names = ("", ()) if asked.name is None else (" WHERE name = ?", (asked.name,))
        rows = self._read(f"SELECT name, made, terms FROM tenants{which} ORDER BY name", names)
        return [TenantEntry(name, made, _read_as(TenantTerms, terms)) for name, made, terms in rows]

    def _save_key(self, saved: SaveKey) -> KeyEntry:
        if saved.tenant == SERVER or self._tenant_terms(saved.tenant) is None:
            raise self._no_tenant(saved.tenant)
        made = self.now().isoformat(timespec="seconds")
        self._write(
            "INSERT INTO keys (id, tenant, made, terms, expires, digest, old_digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                saved.id,
                saved.tenant,
                made,
                saved.terms.model_dump_json(exclude_defaults=True),
                saved.expires,
                saved.digest,
                NO_DIGEST,
            ),
        )
        self._forget_terms()
        return KeyEntry(saved.id, saved.tenant, made, saved.terms, saved.expires)

    def _rotate_key(self, asked: RotateKey) -> KeyEntry:
        stored = self._key_called(asked.id)
        if stored.entry.revoked is not None:
            raise UsageError(
                f"The key {asked.id!r} was revoked on {stored.entry.revoked}, and stays so. Make "
                "another one with: orchestra keys new"
            )
        if stored.digest != asked.digest:  # else the message came twice
            until = (self.now() + timedelta(seconds=asked.overlap_s)).isoformat()
            self._write(
                "UPDATE keys SET digest = ?, old_digest = ?, old_until = ? WHERE id = ?",
                (asked.digest, stored.digest, until, asked.id),
            )
            self._forget_terms()
        return self._key_called(asked.id).entry

    def _set_key(self, asked: SetKey) -> KeyEntry:
        self._key_called(asked.id)
        terms = asked.terms.model_dump_json(exclude_defaults=True)
        self._write("UPDATE keys SET terms = ? WHERE id = ?", (terms, asked.id))
        self._forget_terms()
        return self._key_called(asked.id).entry

    def _revoke_key(self, asked: RevokeKey) -> KeyEntry:
        self._key_called(asked.id)
        self._write(
            "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?",
            (self.now().isoformat(timespec="seconds"), asked.id),
        )
        self._forget_terms()
        return self._key_called(asked.id).entry

    def _list_keys(self, asked: ListKeys) -> list[KeyEntry]:
        column = "tenant" if asked.id is None else "id"
        value = asked.tenant if asked.id is None else asked.id
        which, names = ("", ()) if value is None else (f" WHERE {column} = ?", (value,))
        rows = self._read(f"{_KEY}{which} ORDER BY tenant, made, id", names)
        return [_stored(row).entry for row in rows]

    def _key_called(self, id: str) -> StoredKey:
        stored = self._stored_key(id)
        if stored is None:
            raise UsageError(
                f"There is no key {id!r}. Give the part between 'orc_' and the next '_' of a key; "
                "see them with: orchestra keys list"
            )
        return stored

    def _no_tenant(self, name: str) -> UsageError:
        names = [entry.name for entry in self._list_tenants(ListTenants())]
        have = ", ".join(name for name in names if name != SERVER) or "none"
        return UsageError(
            f"There is no tenant {name!r} that has keys (there are: {have}). Make it with: "
            "orchestra tenants new"
        )

    def _stored_key(self, id: str) -> StoredKey | None:
        if id not in self._keys_read:
            row = self._read_one(f"{_KEY} WHERE id = ?", (id,))
            _bound(self._keys_read)[id] = None if row is None else _stored(row)
        return self._keys_read[id]

    def _tenant_terms(self, name: str) -> TenantTerms | None:
        if name not in self._tenants_read:
            row = self._read_one("SELECT terms FROM tenants WHERE name = ?", (name,))
            terms = None if row is None else _read_as(TenantTerms, row[0])
            _bound(self._tenants_read)[name] = terms
        return self._tenants_read[name]

    def _standing_of(self, account: str) -> Standing | None:
        number = self._numbers_read.get(account)
        if number is None:
            row = self._read_one("SELECT number FROM accounts WHERE id = ?", (account,))
            if row is None:
                return None
            number = _bound(self._numbers_read)[account] = int(row[0])
        return self._standings((number,))[0]

    def _put_limit(self, account: str, micro: int | None) -> None:
        number = self._chain(account)[0]
        self._write("UPDATE accounts SET limit_micro = ? WHERE number = ?", (micro, number))
        self._standings((number,))[0].limit_micro = micro

    def _mark(self, account: str) -> Mark | None:
        if account not in self._marks_read:
            row = self._read_one(
                "SELECT day, base_micro FROM budget_days WHERE account = ?", (account,)
            )
            _bound(self._marks_read)[account] = None if row is None else Mark(*row)
        return self._marks_read[account]

    def _put_mark(self, account: str, mark: Mark) -> None:
        self._marks_read.pop(account, None)
        self._write(
            "INSERT INTO budget_days (account, month, day, base_micro) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (account) DO UPDATE SET day = excluded.day,"
            " base_micro = excluded.base_micro",
            (account, account.rpartition("@")[2], mark.day, mark.base_micro),
        )

    def _budgets(self, month: str) -> list[str]:
        rows = self._read("SELECT account FROM budget_days WHERE month = ?", (month,))
        return [account for (account,) in rows]


def _bound(read: dict[str, T]) -> dict[str, T]:
    """`read`, emptied where too much is in it: strangers send ids that there are not."""
    if len(read) >= MOST_READ:
        read.clear()
    return read


def _stored(row: tuple[Any, ...]) -> StoredKey:
    id, tenant, made, terms, expires, revoked, old_until, digest, old_digest = row
    entry = KeyEntry(id, tenant, made, _read_as(KeyTerms, terms), expires, revoked, old_until)
    return StoredKey(entry, bytes(digest), bytes(old_digest))


@lru_cache(maxsize=1024)
def _read_as(kind: type[Terms], text: str) -> Terms:
    """The terms that a text holds; read once for each text."""
    return kind.model_validate_json(text)


KEY_DEEDS: dict[type, Callable[[Any, Any], Any]] = {
    SaveTenant: Keys._save_tenant,
    ListTenants: Keys._list_tenants,
    SaveKey: Keys._save_key,
    RotateKey: Keys._rotate_key,
    SetKey: Keys._set_key,
    RevokeKey: Keys._revoke_key,
    ListKeys: Keys._list_keys,
}
