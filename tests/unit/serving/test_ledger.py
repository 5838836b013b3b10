"""The way from an ingress to the ledger's actor, without Ray: what is lost on it is sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from ray.exceptions import ActorUnavailableError

from orchestra.book.filing.filing import folder_of
from orchestra.book.postgres import is_postgres, public_name
from orchestra.book.shared.words import Answered, Bundle
from orchestra.cli.main import main
from orchestra.core.errors import BookUnavailable
from orchestra.serving import ledger
from orchestra.serving.args import read_args
from orchestra.serving.ledger import ActorReach

SAID = Answered("1")


class Link:
    """An actor that is away for some calls."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.heard: list[str] = []

    async def call(self, method: str, *arguments: Any) -> Any:
        self.heard.append(method)
        if self.away:
            self.away -= 1
            raise ActorUnavailableError("it is started again", b"0" * 16)
        return SAID


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "TRY_AGAIN_S", 0.0)


def reach(link: Link, found: list[int]) -> ActorReach:
    def find() -> Any:
        found.append(1)
        return link

    return ActorReach(find)


def test_a_book_in_postgres_is_named_without_its_password_and_kept_as_it_is_given(
    tmp_path: Path,
) -> None:
    address = "postgresql://shop:s3cr@t@db.lan:5432/books?sslmode=require"
    assert public_name(address) == "postgres://db.lan:5432/books"
    assert is_postgres(address) and not is_postgres("/var/book.sqlite")
    to = tmp_path / "serve.yaml"
    told = CliRunner().invoke(main, ["serve", "--book", address, "--write-config", str(to)])
    assert told.exit_code == 0, told.output
    (app,) = yaml.safe_load(to.read_text(encoding="utf-8"))["applications"]
    assert app["args"]["book"] == address


def test_what_is_filed_lies_beside_a_file_and_on_this_machine_beside_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    address = "postgresql://shop:s3cr@t@db.lan:5432/books?sslmode=require"
    kept = tmp_path / "orchestra" / "db.lan_5432_books.files"  # nothing of who asks
    assert (folder_of(address), read_args({"book": address}).book_file) == (kept, None)
    assert folder_of("/var/book.sqlite") == Path("/var/book.sqlite.files")
    assert read_args({"book": "/var/book.sqlite"}).book_file == Path("/var/book.sqlite")


async def test_a_bundle_that_was_lost_is_sent_again_to_the_actor_of_that_name() -> None:
    link, found = Link(away=2), list[int]()
    assert await reach(link, found).apply(Bundle("me", "")) is SAID
    assert link.heard == ["apply"] * 3 and len(found) == 3  # it may be another one by now


async def test_who_comes_when_it_has_been_silent_for_long_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE_S", -1.0)
    link = Link(away=2)
    way = reach(link, [])
    for _ in range(2):
        with pytest.raises(BookUnavailable, match="started again by itself"):
            await way.apply(Bundle("me", ""))
    assert len(link.heard) == 2  # one try each
    assert await way.apply(Bundle("me", "")) is SAID
