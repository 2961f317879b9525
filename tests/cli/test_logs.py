"""logs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from bots import WAITING, claim_only, job, let_go, names_in
from conftest import WriteProject

from pinstripe_bot.cli.following import Follower, unseen
from pinstripe_bot.testing import TravelClock

from .conftest import Pinstripe
from .looking import FILES, asked, bot_of, tick, write_history


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    return write_history(write_project(FILES))


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
