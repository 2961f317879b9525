"""A browser that looks at the console of a real server, and says what it did not like."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import PATIENCE_S

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.login_addresses import LoginAddresses, login_url

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def missing() -> str:
    """What these tests lack here, as a reason to leave them out; empty where they can run."""
    for library in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(library) is None:
            return f"the console is not tested in a browser, without {library}: `make browser` installs it"
    return "" if CHROMIUM else "the console is not tested in a browser, without one: `apt-get install chromium`"


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Chromium, for as long as the block lasts."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def free_port() -> int:
    """A port that nobody listens on, so that a server can come back to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Visitor:
    """Somebody who looks at one server's console; `complaints` is what the browser did not like on the way."""

    def __init__(self, browser: Browser, root: Path, url: str) -> None:
        self._browser = browser
        self._root = root
        self._url = url
        self._login: Any = None
        self.complaints: list[str] = []

    def come(self, **options: Any) -> Page:
        """A page of somebody who has logged in; the options are those of a browser's context."""
        if self._login is None:
            page = self.come_as_stranger()
            page.goto(login_url(self._url, LoginAddresses(self._root / FOLDER, SystemClock()).issue()))
            page.get_by_role("button", name="Open the console").click()
            page.wait_for_url("**/_pinstripe/")
            self._login = page.context.storage_state()
            page.context.close()
        return self.come_as_stranger(storage_state=self._login, **options)

    def come_as_stranger(self, **options: Any) -> Page:
        """A page of somebody whom the console does not know."""
        context = self._browser.new_context(**{"base_url": self._url, "viewport": DESKTOP, **options})
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def forgive(self, *statuses: int) -> None:
        """Forget that pages were answered with these: a test has asked for them."""
        told = tuple(f"responded with a status of {status} " for status in statuses)
        self.complaints = [one for one in self.complaints if not any(text in one for text in told)]

    def leave(self) -> None:
        """Close every page."""
        for context in list(self._browser.contexts):
            context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")


def to(path: str = "") -> str:
    """The address of a page of the console, on its server."""
    return f"/_pinstripe/{path}"


def run_by_hand(page: Page, job: str) -> str:
    """Press the button on the page of a job, and return the address of the run's page."""
    page.goto(to(f"jobs/{job}"))
    page.locator("#run").get_by_role("button", name="Run now").click()
    page.wait_for_url("**/_pinstripe/runs/*")
    return page.url


def cancel(page: Page) -> None:
    """Cancel the run of this page: the first press asks, the second one says yes."""
    asks = page.locator("#acts details")
    asks.locator("summary").click()
    asks.get_by_role("button", name="Cancel").click()


def violations(page: Page, *, only_colours: bool = False) -> list[str]:
    """What axe finds on a page against WCAG 2.2, levels A and AA: the rule, and where it is broken."""
    from axe_playwright_python.base import AXE_SCRIPT

    tags = ["color-contrast"] if only_colours else ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("(options) => axe.run(options)", {"runOnly": tags, "resultTypes": ["violations"]})
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
