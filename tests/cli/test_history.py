"""runs and show."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from bots import claim_only, job
from conftest import WriteProject
from msgspec.structs import replace

from pinstripe_bot.occurrence import RunError, RunState

from .conftest import BROKEN, Pinstripe
from .looking import FILES, FOR_TENANTS, SWEEP, asked, bot_of, come_due, find_zones, tick, write_history


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    return write_history(write_project(FILES))


# runs


def test_the_runs_are_listed_newest_first(shop: Path, pinstripe: Pinstripe) -> None:
    lines = pinstripe("runs", at=shop).stdout.splitlines()

    assert lines[0].split() == ["run", "job", "schedule", "due", "(UTC)", "state", "late", "by", "took"]
    assert [line.split()[0] for line in lines[2:]] == ["4", "3", "2", "1"]
    assert "failed" in lines[3]


def test_the_runs_of_one_job_in_one_state(shop: Path, pinstripe: Pinstripe) -> None:
    told = asked(pinstripe, "runs", "report", "--state", "failed", "--state", "timed-out", at=shop)

    assert [(one["run"], one["state"]) for one in told] == [(3, "failed"), (1, "failed")]
    assert told[0]["error"]["type"] == "ConnectionError"
    assert told[0]["due_at"].endswith("Z")
    assert told[0]["lateness_ms"] == 0.0


@pytest.mark.parametrize("since", ["65m", "65m ago"])
def test_the_runs_since_a_while(shop: Path, pinstripe: Pinstripe, since: str) -> None:
    assert [one["run"] for one in asked(pinstripe, "runs", "--since", since, at=shop)] == [4, 3]


def test_with_all_the_instants_that_did_not_run_are_listed_too(shop: Path, pinstripe: Pinstripe) -> None:
    told = asked(pinstripe, "runs", "sweep", "--all", at=shop)
    table = pinstripe("runs", "sweep", "--all", at=shop).stdout

    assert [(one["run"], one["state"], one["count"]) for one in told] == [
        (4, "succeeded", 1),
        (None, "missed", 11),
        (2, "succeeded", 1),
    ]
    assert "11 times" in table
    assert "coalesced" in table


def test_missed_ones_may_be_asked_for_by_their_state(shop: Path, pinstripe: Pinstripe) -> None:
    told = asked(pinstripe, "runs", "--state", "missed", at=shop)

    assert {(one["job"], one["state"]) for one in told} == {("sweep", "missed"), ("report", "missed")}


def test_no_more_are_listed_than_asked_for(shop: Path, pinstripe: Pinstripe) -> None:
    assert [one["run"] for one in asked(pinstripe, "runs", "--limit", "2", at=shop)] == [4, 3]


def test_where_nothing_is_found_it_says_so(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("runs", "sweep", "--state", "timed_out", "--since", "1h", at=shop)

    assert (result.exit_code, result.stdout) == (0, "No timed out run of sweep since 1h.\n")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["runs", "--state", "faild"], 2, "'faild' is no state of a run: did you mean 'failed'?"),
        (["runs", "--since", "soon"], 2, "'soon' is not an instant"),
        (["runs", "--since", "in 5m"], 2, "since 'in 5m': it is still to come"),
        (["runs", "swep"], 5, "did you mean 'sweep'?"),
        (["show", "99"], 5, "there is no run 99 in the ledger: `pinstripe runs` lists the newest"),
        (["show", "99999999999999999999"], 5, "there is no run 99999999999999999999 in the ledger"),
        (["show", "sweep"], 5, "'sweep' is no number of a run: `pinstripe runs` lists them"),
        (["logs", "99"], 5, "there is no run 99 in the ledger"),
        (["logs", "swep"], 5, "did you mean 'sweep'?"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(
    shop: Path, pinstripe: Pinstripe, arguments: list[str], exit_code: int, told: str
) -> None:
    result = pinstripe(*arguments, at=shop)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("pinstripe: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr


def test_the_runs_of_a_job_that_is_no_more_are_still_listed(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/sweep.py").unlink()

    assert [one["run"] for one in asked(pinstripe, "runs", "sweep", at=shop)] == [4, 2]


def test_without_a_ledger_nothing_has_run(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project(FILES)

    assert pinstripe("runs", at=root).stdout.startswith("There is no ledger yet, so nothing has run")
    assert asked(pinstripe, "runs", at=root) == []
    assert pinstripe("runs", "nope", at=root).exit_code == 5
    assert pinstripe("show", "1", at=root).exit_code == 5
    assert not (root / ".pinstripe").exists()


# show


def test_a_run_is_shown_from_due_to_finished(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("show", "2", at=shop)

    lines = result.stdout.splitlines()
    facts = {line[2:].split("  ")[0]: line for line in lines if line.startswith("  ")}
    assert lines[:2] == ["Run 2 of sweep", "It succeeded after 0 ms."]
    assert {"due", "schedule", "claimed", "started", "finished", "result", "job"} <= {*facts}
    assert facts["result"].endswith('{"rows": 7}')
    assert "pid " in facts["started"]
    assert lines[lines.index("Output") + 1] == "  swept"
    assert any(line.split()[:3] == ["pinstripe", "logs", "2"] for line in lines)


def test_a_failed_run_is_shown_with_its_error_and_how_to_retry_it(shop: Path, pinstripe: Pinstripe) -> None:
    lines = pinstripe("show", "1", at=shop).stdout.splitlines()

    assert lines[1].startswith("It failed after 0 ms: ConnectionError: the bank did not answer")
    assert "  Traceback (most recent call last):" in lines
    assert any(line.split() == ["pinstripe", "retry", "1", "run", "it", "again"] for line in lines)


def test_secrets_are_redacted(shop: Path, pinstripe: Pinstripe) -> None:
    page = pinstripe("show", "1", at=shop).stdout
    told = asked(pinstripe, "show", "1", at=shop)

    assert "api_key=redacted days=3" in page
    assert told["params"] == {"days": 3, "api_key": "redacted"}
    assert "hunter2" not in f"{page} {told['error']} {told['traceback']}"


def test_the_attempts_of_a_run_are_shown(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    body = "print('trying'); raise ValueError('out of paper')"
    file = job(body, "'* * * * *', retries=1, backoff='10s'")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/paper.py": file})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=1)

    page = pinstripe("show", "1", at=root).stdout
    told = asked(pinstripe, "show", "1", at=root)

    assert "Earlier attempts" in page
    assert "ValueError: out of paper" in page
    assert (told["state"], told["attempt"]) == ("queued", 2)
    assert [(one["attempt"], one["state"], one["output"]) for one in told["attempts"]] == [(1, "failed", "trying\n")]
    assert told["attempts"][0]["traceback"].startswith("Traceback (most recent call last):")


def test_the_run_of_a_job_that_cannot_be_loaded_says_why(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/sweep.py").write_text(BROKEN)

    page = " ".join(pinstripe("show", "2", at=shop).stdout.split())

    assert "its file cannot be loaded (`pinstripe check`): lib/background_jobs/sweep.py:1: ImportError: " in page
    assert "no longer in the project" not in page


def test_an_error_without_a_place_has_no_empty_one(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/paper.py": job()})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        clock.travel(minutes=1)
        (run,) = claim_only(bot)
        bot.ledger.start([run], clock.now())
        error = RunError("Died", "killed by signal 9", "", "")
        bot.ledger.finish([replace(run, state=RunState.FAILED, error=error, finished_at=clock.now())])

    assert "()" not in pinstripe("show", "1", at=root).stdout


# for tenants


@pytest.fixture
def for_tenants(write_project: WriteProject) -> Path:
    """Three tenants for whom the invoices of a day have run, where each lives."""
    root = write_project(FOR_TENANTS)
    with bot_of(root, ago=timedelta(hours=30)) as (bot, clock):
        find_zones(bot)
        for _ in range(24):
            come_due(bot, clock, hours=1)
    return root


def test_the_runs_of_one_tenant(for_tenants: Path, pinstripe: Pinstripe) -> None:
    (run,) = asked(pinstripe, "runs", "--tenant", "beta", at=for_tenants)
    (same,) = asked(pinstripe, "runs", "invoice", "--tenant", "beta", "--state", "failed", at=for_tenants)
    succeeded = asked(pinstripe, "runs", "--tenant", "beta", "--state", "succeeded", at=for_tenants)
    ghosts = pinstripe("runs", "invoice", "--tenant", "ghost", at=for_tenants)

    assert (run["tenant"], run["tenant_name"], run["state"]) == ("beta", "Beta", "failed")
    assert same == run
    assert succeeded == []
    assert ghosts.stdout == "No run of invoice for the tenant ghost.\n"


def test_what_did_not_run_for_a_tenant_is_that_of_its_zone_and_of_jobs_with_tenants(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    root = write_project(FOR_TENANTS | {"lib/background_jobs/sweep.py": SWEEP})
    with bot_of(root, ago=timedelta(hours=80)) as (bot, clock):
        find_zones(bot)
        tick(bot, clock, hours=73)

    found = asked(pinstripe, "runs", "--tenant", "acme", "--state", "missed", at=root)

    assert {one["job"] for one in asked(pinstripe, "runs", "--state", "missed", at=root)} == {"invoice", "sweep"}
    assert [one["job"] for one in found] == ["invoice"]


def test_the_page_of_a_run_says_whose_it_is_and_when_that_was_there(for_tenants: Path, pinstripe: Pinstripe) -> None:
    (run,) = asked(pinstripe, "runs", "--tenant", "beta", at=for_tenants)

    page = pinstripe("show", str(run["run"]), at=for_tenants).stdout
    told = asked(pinstripe, "show", str(run["run"]), at=for_tenants)

    lines = page.splitlines()
    assert lines[0] == f"Run {run['run']} of invoice for beta (Beta)"
    assert " in America/New_York), " in next(line for line in lines if line.startswith("  due "))
    assert " 09:00:00 E" in next(line for line in lines if line.startswith("  due "))
    assert "  tenant    beta (Beta)" in lines
    assert "pinstripe runs --tenant beta" in page
    assert (told["tenant_name"], told["tenant_timezone"]) == ("Beta", "America/New_York")
