"""1,000 schedules due in the same second: how fast their runs are handed to workers, and how late they begin.

Ours is a bot and a worker of a cluster. The peers are Procrastinate's periodic tasks and Celery beat, in
`cluster_peers/`. Each has one worker of concurrency eight on this machine, and a job that only notes when it begins.
Participants take their turns, a few due instants each, after one that warms them up. It is measured from outside:

* The rate counts from the beginning of the first hand-over to the end of the last one. In PostgreSQL that is the time
  at which a job's transaction began, and that of its commit (ours counts from the beginning of the tick); for Celery it
  is before and after a message is sent.
* Lateness is from the due instant to the first line of the job.

Measured with Procrastinate 3.10 on PostgreSQL 18 as it ships (it waits for the disk at each commit), and Celery 5.7 on
Redis 7.0, which never does. The targets are those beside the peers as they ship. Two more rows show how far these come
when they are tuned:

* Procrastinate with twelve connections instead of four, and one more schedule that wakes the deferrer between herds,
  which else begin late by as long as it took to defer the last one. In both rows there is one task under 1,000 ids: as
  many tasks are handed over more slowly. It is a coroutine, which needs no thread.
* Celery beat with its entries in memory, not in a file; all of them share one schedule, of a few lines of arithmetic,
  instead of a `crontab`. Redis writes nothing to disk and listens on a Unix socket; no events are sent, no rates
  limited, more messages fetched ahead, by eight threads instead of eight processes.

As Celery's `crontab` knows minutes only, its row takes a minute for each due instant, and two more.

How much faster ours is than Procrastinate's depends on the disk, since it commits each job by itself and we commit some
hundred together: --flush-ms lets each commit wait for so long, as it does on a slower one.

Run: python benchmarks/dispatch.py [--schedules 1000] [--instants 2] [--flush-ms 2]
"""

from __future__ import annotations

import argparse
import os
import sys

from cluster_peers import celery_beat, pinstripe_cluster, procrastinate_periodic
from cluster_peers.measured import Measured, Missing, Participant
from cluster_peers.postgres import FLUSH_MS

LEAST_TIMES_THEIR_RATE = 20.0

OURS: tuple[Participant, ...] = (pinstripe_cluster.measure,)  # has to be so many times as fast as every peer
PEERS: tuple[Participant, ...] = (procrastinate_periodic.measure, celery_beat.measure)
TUNED: tuple[Participant, ...] = (procrastinate_periodic.measure_tuned, celery_beat.measure_tuned)


def main() -> int:
    """Print all participants beside each other; 1 if a target is missed, or a participant."""
    parser = argparse.ArgumentParser()
    for name, default in (("schedules", 1000), ("instants", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--flush-ms", type=float)
    asked = parser.parse_args()
    if asked.flush_ms is not None:
        os.environ[FLUSH_MS] = str(asked.flush_ms)  # for the server, which is started further down
    ours, cannot = measure(OURS, asked.schedules, asked.instants)
    peers, neither = measure(PEERS, asked.schedules, asked.instants)
    tuned, nor = measure(TUNED, asked.schedules, asked.instants)
    print(f"{asked.schedules} schedules due in one second, {asked.instants} times; medians of the rates")
    print_table([*ours, *peers, *tuned], peers)
    targets = [target(one, peer) for one in ours for peer in peers]
    targets += [(sentence, False) for sentence in dict.fromkeys(cannot + neither + nor)]
    for text, is_met in targets:
        print(f"  {'met   ' if is_met else 'MISSED'}  {text}")
    return 0 if all(is_met for _, is_met in targets) else 1


def measure(participants: tuple[Participant, ...], schedules: int, instants: int) -> tuple[list[Measured], list[str]]:
    """What was measured, one after another, and a sentence for each that cannot be measured here."""
    found: list[Measured] = []
    missing: list[str] = []
    for participant in participants:
        try:
            found.append(participant(schedules, instants))
        except Missing as error:
            missing.append(str(error))
    return found, missing


def print_table(participants: list[Measured], peers: list[Measured]) -> None:
    """A row for each participant, with its rate as a multiple of each peer's."""
    print(f"{'':17}{'handed over':>12}{'p50 late':>11}{'p99 late':>11}{'ran':>14}{'doubled':>9}", end="")
    print("".join(f"{f'/ {peer.name}':>18}" for peer in peers))
    for one in participants:
        print(f"  {one.name:15}{one.dispatched_per_s:10.0f}/s{one.p50_s:9.2f} s{one.p99_s:9.2f} s", end="")
        print(f"{f'{one.ran} of {one.schedules * one.instants}':>14}{one.doubled:9}", end="")
        print("".join(f"{one.dispatched_per_s / peer.dispatched_per_s:18.2f}" for peer in peers))


def target(one: Measured, peer: Measured) -> tuple[str, bool]:
    """(what is asked of one of ours beside a peer, whether it is met)."""
    times = one.dispatched_per_s / peer.dispatched_per_s
    text = f"{one.name} hands over {times:.1f} times as fast as {peer.name} (target: {LEAST_TIMES_THEIR_RATE:.0f})"
    return text, times >= LEAST_TIMES_THEIR_RATE


if __name__ == "__main__":
    sys.exit(main())
