"""Files and batches over HTTP: each line once, whatever happens to the service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from graphs.answer import build
from orchestra.access.principal import Principal, principal
from orchestra.access.secret import id_of
from orchestra.book.book import Book
from orchestra.book.keys.key_messages import RevokeKey, Stay
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.core.call import Call
from orchestra.core.errors import BookUnavailable, ModelUnavailable, OrchestraError
from orchestra.serving.admission.guard import turnstile_of
from orchestra.serving.batches import lines, work
from orchestra.serving.batches.entry import LineEntrance
from orchestra.serving.files import shelf
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.responses.responder import Responder
from orchestra.serving.service import Service
from orchestra.serving.ticker import Ticker
from tests.batch_service import CHAT, Served, ask, jsonl, number_of, said, served
from tests.keyed import KEYS, bearer, keyed_fleet, made, tenant


@pytest.fixture
async def here() -> AsyncIterator[Served]:
    async with served() as one:
        yield one


async def test_a_batch_answers_each_line_and_tells_bad_ones_apart(here: Served) -> None:
    content = jsonl(
        ask(0), b"no json", ask(2) | {"custom_id": "row-0"}, ask(3, n=2), ask(4, model="none"),
        ask(5, stream=True), ask(6) | {"url": "/v1/jobs"}, ask(7), b'["list"]',
        b'{"custom_id": "half", "body": "\\ud800"}', b"", ask(9, max_tokens=9),
    )  # fmt: skip
    begun = await here.begin(content)
    assert begun["object"] == "batch" and begun["endpoint"] == CHAT
    done = await here.until(begun["id"], "completed")
    assert done["request_counts"] == {"total": 11, "completed": 3, "failed": 8}
    assert done["usage"]["total_tokens"] > 0 and done["completed_at"] >= done["in_progress_at"]
    good = await here.rows(done["output_file_id"])
    assert [row["custom_id"] for row in good] == ["row-0", "row-7", "row-9"]
    first = good[0]["response"]
    assert first["status_code"] == 200 and good[0]["error"] is None
    assert first["body"]["choices"][0]["message"]["content"] == "It is thing 0"
    wrong = await here.rows(done["error_file_id"])
    told = [(row["custom_id"], row["response"]["status_code"]) for row in wrong]
    assert told == [
        (None, 400), ("row-0", 400), ("row-3", 400), ("row-4", 404), ("row-5", 400),
        ("row-6", 400), (None, 400), (None, 400),
    ]  # fmt: skip
    messages = [row["response"]["body"]["error"]["message"] for row in wrong]
    for part, message in zip(
        ("Line 2: ", "given before", "n: ", "Use one of", "nobody listens", "Split it",
         "one JSON object a line", "half of"),
        messages,
        strict=True,
    ):  # fmt: skip
        assert part in message


async def test_jobs_and_vectors_have_batches_too(here: Served) -> None:
    job = {"custom_id": "a", "method": "POST", "url": "/v1/jobs", "body": {"text": "red apple"}}
    begun = await here.begin(jsonl(job), "/v1/jobs")
    done = await here.until(begun["id"], "completed")
    (row,) = await here.rows(done["output_file_id"])
    assert row["response"]["body"]["status"] in ("complete", "partial", "review")
    token = {"custom_id": "a", "url": "/v1/embeddings", "body": {"input": [[1]]}}
    begun = await here.begin(jsonl(token), "/v1/embeddings")
    done = await here.until(begun["id"], "completed")
    (row,) = await here.rows(done["error_file_id"])
    assert "token ids are not read" in row["response"]["body"]["error"]["message"]


async def test_a_batch_is_its_tenants_and_is_paid_by_its_key_until_that_is_revoked(
    tmp_path: Path,
) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    book = fleet.book
    assert book is not None
    tenant(book, "shop")
    tenant(book, "other")
    key, other = made(book, "shop"), made(book, "other")
    inside: list[Principal] = []

    class Spied(Service):
        async def chat(self, request: Any, on_piece: Any = None) -> Any:
            inside.append(principal())
            answer = await super().chat(request, on_piece)
            with book.transaction():
                book.do(RevokeKey(id_of(key)))
            return answer

    one = Served(None)
    app = make_app(
        Spied(fleet, {"answer": build}), HttpSettings(filing=one.filing, access=KEYS, max_ongoing=1)
    )
    one.http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://o", headers=bearer(key)
    )
    begun = await one.begin(jsonl(*map(ask, range(3))))
    async with app.router.lifespan_context(app):
        await over(one, begun["id"])
    (done,) = inside
    assert (done.tenant, done.key, done.lane) == ("shop", id_of(key), "batch")
    assert done.account is not None and book.spent(done.account).cost_micro > 0
    found = one.filing.batch(begun["id"])
    assert found is not None
    failed = [json.loads(line) for line in one.filing.outcomes(found.id, is_failed=True)]
    assert [row["response"]["status_code"] for row in failed] == [401, 401]
    one.http.headers.update(bearer(other))
    for path in (f"batches/{found.id}", f"files/{found.input_file}", f"files/{found.output_file}"):
        assert (await one.http.get(f"/v1/{path}")).status_code == 404
    for path in ("batches", "files"):
        assert (await one.http.get(f"/v1/{path}")).json()["data"] == []
    await fleet.close()
    await one.fleet.close()


async def over(one: Served, id: str) -> None:
    async with asyncio.timeout(60):
        while (found := one.filing.batch(id)) is None or not found.is_over:
            await asyncio.sleep(0.02)


async def test_a_line_waits_for_a_model_that_does_not_answer() -> None:
    tries = 0

    def later(call: Call) -> str | OrchestraError:
        nonlocal tries
        tries += 1
        return ModelUnavailable("It rests. Ask later.") if tries < 3 else "at last"

    one = Served(None, later)
    service = Service(one.fleet, {"answer": build})
    endpoints = lines.endpoints(service, Responder(service, shelf.Shelf(one.filing)))
    entrance = LineEntrance(one.fleet.ledger, Access(), turnstile_of(4, 4))
    done_by = work.BatchWork(one.filing, endpoints, entrance, first_delay_s=0.01)
    begun = await one.take(jsonl(ask(0)))
    done_by.begin()
    done = await one.until(begun, "completed")
    (row,) = await one.rows(done["output_file_id"])
    assert row["response"]["body"]["choices"][0]["message"]["content"] == "at last"
    assert tries == 3
    await done_by.end()
    await one.fleet.close()


async def test_what_was_done_when_the_service_was_killed_is_not_done_again(tmp_path: Path) -> None:
    count, stuck_from = 24, 10
    taken = Served(tmp_path)
    id = await taken.take(jsonl(*map(ask, range(count))))
    await taken.fleet.close()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.batch_service", str(tmp_path), str(stuck_from)]
    )
    try:
        async with asyncio.timeout(120):
            while not (before := taken.filing.lines_done(id)):
                assert child.poll() is None
                await asyncio.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    before = taken.filing.lines_done(id)
    assert 0 < len(before) <= stuck_from
    async with served(tmp_path) as second:
        done = await second.until(id, "completed")
        rows = await second.rows(done["output_file_id"])
        assert [row["custom_id"] for row in rows] == [f"row-{n}" for n in range(count)]
        assert done["request_counts"] == {"total": count, "completed": count, "failed": 0}
        again = [number_of(call) for call in second.engine.calls]
        assert len(again) == len(set(again)) and set(again) <= set(range(count)) - before
        # Each line is paid once; of one that was paid as the kill came, the reply was reused.
        told = sum(row["response"]["body"]["orchestra"]["cost_usd"] for row in rows)
        assert second.fleet.book is not None
        (settled,) = second.fleet.book._read(
            "SELECT sum(cost_micro), count(*), count(DISTINCT key) FROM entries"
            " WHERE state = 'settled'"
        )
        assert settled[1:] == (count, count) and told <= settled[0] / 1e6 + 1e-9
    taken.filing.close()


async def test_a_cancelled_batch_keeps_what_was_answered(tmp_path: Path) -> None:
    hold = threading.Event()

    def slow(call: Call) -> Any:
        if number_of(call) >= 8:
            hold.wait(30)
        return said(call)

    async with served(tmp_path, slow) as one:
        begun = await one.begin(jsonl(*map(ask, range(40))))
        async with asyncio.timeout(60):
            while not one.filing.lines_done(begun["id"]):
                await asyncio.sleep(0.02)
        in_use = await one.http.delete(f"/v1/files/{begun['input_file_id']}")
        assert (in_use.status_code, in_use.json()["error"]["code"]) == (409, "FileInUse")
        told = (await one.http.post(f"/v1/batches/{begun['id']}/cancel")).json()
        assert told["status"] == "cancelling"
        hold.set()
        done = await one.until(begun["id"], "cancelled")
        good, rest = await one.rows(done["output_file_id"]), await one.rows(done["error_file_id"])
        assert good and len(good) + len(rest) == 40
        assert {row["error"]["code"] for row in rest} == {"batch_cancelled"}
        again = await one.http.post(f"/v1/batches/{begun['id']}/cancel")
        assert again.status_code == 400 and "cancelled already" in again.text
        gone = await one.http.delete(f"/v1/files/{begun['input_file_id']}")
        assert gone.json() == {
            "id": begun["input_file_id"], "object": "file", "deleted": True
        }  # fmt: skip


async def test_a_batch_that_is_cancelled_before_it_began_runs_no_line() -> None:
    one = Served(None)
    id = await one.take(jsonl(ask(0), ask(1)))
    one.filing.move_batch(id, "cancelling", 1)
    async with one.app.router.lifespan_context(one.app):
        done = await one.until(id, "cancelled")
    assert done["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert one.engine.calls == [] and done["in_progress_at"] is None
    await one.fleet.close()


@pytest.mark.parametrize("reached", ["validating", "in_progress", "cancelling"])
async def test_a_batch_whose_file_is_gone_fails(reached: Any) -> None:
    one = Served(None)
    id = await one.take(jsonl(ask(0)))
    found = one.filing.batch(id)
    assert found is not None
    if reached != "validating":
        one.filing.move_batch(id, reached, 1, total=1)
    one.filing.path_of(found.input_file).unlink()
    async with one.app.router.lifespan_context(one.app):
        (problem,) = (await one.until(id, "failed"))["errors"]["data"]
    assert problem["code"] == "file_not_found" and found.input_file in problem["message"]
    await one.fleet.close()


class AwayLater(LocalLedger):
    """Hears nothing more once it is away."""

    is_away = False

    async def send(self, message: Any) -> Any:
        if self.is_away:
            raise BookUnavailable("The ledger does not answer.")
        return await super().send(message)


async def test_a_ledger_that_is_gone_as_a_line_leaves_costs_it_no_outcome(
    tmp_path: Path,
) -> None:
    with Book.open(tmp_path / "book.sqlite") as book:
        tenant(book, "acme")
        key, ledger = id_of(made(book, "acme")), AwayLater(book)
        entrance = LineEntrance(ledger, KEYS, turnstile_of(4, 4))
        async with entrance(Principal("acme", key), CHAT):
            ledger.is_away = True  # else this raises, and the line is run again


async def test_a_batch_ends_with_its_window() -> None:
    one = Served(None)
    id = await one.take(jsonl(ask(0), ask(1)))
    one.filing.move_batch(id, "in_progress", 0, total=2)
    with one.filing.transaction():
        one.filing._write("UPDATE batches SET expires = 1 WHERE id = ?", (id,))
    async with one.app.router.lifespan_context(one.app):
        done = await one.until(id, "expired")
    assert done["output_file_id"] is None and done["expired_at"]
    rows = await one.rows(done["error_file_id"])
    told = [(row["custom_id"], row["error"]["code"]) for row in rows]
    assert told == [("row-0", "batch_expired"), ("row-1", "batch_expired")]
    assert one.engine.calls == []
    await one.fleet.close()


async def test_a_file_without_lines_fails_its_batch(here: Served) -> None:
    begun = await here.begin(b"\n\n")
    failed = await here.until(begun["id"], "failed")
    (problem,) = failed["errors"]["data"]
    assert problem["code"] == "empty_file" and "1 to 50,000" in problem["message"]


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"input_file_id": "file-none"}, 404, "no file 'file-none'"),
        ({"endpoint": "/v1/completions"}, 400, "endpoint"),
        ({"completion_window": "5m"}, 400, "completion_window"),
        ({"metadata": {"a": ""}}, 400, "empty or too long"),
        ({"colour": "red"}, 400, "Keys: input_file_id, endpoint"),
    ],
)
async def test_a_batch_that_cannot_begin_says_why(
    here: Served, change: dict[str, Any], status: int, told: str
) -> None:
    file = await here.send(jsonl(ask(0)))
    asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h", **change}
    answer = await here.http.post("/v1/batches", json=asked)
    assert answer.status_code == status and told in answer.json()["error"]["message"]


async def test_files_are_told_paged_given_out_and_bounded(
    here: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [await here.send(b"%d" % at, f"../{at}.bin", "user_data") for at in range(5)]
    assert sent[1]["filename"] == "1.bin" and sent[1]["bytes"] == 1
    page = (await here.http.get("/v1/files", params={"limit": 2})).json()
    assert [each["id"] for each in page["data"]] == [sent[4]["id"], sent[3]["id"]]
    assert page["has_more"] and page["last_id"] == sent[3]["id"]
    rest = (await here.http.get("/v1/files", params={"after": sent[3]["id"]})).json()
    assert len(rest["data"]) == 3 and not rest["has_more"]
    content = await here.http.get(f"/v1/files/{sent[2]['id']}/content")
    assert content.content == b"2" and content.headers["x-content-type-options"] == "nosniff"
    for given, status in (({"after": "none"}, 404), ({"limit": 0}, 400), ({"order": "up"}, 400)):
        assert (await here.http.get("/v1/files", params=given)).status_code == status
    assert "empty" in (await here.send(b""))["error"]["message"]
    monkeypatch.setattr(shelf, "MOST_FILE_BYTES", 3)
    assert (await here.send(b"1234"))["error"]["code"] == "FileTooLarge"
    monkeypatch.setattr(shelf, "MOST_FILES", 5)
    assert (await here.send(b"1"))["error"]["code"] == "FilesFull"
    kept = {path.name for path in here.filing.folder.iterdir()}
    assert {name for name in kept if name.startswith("file-")} == {each["id"] for each in sent}
    plain = await here.http.post("/v1/files", json={"purpose": "batch"})
    assert plain.status_code == 400


async def test_a_file_goes_when_its_time_is_over(here: Served) -> None:
    body = {"purpose": "vision", "expires_after[anchor]": "created_at"}
    asked = body | {"expires_after[seconds]": "3600"}
    sent = await here.http.post("/v1/files", files={"file": ("a", b"a")}, data=asked)
    file = sent.json()
    assert file["expires_at"] == file["created_at"] + 3600
    assert here.filing.expire_files(file["expires_at"] - 1) == 0
    assert here.filing.expire_files(file["expires_at"]) == 1
    assert (await here.http.get(f"/v1/files/{file['id']}")).status_code == 404
    assert not here.filing.path_of(file["id"]).exists()


class Heard:
    """A ledger that remembers who was said to stay."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.stayed: list[Sequence[str]] = []

    async def send(self, message: Any) -> Any:
        if isinstance(message, Stay):
            self.stayed.append(message.uids)
        return await self._ledger.send(message)


async def test_a_line_that_runs_for_long_stays_inside(tmp_path: Path) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    assert fleet.book is not None
    tenant(fleet.book, "shop")
    key, heard = made(fleet.book, "shop"), Heard(fleet.ledger)
    looks = Ticker(heard, period_s=0.01)
    entrance = LineEntrance(fleet.ledger, KEYS, turnstile_of(1, 1), looks.inside)
    async with looks, asyncio.timeout(60):
        async with entrance(Principal("shop", id_of(key), lane="batch"), "/v1/jobs"):
            while not heard.stayed:
                await asyncio.sleep(0.01)
            assert heard.stayed[0] == tuple(looks.inside) and len(looks.inside) == 1
        assert not looks.inside
    await fleet.close()
