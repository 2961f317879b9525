"""The console in a real browser, on a real server: what people do there, and what they see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from browsing import (
    DESKTOP,
    PHONE,
    Visitor,
    cancel,
    free_port,
    missing,
    opened_browser,
    overflow,
    run_by_hand,
    to,
    violations,
)
from daemons import Daemon

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if missing():
    pytest.skip(missing(), allow_module_level=True)
else:
    from playwright.sync_api import expect

FILES = {
    "lib/background_jobs/everything.py": """
        import enum
        from datetime import date, datetime, timedelta
        from typing import Literal

        from pinstripe_bot import BackgroundJob, Secret


        class Colour(enum.Enum):
            RED = "red"
            BLUE = "blue"


        class Everything(BackgroundJob):
            '''Takes a parameter of each kind, and prints them.'''

            def run(self, *, number: int, ratio: float, text: str, day: date, at: datetime, wait: timedelta,
                    kind: Literal["plain", "fine"], colour: Colour, yes: bool, code: Secret, many: list[int]):
                print(f"number={number!r} ratio={ratio!r} text={text!r} day={day} at={at.isoformat()}")
                print(f"wait={wait} kind={kind} colour={colour.value} yes={yes} many={many} letters={len(code)}")
        """,
    "lib/background_jobs/patient.py": """
        import time
        from pathlib import Path

        from pinstripe_bot import background_job


        @background_job
        def patient(workspace):
            '''Works until it is told that it may end.'''
            go = Path(__file__).parents[2] / "go"
            print("begun")
            workspace.progress(1, 4)
            while not go.exists():
                workspace.checkpoint()
                time.sleep(0.01)
        """,
    "lib/background_jobs/loud.py": """
        from mailing import send

        from pinstripe_bot import background_job


        @background_job
        def loud(workspace):
            '''Prints in colours, and fails.'''
            print("\\x1b[32mconnected\\x1b[0m to the mail server")
            for number in range(40):
                print(f"mail {number} sent")
            print("\\x1b[1;31mrefused\\x1b[0m mail 41")
            send()
        """,
    "mailing.py": """
        def send():
            raise ConnectionError("the mail server hung up after forty letters, and asks for an hour of rest")
        """,
    "lib/background_jobs/often.py": """
        from pinstripe_bot import background_job


        @background_job("*/30 * * * * *")
        def often(workspace):
            '''Comes due twice a minute.'''
        """,
    "lib/background_jobs/nightly.py": """
        from pinstripe_bot import background_job


        @background_job("0 3 * * *", isolation="process")
        def nightly(workspace):
            '''Works at night.'''
        """,
    "lib/background_jobs/weekly.py": """
        from pinstripe_bot import background_job


        @background_job("0 4 * * mon")
        def weekly(workspace):
            '''Works on Mondays.'''
        """,
    "lib/background_jobs/a_broken_supplier_feed.py": "import nothing_of_this_name\n",
}


class Shop:
    """A project with a server, which can end and come back at the same address, and with somebody who looks at it."""

    def __init__(self, browser: Browser, root: Path) -> None:
        self.root = root
        self.url = f"http://127.0.0.1:{free_port()}"
        files = {"pinstripe.toml": f'timezone = "Europe/Berlin"\n\n[server]\nhost = "{self.url[7:]}"\n', **FILES}
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(dedent(text).lstrip())
        self.visitor = Visitor(browser, root, self.url)
        self.daemon = self.start()

    def start(self, *flags: str) -> Daemon:
        """Start its server."""
        self.daemon = Daemon(self.root, "start-server", "--log-format", "json", *flags)
        self.daemon.wait_for("server_started")
        return self.daemon

    def let_go(self) -> None:
        """Let the patient job end."""
        (self.root / "go").touch()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared_shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(browser, tmp_path_factory.mktemp("shop"))
    yield shop
    shop.daemon.end()


@pytest.fixture
def shop(shared_shop: Shop) -> Iterator[Shop]:
    """The shop that these tests share; no page may have complained at the end."""
    (shared_shop.root / "go").unlink(missing_ok=True)
    shared_shop.visitor.complaints.clear()
    yield shared_shop
    shared_shop.let_go()
    shared_shop.visitor.leave()
    assert shared_shop.visitor.complaints == []


@pytest.fixture
def own_shop(browser: Browser, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose server may be ended."""
    shop = Shop(browser, tmp_path)
    yield shop
    shop.let_go()
    shop.visitor.leave()
    shop.daemon.end()


@pytest.fixture
def page(shop: Shop) -> Page:
    """A page of somebody who has logged in."""
    return shop.visitor.come()


@pytest.fixture(scope="module")
def failed_run(shared_shop: Shop) -> str:
    """The address of the page of a run that has failed."""
    page = shared_shop.visitor.come()
    address = run_by_hand(page, "loud")
    expect(page.get_by_role("heading", level=1)).to_have_text("loud failed")
    page.context.close()
    return address


