from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.child_messages import (
    LINE_LIMIT,
    UNREADABLE,
    Begin,
    Ended,
    FromBot,
    FromChild,
    LineReader,
    Printed,
    Progress,
    as_sent,
    line_of,
)
from pinstripe_bot.occurrence import Run, RunError, RunState

SAID = [Printed("stdout", "a\nb"), Progress(1, None), Ended("failed", RunError("E", "no", "a.py:1", "trace"))]


def run_with(params: dict[str, object]) -> Run:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(id=1, job="a", schedule="b", due_at=at, state=RunState.RUNNING, claimed_at=at, params=params)


@given(st.lists(st.integers(0, 200)))
def test_messages_arrive_whole_however_their_bytes_are_parted(cuts: list[int]) -> None:
    sent = b"".join(line_of(message) for message in SAID)
    places = sorted({0, len(sent), *(cut % len(sent) for cut in cuts)})
    reader: LineReader[FromChild] = LineReader(FromChild)

    heard = [message for start, end in pairwise(places) for message in reader.take(sent[start:end])]

    assert heard == SAID


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"",
        b"[]",
        b"{}",
        b'{"type":"Begin"}',
        b'{"type":"Ended","state":"happy"}',
        b'{"type":"Printed","stream":"stdout","text":7}',
        b'{"type":"Printed","stream":"stdout","text":"\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    reader: LineReader[FromChild] = LineReader(FromChild)

    with pytest.raises(UNREADABLE):
        reader.take(line + b"\n")


def test_a_line_without_an_end_is_refused() -> None:
    reader: LineReader[FromChild] = LineReader(FromChild)

    with pytest.raises(UNREADABLE, match="a line of more than"):
        reader.take(b"x" * (LINE_LIMIT + 1))


def test_a_run_is_sent_with_its_parameters_as_plain_values() -> None:
    run = run_with({"path": Path("/tmp/a"), "day": datetime(2026, 1, 2, tzinfo=UTC)})
    reader: LineReader[FromBot] = LineReader(FromBot)

    (begin,) = reader.take(line_of(Begin(as_sent(run), None)))

    assert begin == Begin(run_with({"path": "/tmp/a", "day": "2026-01-02T00:00:00Z"}), None)
