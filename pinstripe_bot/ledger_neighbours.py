"""The neighbours of a run: the one before and the one after it of its job and tenant, and those of its instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, func, select

from pinstripe_bot.ledger_schema import runs
from pinstripe_bot.occurrence import BAD_ENDS

MOST = 40
"""How many runs of one instant are told of: those that went wrong, and some others."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A run of the same instant, for another tenant."""

    run: int
    tenant: str
    name: str
    state: str
    took: timedelta | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The numbers of the runs before and after; `same` are some of the `same_count` of its instant, itself too."""

    previous: int | None
    following: int | None
    same: tuple[Sibling, ...]
    same_count: int


def read_neighbours(connection: Connection, run_id: int) -> Neighbours:
    """The neighbours of a run that there is."""
    me = connection.execute(select(runs.c.job, runs.c.tenant, runs.c.occurrence_id).where(runs.c.id == run_id)).one()
    its = (runs.c.job == me.job) & (runs.c.tenant == me.tenant)
    before = select(runs.c.id).where(its, runs.c.id < run_id).order_by(runs.c.id.desc()).limit(1)
    after = select(runs.c.id).where(its, runs.c.id > run_id).order_by(runs.c.id).limit(1)
    of_instant = runs.c.occurrence_id == me.occurrence_id
    count = connection.scalar(select(func.count()).select_from(runs).where(of_instant)) or 0
    columns = (runs.c.id, runs.c.tenant, runs.c.tenant_name, runs.c.state, runs.c.finished_at - runs.c.started_at)
    order = ((runs.c.id != run_id), runs.c.state.not_in(BAD_ENDS), runs.c.id)
    rows = connection.execute(select(*columns).where(of_instant).order_by(*order).limit(MOST)).all()
    same = (Sibling(run, tenant, name, state, _span(took)) for run, tenant, name, state, took in rows)
    return Neighbours(
        connection.scalar(before), connection.scalar(after), tuple(sorted(same, key=lambda one: one.run)), count
    )


def _span(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=max(microseconds, 0))
