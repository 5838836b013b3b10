"""The report in a real Chromium, opened from a disk: pages, filters, search, languages, print."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from orchestra.batch.duplicates.finder import Finder
from orchestra.batch.output.report import write_report
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.output.summary import Summary
from orchestra.batch.output.thumbnails import Thumbnails
from orchestra.batch.tables.row import Row
from orchestra.core.job import ErrorRecord, Evidence, Field, Result
from tests.browser import MISSING, chromium_path, watched

pytestmark = pytest.mark.skipif(chromium_path() is None, reason=MISSING)
ROWS = 330
FAILED = 7


def picture(key: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), f"#{key[:6]}").save(out, "JPEG")
    return out.getvalue()


def product(n: int) -> OutputRow:
    key = hashlib.sha256(str(n).encode()).hexdigest()
    seen = Evidence(kind="image", image=key, box=(0.2, 0.2, 0.8, 0.8))
    fields = {"colour": Field(value="red", source="photo", confidence=0.9, evidence=(seen,))}
    status, errors = "complete", ()
    if n % 3 == 0:
        wrong, status = n / 1000, "review"
        doubt = f"the photo looks like 'Jeans' ({wrong:.2f}), the text sells 'Shirt'"
        fields["photo_match"] = Field(value="no", source="both", confidence=wrong, doubt=doubt)
    if n == FAILED:
        status, fields = "failed", {}
        errors = (ErrorRecord(stage="intake", type="ImageNotFound", message="No file. Add it."),)
    values = {"id": f"SKU-{n:04}", "name": f"Shirt <b>{n}</b>", "about": "same" * (n in (20, 21))}
    result = Result(status=status, fields=fields, images=(key,), errors=errors)  # type: ignore[arg-type]
    return OutputRow(Row(n, values), values["id"], result)


def make(folder: Path, count: int) -> Path:
    rows = [product(n) for n in range(1, count + 1)]
    pictures, summary = Thumbnails(folder / "report_files", picture), Summary()
    finder = Finder(lambda _: None)
    for row in rows:
        summary.add(row)
        text = row.row.values["about"] or f"shirt number{row.row.ordinal}"
        finder.add(row.row.ordinal, row.row_id, [text], ())
    write_report(
        folder / "report.html",
        title="目录 spring.csv",
        summary=summary.public(),
        rows=rows,
        models=[],
        thumbnail=pictures,
        kin=finder.groups(),
    )
    return folder / "report.html"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser) as page:
        failed = list[str]()
        page.on("requestfailed", lambda request: failed.append(request.url))
        yield page
    assert failed == []


def opened(page: Page, path: Path, hash: str = "") -> None:
    page.goto(path.as_uri() + hash)
    page.wait_for_selector("#products[data-shown]")


def ids(page: Page) -> list[str]:
    return page.locator(".card .id code").all_text_contents()


@pytest.mark.parametrize("count", [ROWS, 120])  # beside the page, and in it
def test_every_row_is_reached_and_the_likeliest_fault_comes_first(
    page: Page, tmp_path: Path, count: int
) -> None:
    opened(page, make(tmp_path, count))
    last = count - count % 3
    assert ids(page)[:3] == [f"SKU-{FAILED:04}", f"SKU-{last:04}", f"SKU-{last - 3:04}"]
    seen: list[str] = []
    for number in range(-(-count // 50)):
        expect(page.locator("#page")).to_have_value(str(number + 1))
        seen += ids(page)
        page.get_by_role("button", name="Next").click() if len(seen) < count else None
    assert sorted(seen) == [f"SKU-{n:04}" for n in range(1, count + 1)]
    page.get_by_role("button", name="review").click()
    expect(page.locator("#count")).to_have_text(f"1 to {min(50, count // 3)} of {count // 3}")


def test_rows_are_found_by_id_reason_group_and_link(page: Page, tmp_path: Path) -> None:
    path = make(tmp_path, ROWS)
    opened(page, path, "#row-200")
    expect(page.locator("#row-200")).to_be_in_viewport()
    page.get_by_role("searchbox").fill("sku-0123")
    expect(page.locator("#count")).to_have_text("1 to 1 of 1")
    assert ids(page) == ["SKU-0123"]
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Reason").select_option(index=1)
    expect(page.locator("#count")).to_have_text("1 to 50 of 110")
    page.get_by_label("Reason").select_option(index=0)
    page.get_by_role("button", name="duplicates").click()
    expect(page.locator("#count")).to_have_text("1 to 2 of 2")
    assert sorted(ids(page)) == ["SKU-0020", "SKU-0021"]
    first = page.locator(".thumb image").first.get_attribute("href") or ""
    assert first.startswith("report_files/photos/")
    shown = page.evaluate(
        "(src) => new Promise((done) => { const one = new Image();"
        " one.onload = () => done(one.naturalWidth); one.onerror = () => done(0); one.src = src })",
        first,
    )
    assert shown == 60


def test_the_page_turns_to_chinese_and_back(page: Page, tmp_path: Path) -> None:
    opened(page, make(tmp_path, ROWS))
    page.get_by_label("Language").select_option("zh")
    expect(page.locator(".glance h2")).to_have_text("概览")
    expect(page.locator(".card .status").first).to_have_text("失败")
    page.locator("#next").click()
    expect(page.locator("#count")).to_have_text(f"第 51 至 100 件，共 {ROWS} 件")
    expect(page.locator(".card .status").first).to_have_text("待审")
    page.locator("#language").select_option("en")
    expect(page.locator(".card .status").first).to_have_text("review")


def test_a_managers_summary_is_printed_on_one_page(page: Page, tmp_path: Path) -> None:
    opened(page, make(tmp_path, ROWS))
    page.emulate_media(media="print")
    expect(page.locator(".glance")).to_be_visible()
    expect(page.locator("#products")).to_be_hidden()
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1


def test_rows_that_are_not_beside_the_page_are_said_to_be_missing(
    browser: Browser, tmp_path: Path
) -> None:
    path = make(tmp_path, ROWS)
    alone = tmp_path / "elsewhere" / "report.html"
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    page = browser.new_page(locale="en-GB")
    page.goto(alone.as_uri())
    expect(page.locator("#missing")).to_contain_text("report_files")
    page.close()
