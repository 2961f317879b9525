"""The stop signals, raised in this process."""

from __future__ import annotations

import signal

import pytest

from pinstripe_bot.cli.signals import SIGNALS, StopSignals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_signal_takes_one_step(number: signal.Signals, code: int) -> None:
    steps: list[str] = []

    stop, cancel = ("stopping", lambda: steps.append("stop")), ("cancelling", lambda: steps.append("cancel"))
    with StopSignals(stop, cancel) as signals:
        signal.raise_signal(number)
        after_one = list(steps)
        signal.raise_signal(signal.SIGINT)

    assert after_one == ["stop"]
    assert steps == ["stop", "cancel"]
    assert signals.exit_code == code


def test_without_a_signal_there_is_no_number() -> None:
    with StopSignals() as signals:
        pass

    assert signals.number is None


def test_the_handlers_from_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    with StopSignals(("stopping", lambda: None)):
        inside = [signal.getsignal(number) for number in SIGNALS]

    assert inside != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
