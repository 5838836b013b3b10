"""The console in a real Chromium, as a person uses it: a job, a question, keys, a phone."""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from axe_playwright_python.sync_playwright import Axe
from langgraph.graph import START, StateGraph
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from graphs.listing import build, default_recipe
from orchestra import Context, Fleet, JobState, ask
from orchestra.core.call import Call
from orchestra.images.limits import ImageLimits
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.asking_graphs import QUESTION, asking, told
from tests.browser import MISSING, chromium_path, served, watched
from tests.keyed import KEYS, keyed_fleet, made, tenant
from tests.scripted import scripted_fleet
from workers.synthetic.drawn import draw_product

pytestmark = pytest.mark.skipif(chromium_path() is None, reason=MISSING)
TEXT = "Oxford shirt, red cotton, made in Portugal."
HOSTILE = "<script>document.title='owned'</script></textarea><img src=x onerror=alert(1)>"
HELD = threading.Event()  # what the node `slow` waits for


class Said(TypedDict):
    said: Annotated[list[Any], operator.add]


def with_maps() -> StateGraph[JobState, Context]:
    """The graph `listing`, with maps of what counted in the photo."""
    return build(default_recipe().model_copy(update={"maps": True}))


def slow(state: Said) -> dict[str, Any]:
    """A node that goes on when the test says so."""
    HELD.wait(60)
    return {"said": ["slow"]}


def speaking() -> StateGraph[Said, Context]:
    """An answer that is heard while another node is still under way."""
    graph = StateGraph(Said, context_schema=Context)
    graph.add_node("write", ask("text", "Write.", derived=True))
    graph.add_node("slow", slow)
    graph.add_edge(START, "write")
    graph.add_edge(START, "slow")
    return graph


def says(call: Call) -> Any:
    """What the scripted models say: hostile where the text is."""
    if call.schema is not None and HOSTILE[:8] in (call.text or ""):
        return {"colour": HOSTILE}
    return told(call)


class Overheard:
    """Notes the addresses that were asked for, on their way to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.addresses: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.addresses.append(scope["path"] + scope["query_string"].decode())
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Console:
    """A console that is served."""

    origin: str

    @property
    def address(self) -> str:
        return f"{self.origin}/console"


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The bundled models over a book."""
    book = tmp_path_factory.mktemp("console") / "book.sqlite"
    fleet = Fleet.open("mini", book=book, image_limits=ImageLimits(allow_files=False))
    with fleet, served(make_app(Service(fleet, {"listing": with_maps}))) as origin:
        yield Console(origin)


@pytest.fixture
def scripted() -> Iterator[Console]:
    """Models that say what they are told, and graphs that ask and speak."""
    fleet, _ = scripted_fleet(says, says)
    HELD.clear()
    app = make_app(Service(fleet, {"asking": asking, "speaking": speaking}))
    with fleet, served(app) as origin:
        yield Console(origin)
        HELD.set()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser, tells_errors=True) as page:
        yield page


def photo_in(folder: Path) -> Path:
    path = folder / "shirt.png"
    draw_product("shirt", "red", seed=1_000_001).save(path)
    return path


def drop(page: Page, photo: Path) -> None:
    """Drop a photo, as from a folder beside the browser."""
    held = page.evaluate_handle(
        """([name, bytes]) => {
          const held = new DataTransfer();
          held.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          return held;
        }""",
        [photo.name, list(photo.read_bytes())],
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": held})


def states(page: Page) -> dict[str, str]:
    found = page.locator("#run .node").all()
    return {
        one.get_attribute("data-node") or "": one.get_attribute("data-state") or "" for one in found
    }


def violations(page: Page) -> list[Any]:
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found]


def test_a_photo_and_a_text_are_planned_run_and_shown_with_what_they_rest_on(
    mini: Console, page: Page, tmp_path: Path
) -> None:
    page.goto(mini.address)
    expect(page.get_by_role("button", name="Run")).to_be_disabled()
    page.get_by_role("textbox", name="Text").fill(TEXT)
    expect(page.locator("#plan .node")).to_have_count(5)
    assert page.locator(".node[data-node=look] .node-model").count() == 0  # no photo, no look
    page.locator("#photos").set_input_files(photo_in(tmp_path))
    expect(page.locator(".node[data-node=look] .node-model")).to_have_text("vl")
    page.get_by_text("Why these models").click()
    expect(page.locator(".why")).to_contain_text("expected quality")
    assert set(states(page).values()) == {"idle"}
    expect(page.locator("#run-here")).to_be_empty()  # nothing was run or spent

    page.get_by_role("button", name=re.compile("Run, at most \\$0.00000")).click()
    result = page.locator("article.result")
    expect(result.locator(".status")).to_have_text("complete", timeout=60_000)
    assert set(states(page).values()) == {"done"}
    expect(result.locator(".facts")).to_contain_text("$0.00000")
    colour = result.locator(".row[data-field=colour]")
    expect(colour).to_contain_text("photo + text")
    colour.focus()
    expect(result.locator("mark.on")).to_have_text("red")
    expect(result.locator("g.on image")).to_be_visible()
    expect(result.locator("g.on rect.box").first).to_be_visible()
    shown = result.locator(".shot img")
    page.wait_for_function("one => one.naturalWidth > 0", arg=shown.element_handle())
    result.locator(".row[data-field=origin]").hover()
    expect(result.locator("mark.on")).to_have_text("Portugal")
    expect(result.locator("g.on")).to_have_count(0)

    page.get_by_role("link", name="Spend").click()
    expect(page.locator(".bill tbody")).to_contain_text("vl")
    page.get_by_role("link", name="tag", exact=True).click()
    expect(page.locator(".bill tbody")).to_contain_text("(no tag)")


