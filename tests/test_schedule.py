from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import make_schedule

from pinstripe_bot import cron
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Overlap
from pinstripe_bot.schedule import Place, Schedule, in_zones, spread_offset_s
from pinstripe_bot.zones import zone


def ts(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())


@pytest.fixture
def nightly() -> Schedule:
    """Due at three in the morning in Berlin."""
    return make_schedule("0 3 * * *", "Europe/Berlin", name="nightly")


@pytest.fixture
def spread(nightly: Schedule) -> Schedule:
    """The same, 100 seconds later."""
    return replace(nightly, offset_s=100)


def test_a_place_is_a_file_and_a_line():
    assert str(Place("lib/background_jobs/cleanup.py", 3)) == "lib/background_jobs/cleanup.py:3"


def test_a_place_without_a_line_is_a_file():
    assert str(Place("lib/background_jobs")) == "lib/background_jobs"


def test_a_schedule_is_due_by_the_clock_of_its_zone(nightly):
    assert nightly.next_after_ts(ts(2026, 1, 1)) == ts(2026, 1, 1, 2)


def test_its_previous_instant_lies_before(nightly):
    assert nightly.previous_before_ts(ts(2026, 1, 2, 2)) == ts(2026, 1, 1, 2)


def test_its_instants_are_counted(nightly):
    assert nightly.count_ts(ts(2026, 1, 1, 2), ts(2026, 1, 4, 2)) == 3


def test_it_is_due_at_its_instant_and_not_a_second_later(nightly):
    assert [nightly.is_due_ts(ts(2026, 1, 1, 2) + second) for second in (-1, 0, 1)] == [False, True, False]


def test_a_spread_moves_the_instant_itself(spread):
    instant_ts = ts(2026, 1, 1, 2, 1, 40)

    assert spread.next_after_ts(ts(2026, 1, 1, 2)) == instant_ts
    assert spread.previous_before_ts(ts(2026, 1, 2)) == instant_ts
    assert spread.is_due_ts(instant_ts)
    assert not spread.is_due_ts(ts(2026, 1, 1, 2))
    assert spread.count_ts(instant_ts - 1, instant_ts) == 1


def test_upcoming_instants_are_aware_and_in_utc(nightly):
    after = datetime(2026, 1, 1, 2, 0, 0, 500_000, tzinfo=UTC)

    instants = list(islice(nightly.upcoming(after), 2))

    assert instants == [datetime(2026, 1, 2, 2, tzinfo=UTC), datetime(2026, 1, 3, 2, tzinfo=UTC)]
    assert {instant.tzinfo for instant in instants} == {UTC}


def test_the_fingerprint_says_when_it_is_due(nightly):
    assert nightly.fingerprint == "0 3 * * * | Europe/Berlin | once | 0"


@pytest.mark.parametrize(
    "change",
    [{"cron": cron.parse("1 3 * * *")}, {"zone": zone("UTC")}, {"dst": "wall"}, {"offset_s": 1}],
    ids=str,
)
def test_another_time_has_another_fingerprint(nightly, change):
    assert replace(nightly, **change).fingerprint != nightly.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"days": 7}},
        {"overlap": Overlap.ALLOW},
        {"policy": CatchUpPolicy(CatchUp.NONE, 60, None)},
        {"place": Place("cleanup.py", 9)},
        {"cron": cron.parse("  0   3 * * * ")},
    ],
    ids=str,
)
def test_what_does_not_move_its_instants_leaves_the_fingerprint(nightly, change):
    assert replace(nightly, **change).fingerprint == nightly.fingerprint


def test_without_a_spread_there_is_no_offset():
    assert spread_offset_s("cleanup", "nightly", None) == 0


def test_an_offset_is_the_same_on_every_machine_and_in_every_version():
    assert spread_offset_s("cleanup", "0 3 * * *", timedelta(minutes=10)) == 570


def test_two_schedules_of_one_job_have_offsets_of_their_own():
    spread = timedelta(hours=1)

    assert len({spread_offset_s("cleanup", str(number), spread) for number in range(20)}) > 15


@given(st.text(), st.text(), st.integers(1, 86400))
def test_an_offset_is_less_than_its_spread(job, schedule, seconds):
    assert 0 <= spread_offset_s(job, schedule, timedelta(seconds=seconds)) < seconds


def test_in_the_zones_of_tenants_it_is_planned_once_for_each(nightly):
    everywhere = replace(nightly, in_tenant_zone=True)

    planned = in_zones([nightly, everywhere], lambda _: {"Europe/Berlin", "Asia/Tokyo", "Mars/Olympus"})

    assert [(one.key, one.zone.name) for one in planned[1:]] == [
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("Europe/Berlin", "Europe/Berlin"),
    ]
    assert planned[0] is nightly
    assert in_zones(planned, lambda _: {"Asia/Tokyo"}) == planned


def test_in_the_zones_of_tenants_it_names_none_until_it_is_in_one(nightly):
    everywhere = replace(nightly, in_tenant_zone=True)

    assert everywhere.timezone == "tenant"
    assert everywhere.in_zone(zone("Asia/Tokyo")).timezone == "Asia/Tokyo"
    assert nightly.timezone == nightly.zone.name
