"""Chromium without a window, for pages that emeval writes.

A page of ours is one file that asks for nothing: `open_page` fails the test when anything else is asked for, or when
the browser's console says anything at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

_LONGEST_MS = 120_000
"""For whatever a test waits for in a page: a busy machine takes its time, and a hang must end."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class NoBrowser(Exception):
    """There is none on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, or the one that playwright has installed. Raises NoBrowser where there is neither.

    Use it within one test: while it is open, no event loop can be run in this thread.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    with sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            raise NoBrowser(f"none of {', '.join(_NAMES)} is installed, and playwright has installed none")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser, file: Path, **options: Any) -> Iterator[Page]:
    """The page in `file`, in a fresh context (`options` are those of playwright's new_context) with no network."""
    heard: list[str] = []
    with browser.new_context(offline=True, **options) as context:
        context.set_default_timeout(_LONGEST_MS)
        page = context.new_page()
        with watched(page, heard):
            page.goto(file.absolute().as_uri())
            yield page
    assert heard == []


def until(page: Page, expression: str) -> None:
    """Return when a JavaScript expression is true. Playwright's own way of waiting evaluates strings in the page, which
    a page with a policy forbids as soon as it has to look twice."""
    for _ in range(_LONGEST_MS // 20):  # looks, not the clock: a machine may stand still for a while
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}, in a page that says {page.locator('body').inner_text()[:500]!r}")


@contextmanager
def watched(page: Page, heard: list[str]) -> Iterator[None]:
    """Add to `heard` what the page's console says, what its scripts throw, and what it asks for besides files."""

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "blob:")):
            heard.append(f"asked for {request.url}")

    def on_console(message: ConsoleMessage) -> None:
        heard.append(f"{message.type}: {message.text}")

    def on_error(error: Error) -> None:
        heard.append(f"threw {error}")

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", on_error)
    yield
