"""What 100,000 schedules cost to parse and to ask for their first due instant.

Run: python benchmarks/many_schedules.py
"""

from __future__ import annotations

import resource
import time

from pinstripe_bot.cron import CronExpression, parse
from pinstripe_bot.zones import Zone, zone

SCHEDULES = 100_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
NOW_TS = 1790000000  # 2026-09-21
MINUTE_STEPS = range(60)
HOURS = ("0", "2", "*/4", "9-17", "6,18", "23")
DAYS = ("* * *", "* * mon-fri", "1 * *", "15 */3 *", "* * sun", "L * *", "1-7 * 3", "* * fri#2", "28-31 2 *")
SECONDS = ("", "30 ")


def main() -> None:
    """Print the time and the growth of memory; the target is at most 2 s and 150 MB."""
    before_kb = _peak_memory_kb()
    started = time.perf_counter()
    schedules = _load(_expressions())
    parsed_s = time.perf_counter() - started
    dues = [cron.next_after_ts(NOW_TS, where) for cron, where in schedules]
    total_s = time.perf_counter() - started
    distinct = len({cron for cron, _ in schedules})
    print(f"{len(dues)} schedules of {distinct} distinct expressions in {len(ZONES)} zones")
    print(f"  parsed           {parsed_s:6.2f} s")
    print(f"  first due known  {total_s:6.2f} s")
    print(f"  peak memory      {(_peak_memory_kb() - before_kb) / 1024:6.1f} MB more")


def _expressions() -> list[str]:
    """Minutes, hours and days in all combinations, a quarter of them with seconds: 4,320 texts."""
    texts = [
        f"{seconds}{minute} {hour} {days}"
        for seconds in SECONDS
        for minute in MINUTE_STEPS
        for hour in HOURS
        for days in DAYS
    ]
    return texts[:4320]


def _load(texts: list[str]) -> list[tuple[CronExpression, Zone]]:
    zones = [zone(name) for name in ZONES]
    return [(parse(texts[place % len(texts)]), zones[place // len(texts) % len(zones)]) for place in range(SCHEDULES)]


def _peak_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
