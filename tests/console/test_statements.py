"""How many statements a page takes: as many for a large project as for a small one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from pinstripe_bot.console.application import Served, build_application
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import occurrences, pauses, runs
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

from .asking import SAME_SITE, ask, post

JOB = """
from pinstripe_bot import background_job

@background_job("*/{minutes} * * * *"{more})
def job(workspace):
    pass
"""

SETTINGS = """
[tenants]
table = "tenants"
"""

PAGES = (
    *("/", "/jobs", "/jobs?sort=result", "/jobs?sort=duration", "/jobs?show=trouble", "/jobs?show=running"),
    *("/jobs?show=paused", "/jobs?q=minutes", "/jobs/job-0", "/jobs/job-1", "/runs", "/runs?state=failed"),
    *("/runs?state=late", "/runs?state=missed", "/runs?job=job-1", "/runs?since=24h", "/runs/3"),
    *("/timeline?window=6h", "/timeline", "/timeline?window=7d", "/system", "/metrics"),
    *("/api/now", "/api/jobs", "/api/jobs/job-1", "/api/runs", "/api/runs/3", "/api/timeline", "/api/system"),
)


@dataclass(frozen=True)
class Shop:
    """A console with jobs and runs, and the cookie of somebody who has logged in to it."""

    served: Served
    cookie: str

    def statements_of(self, path: str) -> int:
        """How many statements a page takes once all is open."""
        path, _, query = path.partition("?")
        with counting() as sent:
            answer = ask(self.served.application, path, query=query, cookie=self.cookie)
        assert answer.status == 200, answer.text
        return len(sent)


@contextmanager
def counting() -> Iterator[list[str]]:
    """The statements that are sent to any database in the block."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith(("BEGIN", "ROLLBACK")):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def open_shop(load_project: Any, clock: TravelClock) -> Iterator[Any]:
    """Give a console of so many jobs with so many runs each; the first one is for tenants."""
    shops: list[Served] = []

    def make(jobs: int, runs_each: int) -> Shop:
        texts = {
            f"lib/background_jobs/job_{n}.py": JOB.format(minutes=n % 7 + 2, more="" if n else ", multi_tenant=True")
            for n in range(jobs)
        }
        project = load_project({**texts, "pinstripe.toml": SETTINGS}, name=f"shop-{jobs}")
        _fill(project, clock, jobs, runs_each)
        served = build_application(project, None, clock, None)
        shops.append(served)
        answer = post(served.application, "/login", {"key": served.addresses.issue()}, headers=SAME_SITE)
        shop = Shop(served, answer.cookie)
        shop.statements_of("/")  # opens the ledger
        return shop

    yield make
    for one in shops:
        one.close()


def _fill(project: Project, clock: TravelClock, jobs: int, runs_each: int) -> None:
    """The runs of the last minutes, of each job by turns; of every ten of a job two are bad, one late, one missed."""
    ledger = Ledger.of(project.config, project.root)
    ledger.open(project.name, clock.now())
    instants = [(at, job) for at in range(runs_each) for job in range(jobs)]
    now = to_column(clock.now())
    due = [now - (len(instants) - number) * 1_000_000 for number in range(len(instants))]
    with ledger.store.writing() as connection:
        rows = [_occurrence(n, at, job, due[n - 1]) for n, (at, job) in enumerate(instants, 1)]
        connection.execute(insert(occurrences), rows)
        rows = [_run(n, at, job, due[n - 1], now) for n, (at, job) in enumerate(instants, 1)]
        connection.execute(insert(runs), rows)
        paused_at = to_column(clock.now() - timedelta(days=10))
        wishes = [{"job": "job-2", "tenant": "", "paused_at": paused_at, "who": "ada"}]
        connection.execute(insert(pauses), [*wishes, {"job": "job-0", "tenant": "1", "paused_at": now, "who": "ada"}])
    ledger.close(clock.now())


def _occurrence(number: int, at: int, job: int, due_at: int) -> dict[str, Any]:
    facts = {"id": number, "job": f"job-{job}", "schedule": "x", "due_at": due_at, "claimed_at": due_at, "bot": "bot"}
    is_missed = at % 10 == 3
    return facts | {"decision": "missed" if is_missed else "run", "reason": "bot_down" if is_missed else None}


def _run(number: int, at: int, job: int, due_at: int, now: int) -> dict[str, Any]:
    state = {1: "failed", 2: "timed_out", 9: "running"}.get(at % 10 if at < 10 else 0, "succeeded")
    return {
        "id": number,
        "occurrence_id": number,
        "job": f"job-{job}",
        "schedule": "x",
        "tenant": "" if job else str(at % 3),
        "due_at": due_at,
        "state": state,
        "params": "{}",
        "params_key": "",
        "available_at": due_at,
        "claimed_at": due_at,
        "started_at": due_at + (90_000_000 if at % 10 == 4 else 5000),
        "finished_at": None if state == "running" else now,
    }


def test_a_page_takes_as_many_statements_for_many_jobs_and_runs_as_for_few(open_shop: Any) -> None:
    small, large = open_shop(4, 12), open_shop(60, 40)

    counts = {page: (small.statements_of(page), large.statements_of(page)) for page in PAGES}

    assert {page: each for page, each in counts.items() if each[0] != each[1]} == {}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_takes_few_statements(open_shop: Any, page: str) -> None:
    shop = open_shop(4, 12)

    assert shop.statements_of(page) < 60