def stay(page: Page) -> Callable[[], bool]:
    """Tells whether the page has not been loaded again since."""
    page.evaluate("window.hasStayed = true")
    return lambda: bool(page.evaluate("window.hasStayed === true"))


# Logging in


def test_the_address_that_a_server_prints_logs_in_once(own_shop: Shop) -> None:
    own_shop.daemon.end()
    told = Daemon(own_shop.root, "start-server", "--log-format", "console")
    own_shop.daemon = told
    address = told.wait_for_text("Open the console, once").split()[-1]
    page = own_shop.visitor.come_as_stranger()

    page.goto(to("jobs"))
    expect(page).to_have_url(re.compile("/login"))
    page.goto(address)
    page.get_by_role("button", name="Open the console").click()
    expect(page.get_by_role("navigation", name="Console")).to_be_visible()

    page.goto(address)
    expect(page.get_by_role("alert")).to_have_text("This address has been used, or is older than 10 minutes.")


def test_the_command_gives_an_address_and_one_can_log_out(shop: Shop) -> None:
    command = [sys.executable, "-m", "pinstripe_bot", "login-address", "--json"]
    told = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=True)
    page = shop.visitor.come_as_stranger()

    page.goto(json.loads(told.stdout)["address"])
    page.get_by_role("button", name="Open the console").click()
    page.get_by_role("button", name="Log out").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.goto(to("system"))
    expect(page).to_have_url(re.compile("/login"))


# What moves by itself


