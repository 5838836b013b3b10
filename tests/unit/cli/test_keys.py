"""`orchestra tenants`, `keys` and `usage` on a book that a server may have at the same time."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestra.access.keeping import rotated_message
from orchestra.access.secret import id_of, new_secret, read_key
from orchestra.book.book import Book
from orchestra.book.costs import costs
from orchestra.book.keys.key_messages import Enter
from orchestra.book.messages import BeginCall, CloseAccount, OpenAccount, SettleCall
from orchestra.cli.main import main
from orchestra.core.errors import UsageError


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def called(*arguments: str | Path) -> Any:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    book = tmp_path / "book.sqlite"
    assert call("tenants", "new", book, "acme", "--usd-per-month", "2").exit_code == 0
    return book


def test_a_key_is_shown_once_and_the_book_holds_nothing_of_it(path: Path) -> None:
    done = call("keys", "new", path, "--tenant", "acme", "--name", "shop", "--local")
    key = done.stdout.strip()
    assert read_key(key) == id_of(key)
    shown = called("keys", "show", path, key)
    assert (shown["id"], shown["state"]) == (id_of(key), "valid")
    assert shown["terms"]["scope"]["data"] == "local"
    listed = call("keys", "list", path)
    secret = key.split("_", 2)[2]
    assert id_of(key) in listed.output and secret not in listed.output
    assert secret[:20].encode() not in path.read_bytes()


def test_a_slip_in_a_key_is_told(path: Path) -> None:
    key = new_secret().key
    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), key[:20] + "~" + key[21:], key[:-3]):
        done = call("keys", "show", path, wrong)
        assert done.exit_code == 2 and ("slip" in done.output or "is no key" in done.output)
    for at in range(18, len(key) - 6):  # any one character that is another
        other = "a" if key[at] != "a" else "b"
        with pytest.raises(UsageError):
            read_key(key[:at] + other + key[at + 1 :])


def test_what_is_given_changes_and_the_rest_stays(path: Path) -> None:
    key = called("keys", "new", path, "--tenant", "acme", "--model", "r1", "--usd-per-day", "1")
    called("keys", "set", path, key["id"], "--concurrent", "4", "--usd-per-day", "none")
    terms = called("keys", "show", path, key["id"])["terms"]
    assert terms["scope"]["models"] == ["r1"]
    assert (terms["bounds"]["concurrent"], terms["bounds"]["usd_per_day"]) == (4, None)
    hook = ("--alert-url", "https://acme.example/hook", "--alert-at", "0.9")
    made = called("tenants", "set", path, "acme", *hook)
    assert made["webhook_secret"].startswith("whsec_")
    again = called("tenants", "set", path, "acme", "--cheaper-at", "0.5", "--cheaper-model", "r1")
    assert "webhook_secret" not in again and again["terms"]["alerts"]["secret"] == "set"
    assert again["terms"]["bounds"]["usd_per_month"] == 2
    gone = called("tenants", "set", path, "acme", "--alert-url", "none", "--cheaper-at", "none")
    assert gone["terms"]["alerts"] is gone["terms"]["cheaper"] is None


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("tenants", "new", "BOOK", "acme"), "already"),
        (("tenants", "new", "BOOK", "A/b"), "cannot be called"),
        (("tenants", "new", "BOOK", "anyone"), "cannot be called"),
        (("tenants", "set", "BOOK", "none"), "There is no tenant"),
        (("tenants", "set", "BOOK", "acme", "--usd-per-day", "lots"), "usd_per_day"),
        (("tenants", "set", "BOOK", "acme", "--alert-url", "ftp://x"), "no address of a webhook"),
        (("tenants", "set", "BOOK", "acme", "--alert-at", "2"), "alerts"),
        (("keys", "new", "BOOK", "--tenant", "server"), "There is no tenant 'server'"),
        (("keys", "set", "BOOK", "none"), "There is no key 'none'"),
        (("keys", "revoke", "BOOK", "none"), "There is no key 'none'"),
        (("usage", "BOOK", "--by", "colour"), "Use: "),
        (("usage", "BOOK", "--by", "day,day"), "one twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(
    path: Path, arguments: tuple[str, ...], part: str
) -> None:
    done = call(*(str(path) if word == "BOOK" else word for word in arguments))
    assert done.exit_code == 2 and part in done.output, done.output


def test_usage_by_any_headings_is_what_costs_says(path: Path) -> None:
    keys = [called("keys", "new", path, "--tenant", "acme")["id"] for _ in range(2)]
    with Book.open(path) as book:
        for number, key in enumerate([*keys, *keys, ""]):
            who = book.do(Enter(f"u{number}", key, route="jobs", day_micro=10**6))
            job = f"acme/job:{number:032x}@listing"
            book.do(OpenAccount(job, parent=who.account, label='{"a": "x", "b": "y"}'))
            book.do(BeginCall(f"c{number}", job, f"k{number}", "n", f"m{number % 2}", 50, 9))
            book.do(SettleCall(f"c{number}", 10 + number, 3))
            book.do(CloseAccount(job))
        total = costs(book, "model").total
        assert total.cost_micro == 60
        by_tenant = {line.name: line.cost_micro for line in costs(book, "tenant").lines}
    assert by_tenant == {"acme": 46, "(no tenant)": 14}
    of_folder = path.parent / "out"
    of_folder.mkdir()
    shutil.copy(path, of_folder / "book.sqlite")
    assert called("usage", of_folder) == called("usage", path)
    for by in ("tenant", "tenant,key", "day,model", "graph,month", "key,node,model,day"):
        found = called("usage", path, "--by", by)
        assert sum(round(line["cost_usd"] * 1e6) for line in found["lines"]) == 60
        assert found["total"]["calls"] == sum(line["calls"] for line in found["lines"]) == 5
    tags = called("usage", path, "--by", "tag")
    assert [line["tag"] for line in tags["lines"]] == ["a=x", "b=y"]
    assert tags["total"]["cost_usd"] == 60e-6  # not counted twice
    rows = list(csv.DictReader(io.StringIO(call("usage", path, "--by", "key", "--csv").stdout)))
    assert [row["cost_usd"] for row in rows if row["key"] in keys] == ["0.000022", "0.000024"][
        :: 1 if sorted(keys) == keys else -1
    ]
    assert called("usage", path, "--tenant", "acme")["total"]["calls"] == 4
    assert called("usage", path, "--since", "2999-01-01")["total"]["calls"] == 0
    assert called("usage", path, "--until", "2000-01-01")["total"]["calls"] == 0


@pytest.mark.parametrize("days", ["nan", "inf", "1e300", "36501", "0"])
def test_a_key_is_valid_for_days_that_there_are(path: Path, days: str) -> None:
    done = call("keys", "new", path, "--tenant", "acme", "--days", days)
    assert done.exit_code == 2 and not isinstance(done.exception, ArithmeticError | ValueError)
    assert called("keys", "list", path) == []


def test_a_secret_stays_valid_beside_another_for_90_days_at_most() -> None:
    for hours in (float("nan"), -1.0, 24 * 90 + 1.0):
        with pytest.raises(UsageError, match="Give 0 to 2160"):
            rotated_message("3f9c01d2a4b7", hours * 3600)
