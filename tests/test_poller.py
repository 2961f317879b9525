from __future__ import annotations

import threading

from bots import Ears

from pinstripe_bot.poller import Poller

PATIENCE_S = 10.0


def test_it_looks_again_and_again():
    looks, enough = [], threading.Event()

    def look() -> None:
        looks.append(None)
        if len(looks) == 3:
            enough.set()

    poller = Poller(look, every_s=0.001)
    poller.start()

    assert enough.wait(PATIENCE_S)
    poller.close()


def test_a_look_that_raises_ends_nothing():
    looks, enough = [], threading.Event()

    def look() -> None:
        looks.append(None)
        if len(looks) == 2:
            enough.set()
        raise OSError("the disk is gone")

    poller = Poller(look, every_s=0.001)
    poller.start()

    assert enough.wait(PATIENCE_S)
    poller.close()


def test_looks_that_keep_failing_are_told_once():
    looks, enough = [], threading.Event()

    def look() -> None:
        looks.append(None)
        if len(looks) == 3:
            enough.set()
        raise OSError("the disk is gone")

    with Ears() as ears:
        poller = Poller(look, every_s=0.001)
        poller.start()
        assert enough.wait(PATIENCE_S)
        poller.close()

    assert ears.names() == ["poll_failed"]


def test_after_the_closing_it_looks_no_more():
    looks: list[None] = []
    poller = Poller(lambda: looks.append(None), every_s=0.001)
    poller.start()

    poller.close()

    seen = len(looks)
    assert not threading.Event().wait(0.01)
    assert len(looks) == seen


def test_closing_one_that_never_started_is_harmless():
    poller = Poller(lambda: None)

    poller.close()
    poller.close()


def test_whoever_wakes_it_makes_it_look_at_once():
    looked = threading.Event()
    poller = Poller(looked.set, every_s=3600)
    poller.start()

    poller.wake()

    assert looked.wait(PATIENCE_S)
    poller.close()


def test_closing_ends_the_wait():
    poller = Poller(lambda: None, every_s=3600)
    poller.start()

    poller.close()

    assert not poller._thread.is_alive()


def test_being_woken_after_the_closing_is_harmless():
    looks: list[None] = []
    poller = Poller(lambda: looks.append(None), every_s=3600)
    poller.start()
    poller.close()

    poller.wake()

    assert looks == []
