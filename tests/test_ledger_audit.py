"""The audit: who did what, newest first, without secrets."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert
from stored import DAWN, FAR, ODD, minute

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_audit import AuditEntry, Person, read_audit, write_audit
from pinstripe_bot.ledger_schema import audit
from pinstripe_bot.redaction import REDACTED

ADA = Person("ada", "command on web-1")


def put(ledger: Ledger, action: str = "pause", *, at: float = 0, **facts: Any) -> None:
    with ledger.store.writing() as connection:
        write_audit(connection, ADA, minute(at), action, **facts)


def read(ledger: Ledger, **options: Any) -> list[AuditEntry]:
    with ledger.store.reading() as connection:
        return read_audit(connection, **{"most": 50} | options)


def test_nobody_did_anything_in_an_empty_ledger(ledger: Ledger) -> None:
    assert read(ledger) == []


def test_an_act_is_read_as_it_was_written(ledger: Ledger) -> None:
    put(ledger, "retry", at=2, job=ODD, run=7, was="failed", force=False, until_at=FAR)

    (entry,) = read(ledger)

    details = {"was": "failed", "force": False, "until_at": "9999-12-31T23:59:59Z"}
    assert entry == AuditEntry(1, minute(2), "ada", "command on web-1", "retry", ODD, 7, details)


def test_an_act_without_a_job_or_details_has_none(ledger: Ledger) -> None:
    put(ledger, "login")

    (entry,) = read(ledger)

    assert (entry.job, entry.run, entry.details) == ("", None, {})


def test_the_newest_act_stands_first_also_after_a_clock_was_set_back(ledger: Ledger) -> None:
    for at in (5, 1, 3):
        put(ledger, at=at)

    assert [entry.at for entry in read(ledger)] == [minute(3), minute(1), minute(5)]


def test_acts_are_read_page_by_page(ledger: Ledger) -> None:
    for _ in range(5):
        put(ledger)

    first = read(ledger, most=2)
    second = read(ledger, most=2, before=first[-1].id)

    assert [entry.id for entry in [*first, *second]] == [5, 4, 3, 2]
    assert read(ledger, before=1) == []


def test_the_acts_on_one_job_are_read(ledger: Ledger) -> None:
    for job in ("sweep", "", "other", "sweep"):
        put(ledger, job=job)

    assert [entry.id for entry in read(ledger, job="sweep")] == [4, 1]
    assert [entry.id for entry in read(ledger, job="")] == [2]


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ({"params": {"api_token": "x", "days": 3}}, {"params": {"api_token": REDACTED, "days": 3}}),
        ({"password": "x"}, {"password": REDACTED}),
        ({"params": {"to": [{"secretKey": "x"}]}}, {"params": {"to": [{"secretKey": REDACTED}]}}),
        ({"why": "the old postgresql://me:pw@db/shop"}, {"why": "the old postgresql://me:***@db/shop"}),
    ],
)
def test_secrets_are_not_shown(ledger: Ledger, details: dict[str, Any], shown: dict[str, Any]) -> None:
    put(ledger, **details)

    assert read(ledger)[0].details == shown


def test_names_with_odd_characters_are_read(ledger: Ledger) -> None:
    with ledger.store.writing() as connection:
        row = {"at": 0, "who": ODD, "origin": ODD, "action": ODD, "details": None}
        connection.execute(insert(audit).values(row))

    (entry,) = read(ledger)

    assert (entry.who, entry.origin, entry.action) == (ODD, ODD, ODD)
    assert entry.at < DAWN
