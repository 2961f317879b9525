"""runs, show and logs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from bots import WAITING, claim_only, job, let_go, names_in
from conftest import WriteProject
from msgspec.structs import replace

from pinstripe_bot.cli.following import Follower, unseen
from pinstripe_bot.occurrence import RunError, RunState
from pinstripe_bot.testing import TravelClock

from .conftest import BROKEN, Pinstripe
from .looking import FILES, asked, bot_of, tick


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    """A shop with the runs 1 (report, failed) and 2 (sweep), and an hour that was missed before 3 and 4."""
    root = write_project(FILES)
    with bot_of(root, ago=timedelta(hours=2)) as (bot, clock):
        tick(bot, clock, minutes=5)
        tick(bot, clock, minutes=60)
    return root


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
        (["runs", "--since", "in 5m"], 2, "--since 'in 5m' is still to come"),
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


# logs


@pytest.mark.parametrize("subject", ["4", "sweep", "Sweep"])
def test_the_output_of_a_run_or_of_a_jobs_newest_one(shop: Path, pinstripe: Pinstripe, subject: str) -> None:
    result = pinstripe("logs", subject, at=shop)

    assert (result.exit_code, result.stdout) == (0, "swept\n")


def test_the_output_as_json(shop: Path, pinstripe: Pinstripe) -> None:
    assert asked(pinstripe, "logs", "sweep", at=shop) == {
        "run": 4,
        "job": "sweep",
        "state": "succeeded",
        "attempt": 1,
        "output": "swept\n",
    }


def test_a_job_that_has_not_run_says_so(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    result = pinstripe("logs", "sweep", at=write_project(FILES))

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "sweep has not run yet: `pinstripe run-background-job sweep` runs it now\n"


def test_the_output_of_no_run_is_null_in_json(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    assert asked(pinstripe, "logs", "sweep", at=write_project(FILES)) is None


def test_a_result_is_shown_in_its_own_characters(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    file = job("print('\\x1b[2J'); return 'caf\u00e9'")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/menu.py": file})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=1)

    page, logs = pinstripe("show", "1", at=root).stdout, pinstripe("logs", "1", at=root).stdout

    assert '"caf\u00e9"' in page
    assert "\\x1b[2J" in page
    assert logs == "\x1b[2J\n"


def test_an_error_without_a_place_has_no_empty_one(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/paper.py": job()})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        clock.travel(minutes=1)
        (run,) = claim_only(bot)
        bot.ledger.start([run], clock.now())
        error = RunError("Died", "killed by signal 9", "", "")
        bot.ledger.finish([replace(run, state=RunState.FAILED, error=error, finished_at=clock.now())])

    assert "()" not in pinstripe("show", "1", at=root).stdout


def test_following_a_run_that_waits_without_a_bot_says_so(
    write_project: WriteProject, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/sweep.py": job()})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        clock.travel(minutes=1)
        claim_only(bot)
        history = bot.ledger.history
        let_go(bot.ledger)

        def interrupt() -> None:
            raise KeyboardInterrupt

        record = history.newest("sweep", clock.now())
        assert record is not None
        with pytest.raises(KeyboardInterrupt):
            Follower(history, SteppingClock(interrupt), lambda _text: None).follow_run(record)

    told = "run 1 waits for a bot, and none is running: `pinstripe start-server` starts one\n"
    assert capsys.readouterr().err.endswith(told)


def test_following_a_run_that_has_ended_prints_it_and_ends(shop: Path, pinstripe: Pinstripe) -> None:
    assert pinstripe("logs", "2", "--follow", at=shop).stdout == "swept\n"


def test_follow_and_json_exclude_each_other(shop: Path, pinstripe: Pinstripe) -> None:
    assert pinstripe("logs", "2", "--follow", "--json", at=shop).exit_code == 2


class SteppingClock(TravelClock):
    """A clock whose sleeper, instead of waiting, lets the next thing happen."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self._steps = list(steps)

    def sleep_until(self, _instant: object) -> None:
        self._steps.pop(0)()


def test_a_running_run_is_followed_to_its_end(write_project: WriteProject) -> None:
    body = f"print('one', flush=True); {WAITING}; print('two')"
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/slow.py": job(body)})
    heard: list[str] = []
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        clock.travel(minutes=1)
        bot.tick()
        names = names_in(bot, "slow")
        assert names["begun"].wait(10)

        def say() -> None:
            bot.ledger.beat(clock.now(), [(1, 1, None, None, "one\n")])

        def end() -> None:
            names["go"].set()
            bot.dispatcher.wait_until_idle()

        record = bot.ledger.history.newest("slow", clock.now())
        assert record is not None
        Follower(bot.ledger.history, SteppingClock(say, end), heard.append).follow_run(record)

    assert "".join(heard) == "one\ntwo\n"


def test_a_job_is_followed_from_run_to_run(write_project: WriteProject) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/sweep.py": job("print(workspace.due_at.minute)")})
    heard: list[str] = []
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        minute = clock.now().minute

        def run() -> None:
            tick(bot, clock, minutes=1)

        def interrupt() -> None:
            raise KeyboardInterrupt

        follower = Follower(bot.ledger.history, SteppingClock(run, run, interrupt), heard.append)
        with pytest.raises(KeyboardInterrupt):
            follower.follow_job("sweep", None)

    assert heard == [f"{minute + 1}\n", f"{minute + 2}\n"]


@pytest.mark.parametrize(
    ("shown", "output", "news"),
    [
        ("", "one\n", "one\n"),
        ("one\n", "one\ntwo\n", "two\n"),
        ("one\n", "one\n", ""),
        ("zero\n" + "x" * 300, "[5 earlier bytes are not kept]\n" + "x" * 300 + "new", "new"),
        ("gone", "[9 earlier bytes are not kept]\nother", "[9 earlier bytes are not kept]\nother"),
    ],
)
def test_only_what_is_new_is_shown(shown: str, output: str, news: str) -> None:
    assert unseen(shown, output) == news
