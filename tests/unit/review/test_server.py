"""The workbench over HTTP: who is let in, what is answered, and that nothing of a text is run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from orchestra.core.errors import PortTaken
from orchestra.review.desk import Desk
from orchestra.review.guard import Guard
from orchestra.review.server import MOST_ITEMS, Workbench, listen
from tests.review_books import HOSTILE, make_batch

ROWS = 48
SECRET, PORT = "s3cret", 8123
HOME = f"http://127.0.0.1:{PORT}"
FIRST = "SKU-000001"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk.open(make_batch(tmp_path_factory.mktemp("b"), ROWS, photos=2, side_px=64), "ana")
    yield desk
    desk.close()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    app = Guard(Workbench(desk, f"/{SECRET}").app(), SECRET, PORT)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield client


async def send(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    return await client.post(f"/{SECRET}/{path}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/wrong/", {}),
        (f"/{SECRET[:-1]}/", {}),
        (f"/{SECRET}/", {"host": "evil.example"}),
        (f"/{SECRET}/", {"host": f"127.0.0.1:{PORT + 1}"}),
        (f"/{SECRET}/page.js", {"host": "orchestra.evil.example"}),
    ],
)
async def test_who_has_not_the_address_sees_nothing(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 403
    assert FIRST not in answer.text
    assert "orchestra review" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-length": str(1 << 21)},
    ],
)
async def test_a_post_of_another_page_decides_nothing(
    client: httpx.AsyncClient, desk: Desk, headers: dict[str, str]
) -> None:
    before = desk.folder.book.state
    body = {"row": FIRST, "field": "brand", "action": "approve"}
    assert (await send(client, "decide", body, **headers)).status_code == 403
    assert desk.folder.book.state == before


async def test_every_answer_forbids_frames_scripts_of_others_and_referrers(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/", f"/{SECRET}/", f"/{SECRET}/page.js", f"/{SECRET}/history"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_products_text_is_shown_and_never_markup(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/{SECRET}/", params={"kind": "all", "text": "owned"})).text
    assert "&lt;script&gt;" in page
    assert "<script>document" not in page
    assert "<img src=x" not in page
    assert HOSTILE not in page
    assert re.search(r"\son\w+=", page.replace(" onerror=&#34;", "")) is None
    assert "style=" not in page.replace("stylesheet", "")  # the policy would drop it


async def test_a_search_is_shown_as_text(client: httpx.AsyncClient) -> None:
    asked = '"><script>alert(1)</script>'
    page = (await client.get(f"/{SECRET}/", params={"text": asked, "value": asked})).text
    assert "<script>alert" not in page


async def test_the_page_shows_evidence_in_text_and_photo(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/{SECRET}/", params={"kind": "all", "text": FIRST})).text
    assert '<mark data-for="material" lang="en">cotton</mark>' in page
    assert re.search(r'<g data-for="category">\s*<image[^>]+href="data:image/png', page)
    assert '<rect class="box" x="20.0" y="15.0" width="60.0" height="75.0"/>' in page
    key = re.search(r"/photo/([0-9a-f]{64})", page)
    assert key is not None
    photo = await client.get(f"/{SECRET}/photo/{key[1]}")
    assert photo.headers["content-type"] == "image/jpeg"
    assert (await client.get(f"/{SECRET}/photo/{'0' * 64}")).status_code == 404
    assert (await client.get(f"/{SECRET}/photo/..%2f..%2fbook.sqlite")).status_code == 404


async def test_a_decision_answers_with_the_field_as_it_is_now(
    client: httpx.AsyncClient, desk: Desk
) -> None:
    body = {"row": FIRST, "field": "colour", "action": "approve", "why": "looks right"}
    told = (await send(client, "decide", body)).json()
    place = desk.index.place(FIRST, "colour")
    assert "looks right" in told["items"][f"item-{place}"]
    assert told["said"] == f"colour of {FIRST} approved"
    undone = (await send(client, "undo", {})).json()
    assert undone["said"] == "1 decision taken back"
    assert desk.index.state(place or 0) == "open"


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("decide", {"row": "nobody", "field": "colour", "action": "approve"}, "'nobody'"),
        ("decide", {"row": FIRST, "field": "smell", "action": "approve"}, "'smell'"),
        ("decide", {"row": FIRST, "field": "colour", "action": "explode"}, "action"),
        ("decide", {"row": FIRST}, "field"),
        ("undo", {"id": 10**9}, "1000000000"),
        ("bulk", {"query": {}, "deed": "approve"}, "preview"),
        ("preview", {"query": {}, "deed": "edit", "value": "red"}, "one field"),
    ],
)
async def test_a_wrong_request_says_what_is_wrong_and_writes_nothing(
    client: httpx.AsyncClient, desk: Desk, path: str, body: Any, told: str
) -> None:
    before = desk.folder.book.state
    answer = await send(client, path, body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert desk.folder.book.state == before


async def test_what_is_decided_of_many_is_answered_with_the_queue_as_it_is_now(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("many")
    with closing(Desk.open(make_batch(folder, 96, photos=2, side_px=64), "ana")) as desk:
        app = Guard(Workbench(desk, f"/{SECRET}").app(), SECRET, PORT)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
            query = {"kind": "all", "field": "brand"}
            body = {"query": {"kind": "all"}, "deed": "approve", "group": "g"}
            count = (await send(client, "preview", {**body, "value": ""})).json()["fields"]
            assert count > MOST_ITEMS
            sent = {**body, "expected": count}
            answer = await client.post(f"/{SECRET}/bulk", json=sent, params=query)
            assert f"{count} fields" in answer.json()["said"]
            assert '<article class="card' not in answer.json()["work"]
            undone = (await client.post(f"/{SECRET}/undo", json={}, params=query)).json()
            assert undone["said"] == f"{count} decisions taken back"
            assert '<article class="card' in undone["work"]
            again = (await client.post(f"/{SECRET}/undo", json={}, params=query)).json()
            assert again["said"] == "There is nothing to undo."


async def test_a_bulk_action_that_is_sent_twice_is_written_once(
    client: httpx.AsyncClient, desk: Desk
) -> None:
    query = {"kind": "unsure"}
    shown = (await send(client, "preview", {"query": query, "deed": "approve"})).json()
    group = re.search(r'data-group="(\w+)"', shown["preview"])
    assert group is not None
    body = {"query": query, "deed": "approve", "group": group[1], "expected": shown["fields"]}
    first, again = [(await send(client, "bulk", body)).json() for _ in range(2)]
    assert first["said"] == again["said"] == f"{shown['fields']} fields decided"
    assert len(desk.folder.book.group(group[1])) == shown["fields"]
    stale = (await send(client, "bulk", {**body, "group": "other"})).json()
    assert "has changed since" in stale["preview"]


async def test_the_page_speaks_the_language_of_the_browser_or_the_one_asked_for(
    client: httpx.AsyncClient,
) -> None:
    chinese = await client.get(f"/{SECRET}/", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh-Hans">' in chinese.text
    asked = await client.get(f"/{SECRET}/?lang=en", headers={"accept-language": "zh-CN"})
    assert '<html lang="en">' in asked.text


def test_a_port_that_is_taken_is_told() -> None:
    with listen(0) as own, pytest.raises(PortTaken, match="--port"):
        listen(own.getsockname()[1])