def test_a_budget_that_is_too_small_is_told_with_what_would_do(mini: Console, page: Page) -> None:
    page.goto(mini.address)
    page.get_by_role("textbox", name="Text").fill(TEXT)
    page.get_by_label("Money, $").fill("0.000001")
    alert = page.locator("#plan").get_by_role("alert")
    expect(alert).to_contain_text("The smallest budget that is guaranteed to do is cost_usd=")
    expect(page.get_by_role("button", name="Run")).to_be_disabled()
    smallest = re.findall(r"cost_usd=([0-9.]+)\. Raise", alert.text_content() or "")[0]
    page.get_by_label("Money, $").fill(smallest)
    expect(page.get_by_role("button", name=f"Run, at most ${smallest}")).to_be_enabled()


def test_a_photo_that_cannot_be_read_costs_no_other_its_place(
    mini: Console, page: Page, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG no photo")
    page.goto(mini.address)
    page.get_by_role("textbox", name="Text").fill(TEXT)
    page.locator("#photos").set_input_files(broken)
    drop(page, photo_in(tmp_path))
    expect(page.locator("#thumbs")).to_contain_text("broken.png (no preview)")
    page.get_by_role("button", name="Run, at most").click()
    result = page.locator("article.result")
    expect(result.locator(".error")).to_contain_text("Image", timeout=60_000)
    image = result.locator(".shot img")
    expect(image).to_have_count(1)
    expect(image).to_have_attribute("src", re.compile("^data:image/jpeg"))
    page.get_by_role("button", name="New job").click()
    expect(page.get_by_role("textbox", name="Text")).to_be_focused()
    expect(page.locator("#thumbs li")).to_have_count(0)


def test_a_run_that_asks_is_answered_from_the_keyboard_alone(scripted: Console, page: Page) -> None:
    page.goto(scripted.address)
    expect(page.get_by_label("Graph")).to_have_value("asking")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text":
            break
    page.keyboard.type("It is red.")
    expect(page.get_by_role("button", name="Run, at most")).to_be_enabled()
    page.keyboard.press("Control+Enter")
    result = page.locator("#run article.result")
    expect(result.locator(".asks")).to_contain_text(QUESTION)
    assert states(page) == {"read": "done", "person": "asking", "write": "passed"}
    expect(page.locator("#waiting-count")).to_have_text("1")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Answer it":
            break
    page.keyboard.press("Enter")

    waiting = page.locator("#waiting")
    expect(waiting.get_by_role("heading", name="Question")).to_be_focused()
    expect(waiting.locator(".say")).to_have_text(QUESTION)
    expect(waiting.locator(".read")).to_have_text("It is red.")
    expect(waiting.locator(".row[data-field=colour]")).to_contain_text("red")
    page.get_by_label("Your answer").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Write an answer first.")
    page.keyboard.type("yes")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(waiting.locator("#answer-here article .say")).to_have_text("A red shirt.")
    expect(page.locator("#waiting-count")).to_be_hidden()
    page.get_by_role("link", name="All that wait").click()
    expect(waiting).to_contain_text("No run waits for a person")


def test_an_answer_is_heard_while_nodes_are_under_way_and_a_run_can_be_stopped(
    scripted: Console, page: Page
) -> None:
    page.goto(scripted.address)
    page.get_by_role("textbox", name="Text").fill("It is red.")
    page.get_by_label("Graph").select_option("speaking")
    page.get_by_role("button", name="Run, at most").click()
    expect(page.locator(".saying .say")).to_have_text("A red shirt.")
    expect(page.locator(".node[data-node=slow]")).to_have_attribute("data-state", "running")
    expect(page.locator(".spent")).to_contain_text("of at most $")
    expect(page.locator("progress")).not_to_have_attribute("value", "0")
    HELD.set()
    expect(page.locator("article.result .say")).to_have_text("A red shirt.")
    assert states(page) == {"write": "done", "slow": "done"}

    HELD.clear()
    page.get_by_role("textbox", name="Text").fill("It is red again.")
    page.get_by_role("button", name="Run, at most").click()
    expect(page.locator(".saying .say")).to_have_text("A red shirt.")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#run-here")).to_have_text("Stopped. What was begun by then is paid for.")
    assert states(page)["slow"] == "passed"


def test_what_a_text_or_a_model_says_is_never_run(scripted: Console, page: Page) -> None:
    page.goto(scripted.address)
    page.get_by_role("textbox", name="Text").fill(HOSTILE)
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Tags").fill("campaign=<b>spring</b>")
    page.get_by_role("button", name="Run, at most").click()
    asks = page.locator("#run article.result")
    expect(asks.locator(".read")).to_contain_text("</textarea>")
    asks.get_by_role("link", name="Answer it").click()
    waiting = page.locator("#waiting")
    expect(waiting.locator(".read")).to_contain_text("<script>document.title='owned'</script>")
    page.get_by_label("Your answer").fill(HOSTILE)
    page.get_by_role("button", name="Answer and go on").click()
    expect(waiting.locator("#answer-here article .read")).to_contain_text("<script>")
    assert page.title() == "Console · Orchestra"
    assert page.locator("main script, main img[src=x]").count() == 0


def test_a_key_is_asked_for_once_and_kept_in_the_tab_alone(
    browser: Browser, tmp_path: Path
) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    assert fleet.book is not None
    tenant(fleet.book, "acme", {"bounds": {"usd_per_day": 1}})
    key = made(fleet.book, "acme")
    overheard = Overheard(make_app(Service(fleet, {"asking": asking}), HttpSettings(access=KEYS)))
    with fleet, served(overheard) as origin:
        context = browser.new_context(locale="en-GB", reduced_motion="reduce")
        page = context.new_page()
        page.goto(f"{origin}/console")
        asked = page.get_by_role("dialog", name="This server asks for a key")
        expect(asked).to_be_visible()
        assert violations(page) == []
        asked.get_by_label("Key").fill(key[:-1])
        page.keyboard.press("Enter")
        expect(asked.get_by_role("alert")).to_contain_text("key")
        asked.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        expect(asked).to_be_hidden()
        page.get_by_role("textbox", name="Text").fill("It is red.")
        page.get_by_role("button", name="Run, at most").click()
        expect(page.locator("article.result .asks")).to_contain_text(QUESTION)
        page.goto(f"{origin}/console#spend/key")
        expect(page.locator(".bill").first).to_contain_text("1 call")
        expect(page.locator(".bill").last).to_contain_text("tenant acme a day")
        assert violations(page) == []
        page.reload()
        expect(page.locator(".bill").first).to_contain_text("1 call")
        assert context.cookies() == []
        assert not any(key in address for address in overheard.addresses)
        page.get_by_role("button", name="Key").click()
        page.get_by_role("button", name="Forget it").click()
        expect(asked).to_be_visible()
        assert page.evaluate("Object.keys(sessionStorage).length") == 0
        context.close()


@pytest.mark.parametrize(
    ("width", "language", "scheme"),
    [(1380, "en", "light"), (1380, "zh", "dark"), (375, "en", "dark"), (375, "zh", "light")],
)
def test_every_part_is_accessible_and_fits_its_screen(
    browser: Browser, scripted: Console, width: int, language: str, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 812},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        locale="zh-CN" if language == "zh" else "en-GB",
    )
    page = context.new_page()
    run, answer_it = ("运行，最多", "去回答") if language == "zh" else ("Run, at most", "Answer it")

    def check() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []

    page.goto(scripted.address)
    page.locator("#text").fill("It is red.")
    expect(page.get_by_role("button", name=run)).to_be_enabled()
    page.locator(".why summary").first.click()
    check()
    page.get_by_role("button", name=run).click()
    expect(page.locator("article.result")).to_be_visible()
    check()
    page.get_by_role("link", name=answer_it).click()
    expect(page.locator("#answer")).to_be_visible()
    check()
    page.goto(f"{scripted.address}#spend")
    expect(page.locator(".bill")).to_be_visible()
    check()
    page.goto(f"{scripted.address}#waiting")
    expect(page.locator(".queue li")).to_have_count(1)
    check()
    context.close()


def test_a_server_that_is_gone_is_told(browser: Browser, scripted: Console) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(scripted.address)
    page.get_by_role("textbox", name="Text").fill("It is red.")
    expect(page.get_by_role("button", name="Run, at most")).to_be_enabled()
    page.context.set_offline(True)
    page.get_by_role("button", name="Run, at most").click()
    expect(page.locator("#run-here").get_by_role("alert")).to_contain_text("does not answer")
    page.context.close()
