"""Bots that are killed, stopped and asked while they list tenants: each tenant has its run, and none has two."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from processes import PATIENCE_S, BotProcess, bots_of

TENANTS = 2000

LISTED_SLOWLY = f"""
import time
from pinstripe_bot import Tenant

def tenants(workspace):
    for number in range({TENANTS}):
        if number and number % 500 == 0:
            time.sleep(0.4)
        yield Tenant(number)

def tenant(workspace, id):
    return Tenant(int(id))
"""

NOTING = """
import os
from pinstripe_bot import background_job


@background_job("{expression}", name="all", multi_tenant=True, tenant_concurrency=8)
def note(workspace):
    descriptor = os.open(workspace.project.root / "notes.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, f"{{workspace.tenant.id}} {{int(workspace.due_at.timestamp())}}\\n".encode())
    os.close(descriptor)
"""

HANGING = """
import time
from pinstripe_bot import Tenant

def tenants(workspace):
    for number in range(2000):
        while number == 600 and not (workspace.project.root / "go").exists():
            time.sleep(0.01)
        yield Tenant(number)

def tenant(workspace, id):
    return Tenant(int(id))
"""

EVERY_SECOND, ONCE_A_YEAR = "* * * * * *", "0 0 1 1 *"


class Shop:
    """A project with tenants, its bots, and a look into its ledger."""

    def __init__(self, root: Path, url: str | None, start_bot: Callable[..., BotProcess]) -> None:
        self.root = root
        self._url = url
        self._start_bot = start_bot

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def start(self) -> BotProcess:
        bot = self._start_bot()
        bot.wait_for("bot_started")
        return bot

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if self._url:
            with psycopg.connect(self._url, options="-c search_path=pinstripe") as server:
                return server.execute(query).fetchall()
        connection = sqlite3.connect(self.root / ".pinstripe/ledger.db", timeout=PATIENCE_S)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def hurry(self) -> None:
        """Let a listing that has failed be tried again now."""
        change = "UPDATE listings SET available_at = 0"
        if self._url:
            with psycopg.connect(self._url, options="-c search_path=pinstripe") as server:
                server.execute(change)
            return
        connection = sqlite3.connect(self.root / ".pinstripe/ledger.db", timeout=PATIENCE_S, isolation_level=None)
        connection.execute(change)
        connection.close()

    def wait_until(self, query: str, holds: Callable[[Any], bool]) -> Any:
        """Ask until the first value of the first row is as it should be; that value."""
        deadline_s, value = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < deadline_s:
            found = self.rows(query)
            value = found[0][0] if found else None
            if value is not None and holds(value):
                return value
            time.sleep(0.02)
        raise AssertionError(f"{query}: {value!r} after {PATIENCE_S} s")

    def wait_until_half_is_listed(self) -> None:
        self.wait_until("SELECT max(listed) FROM listings", lambda listed: 500 <= listed < TENANTS)

    def work_off(self) -> None:
        """With nothing more to come due, wait until all that is open has ended."""
        self.wait_until("SELECT count(*) FROM occurrences WHERE listing IN ('queued', 'running')", lambda n: n == 0)
        self.wait_until("SELECT count(*) FROM runs WHERE state IN ('queued', 'running')", lambda n: n == 0)

    def check_that_each_tenant_has_its_run(self) -> None:
        """Once for each occurrence that was listed, and noted once where it has succeeded."""
        listed = self.rows(
            "SELECT occurrences.listing, count(*), count(DISTINCT tenant) FROM occurrences"
            " JOIN runs ON runs.occurrence_id = occurrences.id GROUP BY occurrences.id, occurrences.listing"
        )
        assert {tuple(row) for row in listed} == {("listed", TENANTS, TENANTS)}
        noted = Counter((self.root / "notes.txt").read_text().splitlines())
        assert max(noted.values()) == 1, "a tenant's run was started twice"
        done = self.rows("SELECT tenant, due_at / 1000000 FROM runs WHERE state = 'succeeded'")
        cut_off = self.rows("SELECT tenant, due_at / 1000000 FROM runs WHERE state = 'interrupted'")
        assert {f"{tenant} {due_ts}" for tenant, due_ts in done} <= noted.keys()
        assert noted.keys() <= {f"{tenant} {due_ts}" for tenant, due_ts in done + cut_off}
        # On a slow machine the next instant may be listed while the runs of this one still wait.
        skipped = self.rows("SELECT count(*) FROM runs WHERE state = 'skipped' AND reason = 'overlap'")[0][0]
        assert len(done) + len(cut_off) + skipped == len(listed) * TENANTS


@pytest.fixture(params=["sqlite", "postgres"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    url = request.getfixturevalue("fresh_postgres_url") if request.param == "postgres" else None
    with bots_of(tmp_path) as start:
        shop = Shop(tmp_path, url, start)
        shop.write("pinstripe.toml", f'[ledger]\nurl = "{url}"\n' if url else "")
        shop.write("lib/tenants.py", LISTED_SLOWLY)
        shop.write("lib/background_jobs/note.py", NOTING.format(expression=EVERY_SECOND))
        yield shop


def let_nothing_more_come_due(shop: Shop) -> None:
    shop.write("lib/background_jobs/note.py", NOTING.format(expression=ONCE_A_YEAR))


def test_what_a_killed_bot_was_listing_the_next_one_goes_on_with(shop: Shop) -> None:
    bot = shop.start()
    shop.wait_until_half_is_listed()
    bot.kill()
    let_nothing_more_come_due(shop)

    again = shop.start()

    shop.work_off()
    assert again.stop() == 0
    shop.check_that_each_tenant_has_its_run()


def test_what_a_stopped_bot_was_listing_the_next_one_goes_on_with(shop: Shop) -> None:
    bot = shop.start()
    shop.wait_until_half_is_listed()
    assert bot.stop(signal.SIGTERM) == 0
    let_nothing_more_come_due(shop)
    assert shop.rows("SELECT owner FROM listings WHERE owner IS NOT NULL") == []

    again = shop.start()

    shop.work_off()
    assert again.stop() == 0
    shop.check_that_each_tenant_has_its_run()
    assert shop.rows("SELECT count(*) FROM runs WHERE state = 'interrupted'") == [(0,)]


def test_when_the_bot_that_lists_is_killed_another_one_beside_it_goes_on(shop: Shop) -> None:
    shop.write("lib/tenants.py", HANGING)
    one, other = shop.start(), shop.start()
    shop.wait_until_half_is_listed()
    pid = shop.wait_until("SELECT pid FROM bots JOIN listings ON listings.owner = bots.id", bool)
    listing, left = (one, other) if pid == one.process.pid else (other, one)

    listing.kill()

    shop.write("go", "")
    left.wait_for("tenants_listed")
    left.stop()
    let_nothing_more_come_due(shop)
    again = shop.start()
    shop.work_off()
    assert again.stop() == 0
    shop.check_that_each_tenant_has_its_run()


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_a_listing_that_hangs_keeps_no_bot_from_stopping_and_the_next_one_goes_on_with_it(shop: Shop) -> None:
    shop.write("lib/tenants.py", HANGING)
    bot = shop.start()
    shop.wait_until_half_is_listed()

    code = bot.stop(signal.SIGTERM)

    assert code == 0
    let_nothing_more_come_due(shop)
    shop.write("go", "")
    again = shop.start()
    shop.work_off()
    assert again.stop() == 0
    shop.check_that_each_tenant_has_its_run()


FAILING = """
from pinstripe_bot import Tenant

def tenants(workspace):
    yield Tenant("a")
    if not (workspace.project.root / "mended").exists():
        raise ConnectionError("no answer")
    yield Tenant("b")
"""

OTHER = """
from pinstripe_bot import background_job


@background_job("* * * * * *", overlap="allow")
def other(workspace): ...
"""


def test_a_listing_that_fails_is_recorded_and_tried_again_and_other_jobs_run(shop: Shop) -> None:
    shop.write("lib/tenants.py", FAILING)
    shop.write("lib/background_jobs/other.py", OTHER)
    bot = shop.start()
    failed = bot.wait_for("listing_failed")
    told = shop.wait_until("SELECT error FROM listings WHERE attempt = 2", bool)
    bot.wait_for("run_succeeded", times=bot.heard["run_succeeded"] + 2)
    begun = shop.rows("SELECT DISTINCT job FROM runs WHERE state <> 'queued'")

    shop.write("mended", "")
    shop.hurry()
    listed = bot.wait_for("tenants_listed")

    assert (failed["attempt"], failed["error"], told) == (1, "ConnectionError: no answer", "ConnectionError: no answer")
    assert begun == [("other",)]
    assert (listed["due_at"], listed["tenants"]) == (failed["due_at"], 2)
    let_nothing_more_come_due(shop)
    assert bot.stop() == 0


HELD = """
import time
from pinstripe_bot import background_job


@background_job("{expression}", name="all", multi_tenant=True, on_interrupt="retry")
def note(workspace):
    mark = workspace.project.root / "held"
    if workspace.tenant.id == "b" and not mark.exists():
        mark.touch()
        workspace.logger.info("held")
        time.sleep(60)
"""


def test_of_a_killed_bot_the_run_of_one_tenant_is_tried_again_and_those_that_had_ended_are_not(shop: Shop) -> None:
    three = "from pinstripe_bot import Tenant\n\ndef tenants(workspace):\n    yield from map(Tenant, ['a', 'b', 'c'])\n"
    shop.write("lib/tenants.py", three)
    shop.write("lib/background_jobs/note.py", HELD.format(expression=EVERY_SECOND))
    bot = shop.start()
    run_id = bot.wait_for("held")["run_id"]
    beside = f"occurrence_id = (SELECT occurrence_id FROM runs WHERE id = {run_id})"
    shop.wait_until(f"SELECT count(*) FROM runs WHERE {beside} AND state = 'succeeded'", lambda ended: ended == 2)

    bot.kill()
    shop.write("lib/background_jobs/note.py", HELD.format(expression=ONCE_A_YEAR))
    again = shop.start()

    shop.wait_until(f"SELECT state FROM runs WHERE id = {run_id}", lambda state: state == "succeeded")
    found = shop.rows(f"SELECT tenant, attempt, state FROM runs WHERE {beside} ORDER BY tenant")
    assert found == [("a", 1, "succeeded"), ("b", 2, "succeeded"), ("c", 1, "succeeded")]
    assert again.stop() == 0


# From the command line


def pinstripe(shop: Shop, *arguments: str) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PINSTRIPE_")}
    command = [sys.executable, "-m", "pinstripe_bot", "--project", str(shop.root), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_tenant_is_paused_and_resumed_beside_a_running_bot(shop: Shop) -> None:
    three = "from pinstripe_bot import Tenant\n\ndef tenants(workspace):\n    yield from map(Tenant, ['a', 'b', 'c'])\n"
    shop.write("lib/tenants.py", three)
    bot = shop.start()
    of_b = "SELECT count(*) FROM runs WHERE tenant = 'b' AND state = '{}'"
    shop.wait_until(of_b.format("succeeded"), bool)

    pinstripe(shop, "pause", "note", "--tenant", "b", "--reason", "their printer is on fire")
    shop.wait_until(of_b.format("skipped") + " AND reason = 'paused'", lambda skipped: skipped >= 2)
    ((paused,),) = shop.rows(of_b.format("succeeded"))
    ((others,),) = shop.rows("SELECT count(*) FROM runs WHERE tenant <> 'b' AND state = 'skipped'")
    told = pinstripe(shop, "status")
    pinstripe(shop, "resume", "note", "--tenant", "b")

    shop.wait_until(of_b.format("succeeded"), lambda succeeded: succeeded > paused)
    assert others == 0
    assert "their printer is on fire" in told
    assert bot.stop() == 0
