"""Take the pictures of the console: `make screenshots`. They show the same shop at the same instant each time."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oxipng
from history import NOW, write_history
from playwright.sync_api import Browser, Page, sync_playwright
from shop import write_shop

from pinstripe_bot.project import Project
from pinstripe_bot.server import Server
from pinstripe_bot.testing import TravelClock

HERE = Path(__file__).parent

PAGES = {
    "now": "",
    "jobs": "jobs",
    "job": "jobs/issue-invoices",
    "run": "runs?state=failed&job=issue-invoices",  # the newest of these
    "runs": "runs",
    "timeline": "timeline",
    "system": "system",
}

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

LOOKS = (("light", "light", DESKTOP), ("dark", "dark", DESKTOP), ("phone", "light", PHONE))
"""(how its file is called, the scheme of colours, the size) of each picture of a page."""

LONGEST = {1440: 1500, 390: 1688}
"""{width: how much of a long page is shown}: on a phone two screens of it."""

FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>{aliases}</fontconfig>"""

ALIAS = '<match><test name="family"><string>{name}</string></test><edit name="family" mode="prepend" binding="strong">\
<string>{font}</string></edit></match>'


def main() -> None:
    names = set(sys.argv[1:]) or {*PAGES, "login"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "shop"
        _set_fonts(Path(folder))
        platform.node = lambda: "web-2"  # the pictures of all machines are the same
        write_shop(root)
        project = Project.load(root, environ={})
        lock = write_history(project)
        server = Server(project, None, TravelClock(NOW))
        server.start()
        try:
            with _browser() as browser:
                _take_all(browser, server, names)
        finally:
            server.stop()
            lock.release()


def _take_all(browser: Browser, server: Server, names: set[str]) -> None:
    url = server.urls[0]
    if "login" in names:
        for look, scheme, size in LOOKS:
            page = _page(browser, scheme, size)
            page.goto(f"{url}/_pinstripe/login")
            _save(page, HERE / f"login-{look}.png", size["height"])
            page.context.close()
    first = _page(browser, "light", DESKTOP)
    first.goto(server.login_url() or "")
    first.get_by_role("button").click()
    first.wait_for_url("**/_pinstripe/")
    session: Any = first.context.storage_state()
    for look, scheme, size in LOOKS:
        page = _page(browser, scheme, size, storage_state=session)
        for name in sorted(names & PAGES.keys()):
            _take(page, f"{url}/_pinstripe/{PAGES[name]}", HERE / f"{name}-{look}.png")
        page.context.close()


def _take(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    if file.name.startswith("run-"):
        page.locator("main tbody a.name").first.click()
        page.wait_for_url("**/runs/*")
    _save(page, file, LONGEST[page.evaluate("innerWidth")])


def _save(page: Page, file: Path, longest: int) -> None:
    """The whole page, or its beginning, as small as it gets without losing anything."""
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip: Any = {"x": 0, "y": 0, "width": width, "height": min(height, longest)}
    file.write_bytes(oxipng.optimize_from_memory(page.screenshot(full_page=True, clip=clip), level=3))


def _page(browser: Browser, scheme: Any, size: Any, **options: Any) -> Page:
    """A page whose clock stands still, without the stream: a picture is taken of what the server has written."""
    context = browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce", **options)
    page = context.new_page()
    page.clock.set_fixed_time(NOW)
    return page


@contextmanager
def _browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--disable-component-update", "--disable-sync", "--font-render-hinting=none"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


def _set_fonts(folder: Path) -> None:
    """Let Inter be the system's font where there is one: the picture of another machine looks the same then."""
    wanted = {"system-ui": "Inter", "sans-serif": "Inter", "monospace": "JetBrains Mono"}
    aliases = "".join(ALIAS.format(name=name, font=font) for name, font in wanted.items())
    (folder / "fonts.conf").write_text(FONTS.format(aliases=aliases))
    os.environ["FONTCONFIG_FILE"] = str(folder / "fonts.conf")


if __name__ == "__main__":
    main()
