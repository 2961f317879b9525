"""A busy bot told to stop at any moment: what runs ends, nothing starts any more, and nothing that waits is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from chaos import Note, Site, job_file
from judge import judge
from many_bots import Nursery, nursery_of
from nursery import SIGNALS
from processes import soaking

SIGNALS_SENT = soaking(40, 1000)
LATEST_S = 0.3
WORKERS = 4
ON_ITS_WAY_S = 0.1
"""How long after the signal a worker may arrive in a job, if it looked for a signal just before: 0.3 ms when idle."""

JOBS = {
    **{f"herd_{number:02}": job_file('overlap="allow"', "time.sleep(random.uniform(0, 0.12))") for number in range(20)},
    **{f"queued_{number}": job_file('overlap="queue"', "time.sleep(random.uniform(0, 0.12))") for number in range(4)},
    **{f"awaiting_{number}": job_file('overlap="allow"', "await asyncio.sleep(0.1)") for number in range(4)},
    "catching_up": job_file('catch_up="all"', "time.sleep(0.02)"),
    "failing": job_file('retries=2, backoff=("50ms", "100ms")', 'assert random.random() > 0.5, "on purpose"'),
}
"""About 1.5 s of work for the workers in each second: there is always something queued and something running."""


def interrupt_at_random(nursery: Nursery, chance: random.Random) -> list[int]:
    """Let one bot after another begin and stop it a moment later; their exit codes."""
    codes = []
    for _ in range(SIGNALS_SENT):
        pid = nursery.start()
        time.sleep(chance.uniform(0, LATEST_S))
        os.kill(pid, signal.SIGTERM)
        codes.append(nursery.wait(pid))
    return codes


def heeded(root: Path) -> dict[int, float]:
    """{bot: when it had heeded its signal}, monotonic."""
    lines = (line.split() for line in (root / SIGNALS).read_text().splitlines())
    return {int(bot): float(at_s) for bot, at_s in lines}


def starts_after_the_signal(site: Site) -> list[tuple[int, float]]:
    """(bot, how many seconds after it had heeded the signal) of each start that came later."""
    signals = heeded(site.root)
    starts = [(note.bot, note.at_s) for note in site.evidence() if note.word == "start"]
    return [(bot, at_s - signals[bot]) for bot, at_s in starts if at_s > signals[bot]]


def unfinished(site: Site) -> list[Note]:
    """Starts without a finish, but for those of the jobs that fail on purpose."""
    evidence = site.evidence()
    finished = {(note.job, note.due_ts, note.attempt) for note in evidence if note.word == "finish"}
    starts = (note for note in evidence if note.word == "start" and note.job != "failing")
    return [note for note in starts if (note.job, note.due_ts, note.attempt) not in finished]


@pytest.mark.timeout(soaking(120, 1800))
def test_stopped_at_random_moments_a_busy_bot_ends_what_runs_starts_nothing_more_and_leaves_the_rest_to_the_next(
    tmp_path: Path,
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    site = Site(tmp_path, JOBS, settings=f"workers = {WORKERS}")
    with nursery_of("noting", tmp_path) as nursery:
        codes = interrupt_at_random(nursery, random.Random(seed))
        last = nursery.start_surely()
        site.pause()
        site.wait_until_idle()
        codes.append(nursery.stop(last))
        events = nursery.grep("runs_released", "runs_taken_over", "run_interrupted", "tick_failed", "poll_failed")

    late = starts_after_the_signal(site)
    summary = judge(site)
    latest_s = max((after_s for _, after_s in late), default=0)
    print(f"{len(codes)} signals; {summary}; logs: {dict(events)}; on their way: {len(late)}, {latest_s:.4f} s at most")
    assert set(codes) == {0}
    assert len(heeded(tmp_path)) == len(codes)
    assert unfinished(site) == []
    assert latest_s < ON_ITS_WAY_S
    assert all(times <= WORKERS for times in Counter(bot for bot, _ in late).values())
    assert site.rows("SELECT count(*) FROM runs WHERE state = 'interrupted'") == [(0,)]
    assert events["runs_released"] > 0
    assert not events["tick_failed"] + events["poll_failed"]
