"""The console of 500 jobs and 100,000 runs: how long the server works on each page, and on each answer of the API.

The project is made of files and loaded, its bot is signed in and has planned, and a SQLite ledger on disk is filled:
every minute to daily, three in a hundred gone wrong and one late, some skipped and missed, one job for 200 tenants, one
with four in ten of all runs. Whoever asks is logged in, and asks the whole application, in this process.

The floor reads the newest 60 runs of 50 jobs with `sqlite3` and renders them with a template of about the size of the
Jobs page. All take turns. A rendering costs what the process took of the processor in all its threads: a machine that
is busy with something else changes it little.

Run: python benchmarks/console.py [--runs 1000000] [--rounds 7] [--renderings 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from console_shop import BIG, CROWD, JOBS, Filling, write_project
from jinja2 import Environment
from sqlalchemy import Engine, event

from pinstripe_bot import Bot, Project
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.console.application import build_application
from pinstripe_bot.logs import configure_logs

MOST_MS, MOST_BYTES, MOST_MORE_MB = 200, 300_000, 8

JOBS_PAGES = ("jobs", *(f"jobs?sort={sort}" for sort in ("name", "result", "duration")))
JOBS_FILTERS = tuple(f"jobs?show={kind}" for kind in ("trouble", "running", "paused", "tenants", "process"))
STATES = ("failed", "running", "late", "skipped", "missed", "manual", "interrupted")
RUNS_PAGES = ("runs", *(f"runs?state={one}" for one in STATES), f"runs?job={CROWD}&tenant=7", "runs?tenant=7")
WINDOWS = tuple(f"timeline?window={one}" for one in ("6h", "24h", "7d"))
API = ("now", "jobs", "jobs/job-020", "runs", "runs?state=late&limit=1000", "timeline", "system", "audit")


@dataclass
class Measured:
    """What one address cost: seconds of the processor in each round, statements, bytes."""

    cpu_s: list[float] = field(default_factory=list)
    statements: int = 0
    size: int = 0

    @property
    def median_ms(self) -> float:
        return statistics.median(self.cpu_s) * 1000


def main() -> int:
    """Print what each page costs, beside the floor; 1 if a target is missed."""
    parser = argparse.ArgumentParser()
    for name, default in (("runs", 100_000), ("rounds", 7), ("renderings", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as log:
        configure_logs("json", stream=log)
        root = Path(folder)
        write_project(root)
        project = Project.load(root)
        bot = Bot(project)
        bot.plan()
        begun = time.perf_counter()
        Filling(bot.ledger.store.path, asked.runs, bot.ledger.bot).fill()
        print(f"{JOBS} jobs, {asked.runs} runs, written in {time.perf_counter() - begun:.0f} s; {asked.rounds} rounds")
        visitor = Visitor(project)
        pages = all_pages(bot.ledger.store.path)
        found = measure(visitor, bot.ledger.store.path, pages, asked.rounds)
        more_mb = growth(visitor, pages, asked.renderings)
        bot.stop()
    return told(found, more_mb, asked.renderings)


def told(found: dict[str, Measured], more_mb: float, renderings: int) -> int:
    """Print the table and the targets; 1 if one is missed."""
    floor = found.pop("floor").median_ms
    print(f"{'':38}{'median':>10}{'worst':>10}{'statements':>12}{'bytes':>10}{'floors':>8}")
    for name, one in found.items():
        row = f"  {name:36}{one.median_ms:7.0f} ms{max(one.cpu_s) * 1000:7.0f} ms{one.statements:12}{one.size:10}"
        print(f"{row}{one.median_ms / floor:8.1f}")
    print(f"  {'the floor':36}{floor:7.1f} ms")
    slowest = max(found, key=lambda name: found[name].median_ms)
    pages = {name: one for name, one in found.items() if not name.startswith("api/")}
    largest = max(pages, key=lambda name: pages[name].size)
    most_ms, most_bytes = found[slowest].median_ms, pages[largest].size
    targets = [
        (f"{slowest} takes longest: {most_ms:.0f} ms (target: {MOST_MS})", most_ms <= MOST_MS),
        (f"{largest} is the largest page: {most_bytes} bytes (target: {MOST_BYTES})", most_bytes <= MOST_BYTES),
        (f"{more_mb:.1f} MB more after {renderings} renderings (target: {MOST_MORE_MB})", more_mb <= MOST_MORE_MB),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def all_pages(path: Path) -> list[str]:
    """Every page, and every GET of the API."""
    with sqlite3.connect(path) as ledger:
        (failed,) = ledger.execute("SELECT max(id) FROM runs WHERE state = 'failed'").fetchone()
        (last,) = ledger.execute("SELECT max(id) FROM runs").fetchone()
        (of_tenant,) = ledger.execute("SELECT max(id) FROM runs WHERE tenant <> ''").fetchone()
    deep = (f"runs?before={last // 2}-{last // 2}", "runs?since=48h&until=24h")
    api = (*API, f"runs/{failed}", f"runs/{failed}/output", "explain?job=job-020&at=02:30")
    jobs = ("jobs/job-020", f"jobs/{BIG}", f"jobs/{CROWD}", f"runs/{failed}", f"runs/{of_tenant}")
    pages = ("", *JOBS_PAGES, *JOBS_FILTERS, "jobs?q=hour", "jobs?page=9", *jobs, *RUNS_PAGES, *deep, *WINDOWS)
    return [*pages, "system", "system?settings=all", *(f"api/{one}" for one in api), "metrics"]


def measure(visitor: Visitor, path: Path, pages: list[str], rounds: int) -> dict[str, Measured]:
    """All of them in turns; the first round, in which templates and statements are compiled, does not count."""
    found = {name: Measured() for name in ("floor", *pages)}
    floor = floor_of(path)
    for number in range(rounds + 1):
        for name, one in found.items():
            before, begun = visitor.statements, time.process_time()
            size = floor() if name == "floor" else visitor.size_of(name)
            if number:
                one.cpu_s.append(time.process_time() - begun)
            one.statements, one.size = visitor.statements - before, size
    return found


def growth(visitor: Visitor, pages: list[str], renderings: int) -> float:
    """How many MB of memory more there are after so many renderings, half as many having been made before."""
    before = resident_mb()
    for number in range(renderings * 3 // 2):
        if number == renderings // 2:
            gc.collect()
            before = resident_mb()
        visitor.size_of(pages[number % len(pages)])
    gc.collect()
    return resident_mb() - before


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Visitor:
    """Somebody who has logged in, and the statements that the answers took."""

    def __init__(self, project: Project) -> None:
        self.statements = 0
        event.listen(Engine, "before_cursor_execute", self._count)
        self._served = build_application(project, None, SystemClock(), None)
        self._runner = asyncio.Runner()
        form = urlencode({"key": self._served.addresses.issue()}).encode()
        sent = self._ask("login", "POST", form, (b"content-type", b"application/x-www-form-urlencoded"))
        cookie = dict(sent[0]["headers"])[b"set-cookie"].partition(b";")[0]
        self._headers = (b"cookie", cookie)

    def size_of(self, page: str) -> int:
        """The bytes of the page, which must be there."""
        status, *bodies = self._ask(page, "GET", b"", self._headers)
        assert status["status"] == 200, (page, status, bodies)
        return sum(len(one.get("body", b"")) for one in bodies)

    def _ask(self, page: str, method: str, body: bytes, *headers: tuple[bytes, bytes]) -> list[Any]:
        path, _, query = page.partition("?")
        own = [(b"host", b"localhost:3000"), (b"sec-fetch-site", b"same-origin"), *headers]
        scope = {"type": "http", "method": method, "path": f"/_pinstripe/{path}", "raw_path": b"", "scheme": "http"}
        scope |= {"query_string": query.encode(), "headers": own, "root_path": "", "http_version": "1.1"}
        scope |= {"server": ("127.0.0.1", 3000), "client": ("127.0.0.1", 50000), "state": {}}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        self._runner.run(self._served.application(scope, receive, send))
        return sent

    def _count(self, _connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        self.statements += not statement.startswith(("BEGIN", "ROLLBACK"))


FLOOR = """<table>{% for job, runs in jobs %}<tr><td><a href="/_pinstripe/jobs/{{ job }}">{{ job }}</a></td><td><svg>
{% for run in runs %}<path class="{{ run.state }}" d="M{{ run.x }} 0h2v{{ run.y }}h-2z"/>{% endfor %}</svg></td></tr>
{% endfor %}</table>"""


def floor_of(path: Path) -> Callable[[], int]:
    """The least that a page of strips has to do: read the newest runs of 50 jobs, and render them."""
    ledger, template = sqlite3.connect(path), Environment(autoescape=True).from_string(FLOOR)
    newest = "SELECT id, due_at, state, started_at, finished_at FROM runs WHERE job = ? ORDER BY id DESC LIMIT 60"

    def read_and_render() -> int:
        jobs = []
        for number in range(50):
            rows = ledger.execute(newest, (f"job-{number:03}",)).fetchall()
            runs = [{"state": row[2], "x": at * 4, "y": row[0] % 20} for at, row in enumerate(rows)]
            jobs.append((f"job-{number:03}", runs))
        return len(template.render(jobs=jobs).encode())

    return read_and_render


if __name__ == "__main__":
    sys.exit(main())