def test_a_run_is_watched_to_its_end_without_loading_the_page_again(shop: Shop, page: Page) -> None:
    run_by_hand(page, "patient")
    has_stayed = stay(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("patient is running")
    expect(page.get_by_role("list", name="Output")).to_contain_text("begun")

    shop.let_go()

    expect(page.get_by_role("heading", level=1)).to_have_text("patient succeeded")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert has_stayed()


def test_matters_and_countdowns_move_by_themselves(own_shop: Shop) -> None:
    page = own_shop.visitor.come()
    page.goto(to())
    has_stayed = stay(page)
    expect(page.locator("#matters")).to_contain_text("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("a_broken_supplier_feed.py needs attention")
    countdown = page.locator("#verdict [data-due]")
    first = countdown.inner_text()
    elsewhere = own_shop.visitor.come()

    run_by_hand(elsewhere, "loud")

    expect(page.get_by_role("heading", level=1)).to_have_text("Two things need attention")
    expect(page.locator("#matters")).to_contain_text("2")
    expect(countdown).not_to_have_text(first)
    assert has_stayed()


def test_a_page_says_that_its_server_is_away_and_is_live_again_when_it_is_back(own_shop: Shop) -> None:
    page = own_shop.visitor.come()
    page.goto(to("jobs"))
    has_stayed = stay(page)
    pulse, table = page.locator("#pulse"), page.locator("main table")
    expect(pulse).to_contain_text("heard")
    before = table.evaluate("(it) => getComputedStyle(it).color")

    own_shop.daemon.end()
    expect(pulse).to_contain_text(re.compile(r"Not live since \d\d:\d\d:\d\d"))
    during = table.evaluate("(it) => getComputedStyle(it).color")
    own_shop.start()

    expect(pulse).to_contain_text("heard")
    assert during != before
    assert table.evaluate("(it) => getComputedStyle(it).color") == before
    assert has_stayed()


# What is done


def test_a_job_runs_with_a_parameter_of_each_kind(page: Page) -> None:
    page.goto(to("jobs/everything"))
    form = page.locator("#run form")
    for name, written in {
        **{"number": "7", "ratio": "0.25", "text": "for Zoë", "day": "2026-03-29", "wait": "90s"},
        **{"at": "2026-03-29T02:30:00+02:00", "code": "open sesame", "many": "[1, 2]"},
    }.items():
        form.get_by_label(re.compile(f"^{name}")).fill(written)
    form.get_by_label("kind").select_option("fine")
    form.get_by_label("colour").select_option("blue")
    form.get_by_label("yes").check()

    form.get_by_role("button", name="Run now").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("everything succeeded")
    output = page.get_by_role("list", name="Output")
    expect(output).to_contain_text("number=7 ratio=0.25 text='for Zoë' day=2026-03-29 at=2026-03-29T02:30:00+02:00")
    expect(output).to_contain_text("wait=0:01:30 kind=fine colour=blue yes=True many=[1, 2] letters=11")
    expect(page.locator("main")).not_to_contain_text("open sesame")


def test_a_value_that_does_not_fit_is_explained(shop: Shop, page: Page) -> None:
    page.goto(to("jobs/weekly"))
    page.locator("#pause").get_by_label("until").fill("whenever")

    page.locator("#pause").get_by_role("button", name="Pause").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("That was not done")
    expect(page.locator("main")).to_contain_text("whenever")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("weekly")
    shop.visitor.forgive(400)


def test_a_job_is_paused_until_and_resumed(page: Page) -> None:
    page.goto(to("jobs/nightly"))
    page.get_by_label("until").fill("2h")
    page.get_by_label("reason").fill("the stock is counted")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#job-head")).to_contain_text("Paused by login address until")
    expect(page.locator("#job-head")).to_contain_text("the stock is counted")
    page.get_by_role("button", name="Resume").click()

    expect(page.locator("#job-head")).to_contain_text("Due next")
    expect(page.get_by_role("status").first).to_contain_text("Resumed")


def test_the_next_due_instant_is_skipped_and_the_skip_taken_back(page: Page) -> None:
    page.goto(to("jobs/nightly"))

    page.get_by_role("button", name="Skip next").click()
    expect(page.locator("#job-head")).to_contain_text("The next one will be skipped.")
    page.get_by_role("button", name="Take the skip back").click()

    expect(page.get_by_role("button", name="Skip next")).to_be_visible()


def test_a_running_run_is_cancelled(page: Page) -> None:
    run_by_hand(page, "patient")
    expect(page.get_by_role("heading", level=1)).to_have_text("patient is running")

    cancel(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("patient was cancelled")
    expect(page.locator("#facts")).to_contain_text("by login address")


# What is read


def test_the_output_of_a_run_is_read_searched_and_downloaded(page: Page, failed_run: str) -> None:
    page.goto(failed_run)
    output = page.get_by_role("list", name="Output")
    connected = output.get_by_text("connected", exact=True)
    refused = output.get_by_text("refused", exact=True)
    assert connected.evaluate("(it) => getComputedStyle(it).color") != output.evaluate(
        "(it) => getComputedStyle(it).color"
    )
    assert refused.evaluate("(it) => getComputedStyle(it).fontWeight") == "700"

    page.get_by_label("Search the output").fill("MAIL 4")
    page.get_by_label("Search the output").press("Enter")
    expect(page.locator("#output")).to_contain_text("2 lines")
    expect(output.locator("mark").first).to_have_text("mail 4")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()

    assert re.fullmatch(r"run-\d+\.txt", downloading.value.suggested_filename)
    assert "mail 39 sent" in Path(downloading.value.path()).read_text()


def test_the_traceback_of_a_run_shows_whose_code_it_was(page: Page, failed_run: str) -> None:
    page.goto(failed_run)

    own = page.locator("#trace .own")

    expect(own.first).to_contain_text("lib/background_jobs/loud.py:13 in loud")
    expect(own.last).to_contain_text("mailing.py:2 in send")
    expect(page.locator("#trace .end")).to_have_text(
        "ConnectionError: the mail server hung up after forty letters, and asks for an hour of rest"
    )


def test_jobs_are_filtered_and_sorted(page: Page, failed_run: str) -> None:
    names = page.locator("main tbody a.name")
    page.goto(to("jobs"))

    page.get_by_role("link", name=re.compile("^Process")).click()
    expect(names).to_have_text(["nightly"])
    page.get_by_role("link", name=re.compile("^Trouble")).click()
    expect(names).to_have_text(["a-broken-supplier-feed", "loud"])
    page.get_by_role("link", name=re.compile("^All")).click()
    page.get_by_label("Filter by name or schedule").fill("monday")
    page.get_by_label("Filter by name or schedule").press("Enter")
    expect(names).to_have_text(["weekly"])
    page.goto(to("jobs"))
    page.get_by_label("Sort by").select_option("Name")

    expect(names).to_have_text(
        ["a-broken-supplier-feed", "everything", "loud", "nightly", "often", "patient", "weekly"]
    )
    expect(page.locator("th[aria-sort]")).to_contain_text("Job")


def test_runs_are_filtered(page: Page, failed_run: str) -> None:
    page.goto(to("runs"))

    page.get_by_role("link", name="Failed").click()
    expect(page.locator("main tbody a.name")).to_have_text(["loud"])
    page.get_by_label("Job", exact=True).fill("nightly")
    page.get_by_role("button", name="Filter").click()

    expect(page.locator("main")).to_contain_text("Nothing matches failed, job nightly.")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("main tbody a.name").filter(has_text="loud").first).to_be_visible()


# Keys


def test_keys_lead_through_the_console(page: Page, failed_run: str) -> None:
    page.goto(to())
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile("/jobs$"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.on")).to_have_count(1)
    first = page.locator("tr.on a.name").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(first)

    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/runs$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_no_key_is_taken_from_a_field(page: Page) -> None:
    page.goto(to("runs"))
    field = page.get_by_label("Search jobs")

    page.keyboard.press("/")
    expect(field).to_be_focused()
    page.keyboard.type("gj?/k")
    expect(field).to_have_value("gj?/k")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Escape")

    expect(field).not_to_be_focused()
    expect(page).to_have_url(re.compile("/runs$"))


# Whoever looks, and however


def test_without_a_script_everything_works(shop: Shop, failed_run: str) -> None:
    command = [sys.executable, "-m", "pinstripe_bot", "login-address"]
    told = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=True)
    page = shop.visitor.come_as_stranger(java_script_enabled=False)

    page.goto(told.stdout.strip())
    page.get_by_role("button", name="Open the console").click()
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_label("Filter by name or schedule").fill("nightly")
    page.get_by_role("button", name="Filter").click()
    page.locator("main tbody").get_by_role("link", name="nightly").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#job-head")).to_contain_text("Paused by login address")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#job-head")).to_contain_text("Due next")
    page.locator("#run").get_by_role("button", name="Run now").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("nightly")
    page.goto(failed_run)
    expect(page.locator("#trace .own").first).to_be_visible()


def test_a_server_without_a_bot_shows_the_same_ledger_and_says_that_no_bot_ticks(own_shop: Shop) -> None:
    address = run_by_hand(own_shop.visitor.come(), "loud")
    own_shop.daemon.wait_for("run_failed")
    own_shop.visitor.leave()
    own_shop.daemon.end()

    own_shop.start("--without-bot")
    page = own_shop.visitor.come()
    page.goto(address)

    expect(page.get_by_role("heading", level=1)).to_have_text("loud failed")
    expect(page.locator("#no-bot")).to_contain_text("Nothing runs until one starts.")
    expect(page.locator("#pulse")).to_contain_text("no bot")


def test_it_is_dark_where_people_want_it_dark(shop: Shop) -> None:
    papers = {}
    for scheme in ("light", "dark"):
        page = shop.visitor.come(color_scheme=scheme)
        page.goto(to())
        papers[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert papers == {"light": "rgb(245, 246, 248)", "dark": "rgb(13, 16, 23)"}


def test_nothing_moves_for_people_who_want_that(shop: Shop) -> None:
    moving = {}
    for wish in ("no-preference", "reduce"):
        page = shop.visitor.come(reduced_motion=wish)
        run_by_hand(page, "patient")
        expect(page.get_by_role("heading", level=1)).to_have_text("patient is running")
        moving[wish] = page.evaluate("document.getAnimations().length") > 0
        cancel(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("patient was cancelled")

    assert moving == {"no-preference": True, "reduce": False}


def pages_of(page: Page, failed_run: str) -> Iterator[str]:
    """The address of every page, of those with something on them; a job runs meanwhile."""
    yield run_by_hand(page, "patient")
    yield failed_run
    yield f"{failed_run}?find=refused"
    paths = (
        *("", "jobs", "jobs?q=nothing", "jobs/nightly", "jobs/everything", "jobs/a-broken-supplier-feed", "jobs/loud"),
        *("runs", "runs?state=late", "timeline", "system", "system?settings=all", "jobs/nobody"),
    )
    yield from map(to, paths)


def test_every_page_can_be_used_by_everybody_and_fits_every_screen(shop: Shop, failed_run: str) -> None:
    page = shop.visitor.come(reduced_motion="reduce")  # or colours would still be on their way
    breaches = []

    for address in [*pages_of(page, failed_run), to("login")]:
        if address == to("login"):
            page = shop.visitor.come_as_stranger(reduced_motion="reduce")
        page.goto(address)
        for scheme, size in (("light", DESKTOP), ("light", PHONE), ("dark", DESKTOP)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            found = violations(page, only_colours=scheme == "dark")
            if by := overflow(page):
                found.append(f"it is {by} pixels wider than the window")
            breaches += [f"{address} at {size['width']} px, {scheme}: {one}" for one in found]

    shop.visitor.forgive(404)
    assert not breaches, "\n".join(breaches)


def test_on_a_phone_everything_is_within_reach(shop: Shop, failed_run: str) -> None:
    page = shop.visitor.come(viewport=PHONE, has_touch=True)
    page.goto(to())

    for name, heading in (("Jobs", "Jobs"), ("Runs", "Runs"), ("Timeline", "Timeline"), ("System", "System")):
        page.get_by_role("navigation", name="Console").get_by_role("link", name=name).tap()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    page.goto(to("jobs/nightly"))
    page.locator("#run").get_by_role("button", name="Run now").tap()
    expect(page).to_have_url(re.compile(r"/runs/\d+$"))
    page.goto(failed_run)
    page.get_by_role("button", name="Run again").tap()

    expect(page.get_by_role("heading", level=1)).to_contain_text("loud")
