"""How commands read and show instants and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.instants import read_instant, show_instant
from pinstripe_bot.zones import zone


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-07-01T02:30", datetime(2026, 7, 1, 0, 30, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-07-01T02:30:00Z", datetime(2026, 7, 1, 2, 30, tzinfo=UTC)),
        ("2026-07-01T02:30-04:00", datetime(2026, 7, 1, 6, 30, tzinfo=UTC)),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=["wall time", "a day", "UTC", "an offset", "a repeated hour: the first"],
)
def test_an_instant_is_read_in_the_zone_unless_it_has_an_offset(written: str, instant: datetime) -> None:
    read = read_instant(written, "Europe/Berlin")

    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize("written", ["", "noon", "29.3.2026"])
def test_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="is not an instant: write it as 2026-03-29T02:30"):
        read_instant(written, "UTC")


def test_an_instant_may_be_written_in_words() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    read = [read_instant(written, "Europe/Berlin", now=now) for written in ("yesterday 02:30", "10m ago")]

    assert read == [datetime(2026, 11, 22, 1, 30, tzinfo=UTC), datetime(2026, 11, 23, 11, 50, tzinfo=UTC)]


def test_words_count_from_the_machines_time() -> None:
    before = SystemClock().now()

    read = read_instant("now", "Europe/Berlin")

    assert before - timedelta(seconds=1) < read <= SystemClock().now()


def test_a_time_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(
        InvalidParams, match=r"'2026-03-29T02:30' does not exist in Europe/Berlin: the clocks go forward"
    ):
        read_instant("2026-03-29T02:30", "Europe/Berlin")


def test_an_instant_is_shown_in_its_own_zone() -> None:
    local = datetime(2026, 3, 30, 0, 30, tzinfo=UTC).astimezone(zone("Europe/Berlin").tzinfo)

    assert show_instant(local) == "Mon 2026-03-30 02:30:00 CEST"
