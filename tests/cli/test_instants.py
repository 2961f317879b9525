"""How commands read and show instants and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pinstripe_bot.cli.instants import read_instant, show_duration, show_instant
from pinstripe_bot.errors import InvalidParams
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


@pytest.mark.parametrize("written", ["", "noon", "29.3.2026", "2026-02-30"])
def test_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="is not an instant: write it as 2026-03-29T02:30"):
        read_instant(written, "UTC")


def test_an_instant_is_shown_in_its_own_zone() -> None:
    local = datetime(2026, 3, 30, 0, 30, tzinfo=UTC).astimezone(zone("Europe/Berlin").tzinfo)

    assert show_instant(local) == "Mon 2026-03-30 02:30:00 CEST"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0123, "12 ms"), (0.9999, "1.0 s"), (3.44, "3.4 s"), (59.97, "1 m 00 s"), (127, "2 m 07 s")],
)
def test_a_duration_is_as_short_as_can_be(seconds: float, shown: str) -> None:
    assert show_duration(timedelta(seconds=seconds)) == shown


def test_no_duration_is_nothing() -> None:
    assert show_duration(None) == ""
