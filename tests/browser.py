"""A real Chromium for tests and benchmarks: Debian's, or any that the machine has.

Playwright's own download of a browser is not used: it comes from no package registry.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.types import ASGIApp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "NO CHROMIUM ON THIS MACHINE: the workbench is not tested in a browser. "
    "Install one (apt-get install chromium), or run `make test` as root, which does."
)


def chromium_path() -> str | None:
    """Where a Chromium is; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window. Raises `RuntimeError` where there is none."""
    path = chromium_path()
    if path is None:
        raise RuntimeError(MISSING)
    # Root has no sandbox, as in containers; nothing but our own loopback page is opened.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, *, tells_errors: bool = False) -> Iterator[Page]:
    """A page of its own, in which no error of a script and no refused resource is passed over.

    `tells_errors`: it tells by itself of answers that are errors, which the browser notes as well.
    """
    context = browser.new_context(viewport={"width": 1380, "height": 900}, locale="en-GB")
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
    noted = "the server responded with a status of"
    assert [one for one in faults if not (tells_errors and noted in one)] == []


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of `app` while it is served."""
    own = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [own]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{own.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
