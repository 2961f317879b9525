"""How long the next due instant takes, ours against croniter's, on the same expressions, zones and instants.

Run: python benchmarks/next_due.py
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from pinstripe_bot.cron import parse
from pinstripe_bot.zones import zone

EXPRESSIONS = (
    "* * * * *",
    "*/5 * * * *",
    "*/15 9-17 * * mon-fri",
    "0 * * * *",
    "30 2 * * *",
    "0 3 * * sun",
    "15 4 1 * *",
    "0 0 L * *",
    "0 9 * * 1#2",
    "0 12 1,15 * 3",
    "45 23 31 12 *",
    "0 0 1 */3 *",
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
YEAR_START_TS = 1767225600  # 2026
YEAR_S = 365 * 86400
MOST_US = 3.0
LEAST_TIMES_FASTER = 20.0


def main() -> int:
    """Print both medians and their ratio; 1 if a target is missed."""
    chance = random.Random(1)
    ours, theirs = [], []
    for expression in EXPRESSIONS:
        for name in ZONES:
            instants = [YEAR_START_TS + chance.randrange(YEAR_S) for _ in range(40)]
            ours += _our_times_us(expression, name, instants)
            theirs += _their_times_us(expression, name, instants)
    our_us, their_us = statistics.median(ours), statistics.median(theirs)
    worst_us = sorted(ours)[int(len(ours) * 0.99)]
    print(f"next due instant, {len(ours)} questions, {len(EXPRESSIONS)} expressions, {len(ZONES)} zones")
    print(f"  pinstripe  {our_us:8.2f} us median  {worst_us:8.2f} us 99 %")
    print(f"  croniter   {their_us:8.2f} us median")
    times = their_us / our_us
    targets = [
        (f"median {our_us:.1f} us (target: {MOST_US})", our_us <= MOST_US),
        (f"{times:.1f} times faster (target: {LEAST_TIMES_FASTER})", times >= LEAST_TIMES_FASTER),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def _our_times_us(expression: str, name: str, instants: list[int]) -> list[float]:
    cron, where = parse(expression), zone(name)
    cron.next_after_ts(YEAR_START_TS, where)  # builds the calendar of the year
    return [_time_us(lambda: cron.next_after_ts(ts, where, "once"), repeats=5) for ts in instants]  # noqa: B023


def _their_times_us(expression: str, name: str, instants: list[int]) -> list[float]:
    where = ZoneInfo(name)
    cron = croniter(expression, datetime.fromtimestamp(YEAR_START_TS, UTC).astimezone(where))
    times = []
    for ts in instants:
        cron.set_current(datetime.fromtimestamp(ts, UTC).astimezone(where))
        times.append(_time_us(lambda: cron.get_next(datetime, update_current=False), repeats=1))
    return times


def _time_us(call: Callable[[], object], *, repeats: int) -> float:
    started = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return (time.perf_counter_ns() - started) / repeats / 1000


if __name__ == "__main__":
    sys.exit(main())
