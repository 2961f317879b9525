"""The list of runs, page by page and filtered; and a ledger that cannot be read."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections import Counter
from urllib.parse import urlsplit

import psycopg
import pytest
from bots import locked
from sqlalchemy import make_url

from pinstripe_bot.project import Project

from .reading_html import Page
from .whole import IMAGE, SCRIPT, WholeConsole

PAGES = ("/", "/jobs", "/runs", "/timeline", "/system", "/jobs/hello", "/runs/1")


def rows_of(page: Page) -> list[str]:
    """The addresses of its rows, in order."""
    return [one.get("data-row") for one in page.all("tr") if one.get("data-row")]


def test_pages_neither_repeat_nor_lose_a_run_while_new_ones_arrive(whole: WholeConsole) -> None:
    for number in range(130):
        whole.acting.run("waits", {"number": number})
    wanted = Counter(f"/_pinstripe/runs/{number}" for (number,) in whole.rows("SELECT id FROM runs"))
    passed = whole.rows("SELECT count(*) FROM occurrences WHERE decision <> 'run'")[0][0]

    seen: Counter[str] = Counter()
    query, pages = "", 0
    while True:
        page = Page(whole.ask("/runs", query=query).text)
        seen.update(rows_of(page))
        pages += 1
        whole.acting.run("waits", {"new": pages})
        following = [one.get("href") for one in page.all("a") if one.get("rel") == "next"]
        if not following:
            break
        query = urlsplit(following[0]).query

    runs = Counter({address: count for address, count in seen.items() if "/runs/" in address})
    assert pages >= 3
    assert runs == wanted
    assert seen.total() - runs.total() == passed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=failed", {"failing", "for-all", "typed", "slow"}),
        ("state=timed_out", {"slow"}),
        ("state=running", {"open", "waits", "keyed"}),
        ("state=manual", {"slow", "typed", "open", "waits", "apart"}),
        ("state=cancelled", {"apart"}),
        ("job=reports/daily", {"reports/daily"}),
        ("tenant=acme", {"for-all"}),
        ("state=failed&tenant=acme&job=for_all", {"for-all"}),
        ("job=nothing", set()),
        ("tenant=nobody", set()),
    ],
)
def test_filters_show_what_they_say(standing: WholeConsole, query: str, expected: set[str]) -> None:
    page = Page(standing.ask("/runs", query=query).text)
    told = standing.read_json("/runs", query=query)["runs"]

    names = {"".join(one.texts) for one in page.all("a") if one.get("class") == "name"}
    assert names == expected
    assert {one["job"] for one in told} == expected


@pytest.mark.parametrize("query", ["state=nothing", "since=never", "until=99%3A99", "since=%00"])
def test_a_filter_that_cannot_be_read_is_one_sentence(standing: WholeConsole, query: str) -> None:
    answer = standing.ask("/runs", query=query)

    assert answer.status == (200 if "%00" in query else 400)
    assert standing.ask("/api/runs", query=query).status == answer.status


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/runs", "since=9999999d"),
        ("/runs", "until=9999999d"),
        ("/api/runs", "since=99999999h"),
        ("/api/timeline", "since=9999999d"),
        ("/api/explain", "job=hello&at=0001-01-01"),
        ("/api/explain", "job=hello&at=9999-12-31T23:59-12:00"),
    ],
)
def test_a_time_before_or_after_all_years_is_one_sentence(standing: WholeConsole, path: str, query: str) -> None:
    answer = standing.ask(path, query=query)

    assert (answer.status, "nearer to today" in answer.text) == (400, True)


def test_a_place_of_a_page_that_no_ledger_has_shows_nothing_or_the_first(standing: WholeConsole) -> None:
    for before in ("9" * 30 + "-1", f"{'9' * 18}-{'9' * 18}", "0-0", "1-1-1", "-", "x"):
        assert standing.ask("/runs", query=f"before={before}").status == 200, before


def test_a_filter_stands_in_its_fields_as_it_was_written(standing: WholeConsole) -> None:
    page = Page(standing.ask("/runs", query="tenant=%22%3E%3Cimg%20src%3Dx%20onerror%3D1%3E&job=%3Cscript%3E").text)

    assert {one.get("value") for one in page.all("input") if one.get("name") == "tenant"} == {IMAGE}
    assert SCRIPT not in page.text


# A ledger in trouble


def check_away(whole: WholeConsole) -> None:
    """Every page and every answer says in one sentence that the ledger cannot be read; none is made in its place."""
    for path in PAGES:
        answer = whole.ask(path)
        assert answer.status == 503, path
        page = Page(answer.text)
        assert page.faults == []
        assert "The ledger does not answer" in page.text
        assert "Traceback" not in page.text
    for path in ("/now", "/runs", "/runs/1", "/jobs", "/system", "/audit"):
        answer = whole.ask(f"/api{path}")
        assert (answer.status, isinstance(answer.error, str)) == (503, True), path
    assert whole.post("/pause").status == 503
    assert whole.send_json("/jobs/hello/run").status == 503


def reopened(whole: WholeConsole) -> WholeConsole:
    """The same console, by a server that has not read the ledger yet."""
    whole.served.close()
    whole.served = whole.serve(whole.bot)
    return whole


def test_a_damaged_ledger_is_one_sentence_and_a_whole_one_is_read_again(empty: WholeConsole) -> None:
    file = empty.project.root / ".pinstripe/ledger.db"
    file.write_bytes(b"no database at all" * 100)

    check_away(empty)
    file.unlink()

    assert empty.ask("/").status == 200


@pytest.mark.parametrize(("version", "told"), [("9999", "newer pinstripe"), ("1", "start")])
def test_a_ledger_of_another_release_is_one_sentence(whole: WholeConsole, version: str, told: str) -> None:
    whole.served.close()
    with sqlite3.connect(whole.path) as connection:
        connection.execute("UPDATE ledger SET value = ? WHERE name = 'version'", (version,))

    answer = whole.ask("/")

    assert (answer.status, told in answer.text, "Traceback" in answer.text) == (503, True, False)


def test_a_ledger_that_another_program_locks_is_shown(whole: WholeConsole) -> None:
    with locked(whole.bot.ledger):
        assert {whole.ask(path).status for path in PAGES} == {200}


def test_a_server_that_is_away_is_one_sentence(empty: WholeConsole) -> None:
    url = "postgresql://ada:hidden-word@127.0.0.1:9/shop?connect_timeout=2"
    overrides = {"ledger.url": url, "timezone": "UTC"}
    project = Project.load(empty.project.root, environ={}, overrides=overrides)
    empty.served.close()
    empty.served = empty.serve(empty.bot, project)

    answers = [empty.ask(path) for path in ("/", "/runs", "/api/now")]

    assert [answer.status for answer in answers] == [503] * 3
    assert not any("hidden-word" in answer.text for answer in answers)
    assert make_url(url).password == "hidden-word"


def test_a_ledger_that_is_moved_away_is_gone_and_found_again(whole: WholeConsole) -> None:
    reopened(whole)
    copy = whole.path.with_name("away.db")
    whole.bot.ledger.store.close()
    shutil.move(whole.path, copy)
    assert whole.ask("/").status == 200
    shutil.move(copy, whole.path)

    assert "hello" in whole.ask("/runs").text


def test_a_database_that_comes_back_is_read_again(empty: WholeConsole, fresh_postgres_url: str) -> None:
    name = f"shop_{uuid.uuid4().hex}"
    url = make_url(fresh_postgres_url).set(database=name).render_as_string(hide_password=False)
    project = Project.load(empty.project.root, environ={}, overrides={"ledger.url": url, "timezone": "UTC"})
    empty.served.close()
    empty.served = empty.serve(empty.bot, project)

    away = empty.ask("/")
    with psycopg.connect(fresh_postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        back, acted = empty.ask("/"), empty.post("/jobs/hello/run")
        told = empty.ask("/runs")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert (away.status, back.status, acted.status, "hello" in told.text) == (503, 200, 303, True)
    assert empty.ask("/").status == 503
