"""What tests of commands and pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser: a module's, as Playwright holds its thread's event loop."""
    with chromium() as browser:
        yield browser
