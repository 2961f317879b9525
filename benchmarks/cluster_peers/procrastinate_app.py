"""The Procrastinate app whose worker `procrastinate_periodic.py` starts; its settings come in the environment."""

from __future__ import annotations

import os

from procrastinate import App, PsycopgConnector

from cluster_peers.measured import EVERY_S
from cluster_peers.notes import NotePad

CONNECTIONS = 12  # one for each of eight runs, and some for the rest; by default there are four in all

is_tuned = "TUNED" in os.environ
pool = {"min_size": CONNECTIONS, "max_size": CONNECTIONS} if is_tuned else {}
begun = NotePad(os.environ["BEGUN"])
app = App(connector=PsycopgConnector(conninfo=os.environ["URL"], **pool))


@app.task(name="noop")
async def noop(timestamp: int, schedule: int) -> None:
    begun.note(schedule)


@app.task(name="wake_up")
async def wake_up(timestamp: int) -> None:
    """Due two seconds after each herd, so that the next one is not late because of this one.

    The deferrer reckons how long to sleep from when it woke, and goes to sleep when it has deferred a whole herd: what
    comes due next is late by as long as that took.
    """


for number in range(int(os.environ["SCHEDULES"])):
    app.periodic(cron=f"* * * * * */{EVERY_S}", periodic_id=str(number), task_kwargs={"schedule": number})(noop)

if is_tuned:
    app.periodic(cron=f"* * * * * 2-59/{EVERY_S}")(wake_up)
