"""The workbench in a real Chromium, as a person uses it: keys, filters, groups, undo, phone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from orchestra.book.decisions import Decision
from orchestra.review.desk import Desk
from orchestra.review.server import listen, server_of
from tests.browser import MISSING, chromium_path, watched
from tests.review_books import make_batch

pytestmark = pytest.mark.skipif(chromium_path() is None, reason=MISSING)
ROWS = 120
FIRST = "SKU-000001"
SECRET = "s3cret"


@dataclass(frozen=True)
class Served:
    """A workbench that is served, and its desk."""

    desk: Desk
    address: str

    def decisions(self) -> list[Decision]:
        return list(self.desk.folder.book.decisions())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    desk = Desk.open(make_batch(tmp_path, ROWS, photos=4, side_px=96), "ana")
    own = listen(0)
    port = own.getsockname()[1]
    server = server_of(desk, port, SECRET)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
    thread.start()
    yield Served(desk, f"http://127.0.0.1:{port}/{SECRET}/")
    server.should_exit = True
    thread.join()
    desk.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser) as page:
        yield page


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.dataset.field || ''"))


def test_a_product_is_reviewed_from_the_keyboard_alone(page: Page, served: Served) -> None:
    page.goto(served.address)
    page.keyboard.press("j")
    assert focused(page) == "colour"
    conflict = page.locator(".item.conflict")

    page.keyboard.press("1")  # what the photo says
    expect(conflict.first).to_have_class("item conflict edited")
    expect(page.locator("#said")).to_have_text(f"colour of {FIRST} edited")
    assert focused(page) == "title"  # which says the old colour still
    page.keyboard.press("a")
    expect(page.locator(".item[data-field=title]").first).to_have_class("item fine approved")
    assert focused(page) == "colour"  # of the next product
    page.keyboard.press("a")
    expect(conflict.nth(1)).to_have_class("item conflict approved")
    page.keyboard.press("r")
    expect(conflict.nth(2)).to_have_class("item conflict rejected")
    assert focused(page) == "title"
    page.keyboard.press("s")
    title = page.locator(".card").nth(2).locator(".item[data-field=title]")
    expect(title).to_have_class("item stale skipped")
    page.keyboard.press("e")
    page.keyboard.type("blue")
    page.keyboard.press("Tab")
    page.keyboard.type("held against the light")
    page.keyboard.press("Control+Enter")
    expect(conflict.nth(3)).to_have_class("item conflict edited")

    made = served.decisions()
    assert [one.action for one in made] == ["edit", "approve", "approve", "reject", "skip", "edit"]
    assert (made[-1].value, made[-1].why, made[-1].by) == ("blue", "held against the light", "ana")

    conflict.nth(1).focus()
    page.keyboard.press("u")  # of any, here an earlier one
    expect(conflict.nth(1)).to_have_class("item conflict open")
    page.keyboard.press("z")  # of the last that stands
    expect(conflict.nth(3)).to_have_class("item conflict open")
    left = served.desk.index.progress()["left"]
    expect(page.locator("#progress")).to_contain_text(f"{left} left in")
    page.reload()
    expect(conflict.first).to_contain_text("photo says")
    assert [one.undoes for one in served.decisions()[6:]] == [made[2].id, made[5].id]


def test_escape_leaves_an_edit_and_typing_is_no_shortcut(page: Page, served: Served) -> None:
    page.goto(served.address)
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.keyboard.type("approve a rare red")
    page.keyboard.press("Escape")
    expect(page.locator(".editor")).to_have_count(0)
    assert focused(page) == "colour"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("reject: the field becomes blank")
    page.get_by_label("Keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("a")
    page.locator(".item").first.get_by_role("button", name="Skip").click()
    expect(page.locator("#said")).to_have_text(f"colour of {FIRST} skipped")
    assert [one.action for one in served.decisions()] == ["skip"]


def test_filters_search_groups_and_pages_lead_through_the_queue(page: Page, served: Served) -> None:
    page.goto(served.address)
    count = page.locator("#count")
    page.get_by_role("link", name="photo and text disagree").click()
    expect(count).to_have_text("10 fields in 10 products")
    page.get_by_role("searchbox").fill("SKU-000013")
    expect(count).to_have_text("1 field")
    expect(page.locator(".card")).to_have_count(1)
    page.go_back()
    expect(count).to_have_text("10 fields in 10 products")

    page.goto(f"{served.address}?kind=all")
    first = page.locator(".card h2").first.text_content() or ""
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".card h2").first).not_to_have_text(first)
    page.get_by_role("link", name="Previous").click()
    expect(page.locator(".card h2").first).to_have_text(first)

    page.get_by_label("Group by").select_option("value")
    group = page.locator(".groups li", has_text="cotton")
    expect(group).to_have_count(1)
    group.get_by_role("link").click()
    expect(page.locator(".chips")).to_contain_text("cotton")
    expect(page.locator(".card").first).to_be_visible()


def test_a_group_is_approved_after_a_preview_and_taken_back_as_one(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.address}?group=kind")
    group = page.locator(".groups li", has_text="photo and text disagree")
    group.get_by_role("button", name="Approve all").click()
    preview = page.get_by_role("dialog")
    expect(preview).to_contain_text("Approve all: 10 fields in 10 products")
    expect(preview.locator("tbody tr")).to_have_count(10)
    assert served.decisions() == []
    preview.get_by_label("Why").fill("the texts are right")
    preview.get_by_role("button", name="Approve all").click()
    expect(page.locator("#said")).to_have_text("10 fields decided")
    expect(group).to_have_count(0)
    assert {one.why for one in served.decisions()} == {"the texts are right"}

    page.get_by_role("link", name="History").click()
    expect(page.locator("li").first).to_contain_text("10 fields")
    page.locator("li").first.get_by_role("button", name="Undo").click()
    expect(page.locator("li.gone")).to_have_count(1)
    assert served.desk.index.progress()["decided"] == 0


def test_evidence_is_brought_out_in_text_and_photo_while_a_field_has_the_focus(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.address}?kind=all&text={FIRST}")
    card = page.locator(".card")
    card.locator(".item[data-field=material]").focus()
    expect(card.locator("mark.on")).to_have_text("cotton")
    card.locator(".item[data-field=category]").focus()
    expect(card.locator("g.on rect.box")).to_be_visible()
    expect(card.locator("g.on image")).to_be_visible()
    picture = card.locator(".shot img").first
    page.wait_for_function("element => element.naturalWidth > 0", arg=picture.element_handle())


def test_what_a_product_says_is_never_run(page: Page, served: Served) -> None:
    page.goto(f"{served.address}?kind=all&text=owned")
    expect(page.locator(".item[data-field=brand]")).to_contain_text("<script>document.title")
    page.locator(".item[data-field=brand]").focus()
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".item[data-field=brand]")).to_have_class("item unsure edited")
    page.get_by_label("Group by").select_option("value")
    expect(page.locator(".groups")).to_contain_text("cotton")
    page.get_by_role("link", name="History").click()
    expect(page.locator("li").first).to_contain_text("<script>")
    assert page.title() == "History · products.csv"


@pytest.mark.parametrize(
    ("width", "path", "scheme"),
    [
        (1380, "", "light"),
        (1380, "?kind=all&lang=zh", "dark"),
        (390, "?lang=zh", "light"),
        (390, "?group=kind&kind=all", "dark"),
        (1380, "history", "light"),
    ],
)
def test_pages_are_accessible_and_fit_their_screen(
    browser: Browser, served: Served, width: int, path: str, scheme: str
) -> None:
    served.desk.decide(FIRST, "colour", "approve")
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(served.address + path)
    expect(page.get_by_role("main")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    context.close()
    told = [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found]
    assert told == []


def test_a_workbench_that_was_ended_is_told_and_nothing_seems_decided(
    browser: Browser, served: Served
) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(served.address)
    page.context.set_offline(True)
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator("#said.bad")).to_contain_text("Nothing was decided")
    expect(page.locator(".item").first).to_have_class("item conflict open")
    page.context.close()
