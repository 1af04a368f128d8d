"""The system's Chromium, for tests that look at pages as people do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.tools.screenshots import browser_path

CHROMIUM = browser_path()
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)")


@contextmanager
def opened(path: Path, *, width: int = 1280, height: int = 800, dark: bool = False, anchor: str = "") -> Iterator[Any]:
    """A page of a local file in a browser without a network; fails on any error that it reports.

    Args:
        path: the file.
        width: of the window, pixels.
        height: of the window, pixels.
        dark: whether the reader prefers dark pages.
        anchor: what stands behind `#`.
    """
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", offline=True
            )
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
            page.goto(f"{path.resolve().as_uri()}{'#' if anchor else ''}{anchor}")
            yield page
        finally:
            browser.close()
    assert not errors, errors


def overflow_px(page: Any) -> int:
    """How much wider than the window a page is, in pixels."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
