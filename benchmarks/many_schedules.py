"""What 100,000 schedules cost: to parse, to hold as `Schedule` objects, and to plan in a timetable.

The schedules are made in code, as loading makes them; reading 100,000 job files would measure the file system.

Run: python benchmarks/many_schedules.py
"""

from __future__ import annotations

import resource
import sys
import time

from pinstripe_bot.cron import parse
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Overlap
from pinstripe_bot.schedule import Place, Schedule
from pinstripe_bot.timetable import Timetable
from pinstripe_bot.zones import Zone, zone

SCHEDULES = 100_000
MOST_S = 2.0
MOST_MB = 150.0
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
NOW_TS = 1790000000  # 2026-09-21
MINUTE_STEPS = range(60)
HOURS = ("0", "2", "*/4", "9-17", "6,18", "23")
DAYS = ("* * *", "* * mon-fri", "1 * *", "15 */3 *", "* * sun", "L * *", "1-7 * 3", "* * fri#2", "28-31 2 *")
SECONDS = ("", "30 ")


def main() -> int:
    """Print the time and the growth of memory; 1 if a target is missed."""
    texts = _expressions()
    before_kb = _peak_memory_kb()
    started = time.perf_counter()
    zones = [zone(name) for name in ZONES]
    schedules = [_schedule(place, texts, zones) for place in range(SCHEDULES)]
    parsed_s = time.perf_counter() - started
    timetable = Timetable((schedule, NOW_TS) for schedule in schedules)
    total_s = time.perf_counter() - started
    grown_mb = (_peak_memory_kb() - before_kb) / 1024
    assert len(timetable) == SCHEDULES
    distinct = len({schedule.cron for schedule in schedules})
    print(f"{len(timetable)} schedules of {distinct} distinct expressions in {len(ZONES)} zones")
    print(f"  parsed           {parsed_s:6.2f} s")
    print(f"  first due known  {total_s:6.2f} s")
    print(f"  peak memory      {grown_mb:6.1f} MB more")
    targets = [
        (f"at most {MOST_S:.0f} s", total_s <= MOST_S),
        (f"at most {MOST_MB:.0f} MB", grown_mb <= MOST_MB),
    ]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


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


def _schedule(place: int, texts: list[str], zones: list[Zone]) -> Schedule:
    cron = parse(texts[place % len(texts)])
    return Schedule(
        job=f"job-{place}",
        name=cron.normalized,
        cron=cron,
        zone=zones[place // len(texts) % len(zones)],
        dst="once",
        offset_s=0,
        policy=CatchUpPolicy(catch_up=CatchUp.LATEST, late_after_s=60.0, max_lateness_s=None),
        overlap=Overlap.SKIP,
        params={},
        params_json="{}",
        params_key="",
        enabled=True,
        place=Place(f"lib/background_jobs/job_{place}.py", 1),
    )


def _peak_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
