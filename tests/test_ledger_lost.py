"""What each part of a bot does while its ledger does not answer, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from bots import (
    PATIENCE_S,
    WAITING,
    Ears,
    claim_only,
    crash,
    job,
    locked,
    names_in,
    postgres_dsn,
    rows,
    states,
)

from pinstripe_bot.bot import Bot
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

LOST_AND_FOUND = ["ledger_lost", "ledger_found"]


def test_claim_look_and_heartbeat_together_say_once_that_it_is_lost_and_once_that_it_is_found(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    make_bot(sweep=job("return 1", "'* * * * * *'"))
    bot = make_bot()
    bot.start()
    with Ears() as ears:
        with locked(bot.ledger):
            clock.travel(seconds=6)  # the heartbeat is due as well
            ears.wait_for("ledger_lost")
            clock.travel(seconds=1)
            clock.travel(seconds=1)
        clock.travel(seconds=6)
        ears.wait_for("ledger_found")

    assert ears.names(*LOST_AND_FOUND) == LOST_AND_FOUND


def test_a_dead_bot_that_cannot_be_buried_does_not_make_the_ledger_come_and_go(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    dead, bot = make_bot(sweep=job()), make_bot()
    clock.travel(minutes=1)
    claim_only(dead)
    crash(dead.ledger)
    dead.dispatcher.close()

    with Ears() as ears:
        with locked(bot.ledger):
            for _ in range(4):
                clock.travel(seconds=1)
                bot.parts.look()
        bot.parts.look()

    assert ears.names(*LOST_AND_FOUND) == LOST_AND_FOUND


def test_a_herd_whose_second_part_fails_has_not_found_its_ledger(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    with Ears() as ears:
        with locked(bot.ledger):
            bot.tick()
        bot.ledger.trouble.note("heartbeat", "the disk is full")
        bot.tick()

    assert ears.names(*LOST_AND_FOUND) == ["ledger_lost"]


def test_signing_out_of_a_ledger_that_is_lost_does_not_say_it_again(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    with Ears() as ears, locked(bot.ledger):
        bot.tick()
        bot.stop()

    assert ears.names(*LOST_AND_FOUND) == ["ledger_lost"]


def test_outcomes_that_are_lost_at_the_end_are_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "sweep")["begun"].wait(PATIENCE_S)

    with Ears() as ears, locked(bot.ledger):
        names_in(bot, "sweep")["go"].set()
        ears.wait_for("outcomes_kept")
        bot.dispatcher.close(0.1)
        lost = ears.wait_for("outcomes_lost")

    assert lost["runs"] == 1
    assert states(bot) == [("running", None)]


def test_the_outcome_of_a_called_job_is_kept_and_the_drain_waits_for_it(make_bot: MakeBot, clock: TravelClock) -> None:
    calls = job(f"workspace.run_background_job('callee'); {WAITING}")
    bot = make_bot(caller=calls, callee=job("begun.set(); assert go.wait(10)", "'0 0 1 1 *'"))
    clock.travel(minutes=1)
    bot.tick()
    assert names_in(bot, "callee")["begun"].wait(PATIENCE_S)

    with Ears() as ears:
        with locked(bot.ledger):
            names_in(bot, "callee")["go"].set()
            ears.wait_for("outcomes_kept")
            known = bot.dispatcher.known_ids()
        ears.wait_for("outcomes_written")

    names_in(bot, "caller")["go"].set()
    (callee,) = rows(bot.ledger, "SELECT id, state FROM runs WHERE job = 'callee' AND schedule = 'manual'")
    assert callee[0] in known
    assert callee[1] == "succeeded"


def test_a_run_that_is_dispatched_twice_starts_once(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("calls.append(1)"))
    clock.travel(minutes=1)
    claimed = claim_only(bot)  # the loop stands still before it dispatches them
    bot.parts.look()
    clock.travel(seconds=6)
    bot.parts.look()  # and takes them for lost

    bot.dispatcher.dispatch(claimed)
    bot.dispatcher.dispatch(claimed)

    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert names_in(bot, "sweep")["calls"] == [1]


def test_a_connection_that_was_ended_meanwhile_is_made_anew_without_a_word(ledger: Ledger, clock: TravelClock) -> None:
    if isinstance(ledger.store, PostgresStore):  # nobody can end those of a file
        with psycopg.connect(postgres_dsn(ledger), autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    was_alive = ledger.beat(clock.now())

    assert was_alive


def test_a_table_that_is_gone_makes_the_ledger_unavailable_until_it_is_back(
    make_bot: MakeBot, clock: TravelClock
) -> None:
    bot = make_bot(sweep=job())
    clock.travel(minutes=1)

    with Ears() as ears:
        execute(bot.ledger, "ALTER TABLE skips RENAME TO elsewhere")
        bot.tick()
        bot.tick()
        execute(bot.ledger, "ALTER TABLE elsewhere RENAME TO skips")
        bot.tick()

    assert ears.names(*LOST_AND_FOUND) == LOST_AND_FOUND
    assert bot.dispatcher.wait_until_idle(PATIENCE_S)
    assert states(bot) == [("succeeded", None)]


def execute(ledger: Ledger, statement: str) -> None:
    with ledger.store.writing() as connection:
        connection.exec_driver_sql(statement)
