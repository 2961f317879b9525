from __future__ import annotations

import pytest
from bots import Ears

from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger_trouble import LedgerTrouble


@pytest.fixture
def trouble() -> LedgerTrouble:
    return LedgerTrouble()


def test_while_all_is_well_nothing_is_said(trouble: LedgerTrouble) -> None:
    with Ears() as ears:
        trouble.note("claim", None)

    assert ears.names() == []
    assert trouble.error is None


def test_it_is_said_once_that_it_is_lost_and_once_that_it_is_found(trouble: LedgerTrouble) -> None:
    with Ears() as ears:
        trouble.note("claim", "it is locked")
        trouble.note("claim", "it is locked")
        trouble.note("claim", None)
        trouble.note("claim", None)

    assert ears.names() == ["ledger_lost", "ledger_found"]


def test_several_who_ask_say_it_together(trouble: LedgerTrouble) -> None:
    with Ears() as ears:
        for asker in ("claim", "heartbeat", "starts"):
            trouble.note(asker, "it is locked")
        for asker in ("starts", "claim", "heartbeat"):
            trouble.note(asker, None)

    assert ears.names() == ["ledger_lost", "ledger_found"]


def test_a_look_that_works_does_not_make_good_for_a_claim_that_failed(trouble: LedgerTrouble) -> None:
    trouble.note("claim", "the disk is full")

    with Ears() as ears:
        trouble.note("look", None)

    assert ears.names() == []
    assert trouble.error == "the disk is full"


def test_it_can_be_lost_again(trouble: LedgerTrouble) -> None:
    with Ears() as ears:
        for _ in range(2):
            trouble.note("claim", "it is locked")
            trouble.note("claim", None)

    assert ears.names() == ["ledger_lost", "ledger_found"] * 2


def test_a_block_that_gets_no_answer_says_why_and_goes_on(trouble: LedgerTrouble) -> None:
    with trouble.noted("look"):
        raise LedgerUnavailable("it is locked")

    assert trouble.error == "it is locked"


def test_a_block_that_gets_an_answer_makes_good_for_itself(trouble: LedgerTrouble) -> None:
    trouble.note("look", "it is locked")

    with trouble.noted("look"):
        pass

    assert trouble.error is None


def test_another_error_of_a_block_is_its_callers(trouble: LedgerTrouble) -> None:
    with pytest.raises(ZeroDivisionError), trouble.noted("look"):
        raise ZeroDivisionError

    assert trouble.error is None
