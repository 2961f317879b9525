from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from bots import PATIENCE_S, Ears, claim_only, job, locked, rows, states
from msgspec.structs import replace

from pinstripe_bot.bot import Bot
from pinstripe_bot.control import RunControl, read_progress
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.recorder import Recorder
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]


class Recording:
    """A recorder on the ledger of a bot whose one run has started."""

    def __init__(self, bot: Bot, clock: TravelClock) -> None:
        (self.run,) = bot.ledger.start(claim_only(bot), clock.now())
        self.ended = replace(self.run, state=RunState.SUCCEEDED, finished_at=clock.now())
        self.control = RunControl(self.run)
        self.heard: list[Run] = []
        controls = {self.run.id: self.control}
        self.recorder = Recorder(bot.ledger, clock, controls, self._hear, dict, bot.hooks, bot.tally)

    def _hear(self, ended: Sequence[Run], _recorded: set[int]) -> None:
        self.heard += ended


@pytest.fixture
def bot(make_bot: MakeBot, clock: TravelClock) -> Bot:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)
    return bot


@pytest.fixture
def recording(bot: Bot, clock: TravelClock) -> Iterator[Recording]:
    recording = Recording(bot, clock)
    yield recording
    if recording.recorder._thread.ident is not None:
        recording.recorder.close(0)


def test_an_end_is_written_and_told(recording: Recording, bot: Bot) -> None:
    recording.recorder.start()

    recording.recorder.record(recording.ended)
    recording.recorder.close(PATIENCE_S)

    assert recording.heard == [recording.ended]
    assert states(bot) == [("succeeded", None)]


def test_closing_ends_the_thread(recording: Recording) -> None:
    recording.recorder.start()

    recording.recorder.close(PATIENCE_S)

    assert not recording.recorder._thread.is_alive()


def test_an_end_that_somebody_else_wrote_first_is_refused_and_told(
    recording: Recording, bot: Bot, clock: TravelClock
) -> None:
    bot.ledger.finish([replace(recording.ended, state=RunState.INTERRUPTED)])

    with Ears() as ears:
        recording.recorder.start()
        recording.recorder.record(recording.ended)
        recording.recorder.close(PATIENCE_S)

    assert ears.names("outcome_refused") == ["outcome_refused"]
    assert states(bot) == [("interrupted", None)]


def test_while_the_ledger_is_locked_an_end_is_kept_and_written_later(recording: Recording, bot: Bot) -> None:
    with Ears() as ears:
        with locked(bot.ledger):
            recording.recorder.start()
            recording.recorder.record(recording.ended)
            ears.wait_for("outcomes_kept")
        recording.recorder.close(PATIENCE_S)

    assert states(bot) == [("succeeded", None)]
    assert ears.names("outcomes_kept", "outcomes_written") == ["outcomes_kept", "outcomes_written"]
    assert not recording.recorder.is_behind


def test_a_recorder_that_cannot_write_gives_up_and_ends(recording: Recording, bot: Bot) -> None:
    with locked(bot.ledger):
        recording.recorder.start()
        recording.recorder.record(recording.ended)

        recording.recorder.close(0.1)
        recording.recorder._thread.join(PATIENCE_S)

    assert not recording.recorder._thread.is_alive()
    assert states(bot) == [("running", None)]


def test_the_heartbeat_says_when(recording: Recording, bot: Bot, clock: TravelClock) -> None:
    clock.travel(seconds=30)

    recording.recorder.start()
    recording.recorder.close(PATIENCE_S)

    beaten = rows(bot.ledger, "SELECT heartbeat_at FROM bots")
    assert beaten == [(int(clock.now().timestamp()) * 1_000_000,)]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((3, 10), (3, 10)),
        ((3, None), (3, None)),
        ((2.9, "10"), (2, 10)),
        ((2**80, -(2**80)), (2**63 - 1, -(2**63) + 1)),
        ((float("inf"), 1), (None, None)),
        ((object(), 1), (None, None)),
    ],
)
def test_progress_is_written_as_far_as_it_is_a_number(
    recording: Recording, bot: Bot, said: tuple[object, object], kept: tuple[object, object]
) -> None:
    recording.control.progress = read_progress(*said)

    recording.recorder.start()
    recording.recorder.close(PATIENCE_S)

    assert rows(bot.ledger, "SELECT progress_done, progress_total FROM runs") == [kept]
