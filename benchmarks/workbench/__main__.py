"""The workbench at 50,000 rows in a real Chromium: how long a person waits for each thing.

    python -m benchmarks.workbench --rows 50000

A book is built by code and served by `orchestra review`. Times are taken inside the page: from the
click to the frame in which the answer is shown; of a page, from the navigation to its first
paint. Each is the median of `--times` tries.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.browser import chromium
from tests.review_books import make_batch

LIMIT_MS = 300
# Clicks, and takes the time until the frame after `#count` or the dialog was put in place.
CLICKED = """([selector, awaited]) => new Promise((done) => {
  const started = performance.now();
  const watch = new MutationObserver(() => {
    if (!document.querySelector(awaited)) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - started)));
  });
  watch.observe(document.body, { childList: true, subtree: true, attributes: true });
  document.querySelector(selector).click();
})"""
PAINTS = """() => performance.getEntriesByName("first-contentful-paint").length"""
PAINTED = """() => performance.getEntriesByName("first-contentful-paint")[0].startTime"""
LOADED = """() => performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd"""


@contextmanager
def served(out: Path) -> Iterator[str]:
    """The address of the workbench of `out`, while it is served."""
    command = [sys.executable, "-m", "orchestra", "review", str(out), "--by", "bench"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = iter(process.stderr.readline, "")
        yield next(found[0] for line in said if (found := re.search(r"http://\S+", line)))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def clicked(page: Page, selector: str, awaited: str) -> float:
    """Milliseconds from a click on `selector` until `awaited` is there and shown."""
    page.wait_for_selector(selector, state="attached")
    return float(page.evaluate(CLICKED, [selector, awaited]))


def facet(page: Page, address: str, name: str, value: str) -> float:
    """Milliseconds of choosing a facet on a fresh page."""
    page.goto(address)
    page.wait_for_selector(".card")
    chosen = f".filters a[aria-current][href*='{name}={value}']"
    return clicked(page, f".filters a[href*='{name}={value}']", chosen)


def bulk(page: Page, address: str, query: str) -> tuple[float, float, float, int]:
    """Milliseconds of a preview, of the bulk approval until the queue is shown anew, and of taking
    it back; of how many fields."""
    page.goto(address + query)
    page.wait_for_selector(".card")
    preview = clicked(page, ".found [data-deed=approve]", "#preview[open] form .main")
    count = int(page.get_attribute("#preview form", "data-expected") or 0)
    page.evaluate("document.querySelector('#queue').id = 'before'")
    approved = clicked(page, "#preview form .main", "#queue")
    page.evaluate("document.querySelector('#said').textContent = ''")
    undone = clicked(page, "[data-do=undo-last]", "#said:not(:empty)")
    return preview, approved, undone, count


def measure(address: str, times: int) -> None:
    """Print the median of each."""
    found: dict[str, list[float]] = {}
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1380, "height": 900})
        page.goto(address)  # the server's first page compiles its templates
        for _ in range(times):
            page.goto(address)
            page.wait_for_selector(".card")
            page.wait_for_function(PAINTS)
            found.setdefault("first page, painted", []).append(page.evaluate(PAINTED))
            found.setdefault("first page, usable", []).append(page.evaluate(LOADED))
            one = clicked(page, ".item.open [data-do=approve]", ".item.approved")
            found.setdefault("approve one field", []).append(one)
            onward = clicked(page, ".pager [rel=next]", ".pager [rel=prev]")
            found.setdefault("next page", []).append(onward)
            for name, value in (("kind", "conflict"), ("kind", "all"), ("sure", "0-50")):
                spent = facet(page, address, name, value)
                found.setdefault(f"filter {name}={value}", []).append(spent)
            for query in ("?kind=conflict", "?kind=doubt&text=sweden", "?kind=all&field=brand"):
                preview, approved, undone, count = bulk(page, address, query)
                found.setdefault(f"preview of {count:,}", []).append(preview)
                found.setdefault(f"approve {count:,} in bulk", []).append(approved)
                found.setdefault(f"take back {count:,}", []).append(undone)
    for name, spent in found.items():
        told = statistics.median(spent)
        print(f"{name:28} {told:6.0f} ms{'  ABOVE THE LIMIT' if told > LIMIT_MS else ''}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        out = make_batch(Path(temporary) / "batch", options.rows)
        print(f"{options.rows} rows built in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        with served(out) as address:
            print(f"served after {time.perf_counter() - began:.1f} s")
            measure(address, options.times)
