"""The marks of the ledger: up to which instant each schedule is decided, and by whose form of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, insert, select, update

from pinstripe_bot.ledger_rows import SECOND
from pinstripe_bot.ledger_schema import schedules
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of
from pinstripe_bot.occurrence import Occurrence
from pinstripe_bot.schedule import Schedule, in_zones

MARKS = both(
    "SELECT {rows} FROM schedules WHERE id IN {ids}",
    rows=listed("id", "fingerprint", "planned_to"),
    ids=values_of("ids", "bigint"),
)

ANNOUNCED = both(
    """
    SELECT {rows} FROM schedules LEFT JOIN bots ON bots.id = schedules.announced_by
    WHERE schedules.id IN {ids} AND schedules.removed_at IS NULL
    """,
    rows=listed("schedules.id", "schedules.fingerprint", "schedules.planned_to", "bots.started_at"),
    ids=values_of("ids", "bigint"),
)

MOVE = both(
    "UPDATE schedules SET planned_to = mark.until_at FROM {marks} AS mark WHERE schedules.id = mark.id",
    marks=given("marks", id="bigint", until_at="bigint"),
)


Identity = tuple[str, str, str]
"""A job, the name of a schedule of it, and its key: '' or the zone, where it is its tenants'."""

Stored = Mapping[Identity, Row[Any]]
"""{identity: its row}."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What announcing gave: {schedule: the UTC second up to which it is decided}, and {edited one: its form before}.

    `has_others`: other bots live, and stop planning the edited ones. `passed` is what came due by former forms.
    """

    marks: dict[Schedule, int]
    edited: dict[Schedule, str]
    has_others: bool = False
    passed: tuple[Occurrence, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Schedules to plan again: {schedule: the UTC second up to which it is decided}, and the ones announced anew.

    `passed` is what came due by the forms that nobody planned any more.
    """

    marks: dict[Schedule, int]
    announced: list[Schedule]
    passed: Sequence[Occurrence]


class Marks:
    """The rows of the schedules that this bot plans. Every method is a step of its caller's transaction."""

    def __init__(self) -> None:
        self._ids: dict[Schedule, int] = {}
        self._orders: dict[Schedule, int] = {}
        self._planned_ts: dict[Schedule, int] = {}

    def order(self, schedule: Schedule) -> int:
        """The place of a schedule in the declaration of the whole project."""
        return self._orders[schedule]

    def register(
        self,
        connection: Connection,
        stored: Stored,
        planned: Sequence[Schedule],
        now_ts: int,
        *,
        bot: str,
        keep: Collection[str],
    ) -> Registration:
        """Announce the schedules that this bot plans; `stored` are those that the ledger has.

        One that is new, was edited or comes back starts from now. Those that are no longer declared are marked
        as removed, but not those of the jobs in `keep`.
        """
        now_at = now_ts * SECOND
        wanted = {identity(schedule): schedule for schedule in planned}
        new = [_row(schedule, now_at, bot) for key, schedule in wanted.items() if key not in stored]
        changed = {
            key: schedule for key, schedule in wanted.items() if key in stored and _differs(schedule, stored[key])
        }
        if new:
            connection.execute(insert(schedules), new)
        if changed:
            rows = [{"row": stored[key].id, "form": schedule.fingerprint} for key, schedule in changed.items()]
            connection.execute(_restart(now_at, bot), rows)
        self._remove(connection, set(stored) - set(wanted), stored, now_at, keep)
        self._remember(wanted, read_stored(connection) if new or changed else stored)
        return Registration(
            {schedule: self._planned_ts[schedule] for schedule in wanted.values()},
            {schedule: stored[key].fingerprint for key, schedule in changed.items() if not stored[key].removed_at},
        )

    def _remove(
        self,
        connection: Connection,
        undeclared: set[Identity],
        stored: Stored,
        now_at: int,
        keep: Collection[str],
    ) -> None:
        gone = [{"row": stored[key].id} for key in undeclared if not stored[key].removed_at and key[0] not in keep]
        if gone:
            connection.execute(_update_row({"removed_at": now_at}), gone)

    def _remember(self, wanted: Mapping[Identity, Schedule], rows: Stored) -> None:
        self._ids = {schedule: rows[key].id for key, schedule in wanted.items()}
        self._orders = {schedule: order for order, schedule in enumerate(wanted.values())}
        self._planned_ts = {schedule: rows[key].planned_to // SECOND for key, schedule in wanted.items()}

    def add(
        self, connection: Connection, new: Mapping[Schedule, int | None], now_ts: int, *, bot: str
    ) -> dict[Schedule, int]:
        """Plan further schedules, in zones that tenants have come to: {schedule: UTC second up to which it is decided}.

        One that another bot plans already goes on from its mark. The others start when the first tenant came, {one:
        then}, but not before the schedule itself was planned in other zones; where that is not known, from now.
        """
        stored = read_stored(connection)
        starts = {one: _start_ts(one, since_ts, stored, now_ts) for one, since_ts in new.items()}
        shared = {one for one in new if identity(one) in stored and not _differs(one, stored[identity(one)])}
        unknown = [one for one in new if identity(one) not in stored]
        if unknown:
            connection.execute(insert(schedules), [_row(one, starts[one] * SECOND, bot) for one in unknown])
        again = [one for one in new if one not in shared and identity(one) in stored]
        if again:
            for one in again:
                row = {"row": stored[identity(one)].id, "form": one.fingerprint}
                connection.execute(_restart(starts[one] * SECOND, bot), row)
        rows_now = read_stored(connection)
        for one in new:
            self._ids[one] = rows_now[identity(one)].id
            self._orders[one] = len(self._orders)
            self._planned_ts[one] = rows_now[identity(one)].planned_to // SECOND
        return {one: self._planned_ts[one] for one in new}

    def drop(self, connection: Connection, gone: Iterable[Schedule], now_ts: int) -> None:
        """Mark schedules as removed, in zones that tenants have left."""
        rows = [{"row": self._ids[one]} for one in gone if one in self._ids]
        if rows:
            connection.execute(_update_row({"removed_at": now_ts * SECOND}), rows)

    def read(
        self, connection: Connection, planned: Iterable[Schedule]
    ) -> tuple[dict[Schedule, int], dict[Schedule, str]]:
        """({schedule: mark}, UTC seconds, of those whose stored form is ours; {schedule: the form} of the others)."""
        by_id = {self._ids[schedule]: schedule for schedule in planned}
        marks: dict[Schedule, int] = {}
        superseded = dict.fromkeys(by_id.values(), "")
        for row_id, fingerprint, planned_to in rows_of(connection, MARKS, ids=to_json(list(by_id))):
            superseded[by_id[row_id]] = fingerprint
            if fingerprint == by_id[row_id].fingerprint:
                marks[by_id[row_id]] = planned_to // SECOND
                del superseded[by_id[row_id]]
        return marks, superseded

    def standing(
        self, connection: Connection, aside: Iterable[Schedule], others: Mapping[str, int]
    ) -> tuple[dict[Schedule, int], list[Schedule]]:
        """Of schedules that another bot plans in its form: ({schedule: mark} where it is ours again, those of nobody).

        `others` are the living bots besides this one: {bot: since when}. Each of them that began with the stored
        form's announcement, or later, plans that form; where there is none, nobody does.
        """
        ids = {self._ids[schedule]: schedule for schedule in aside}
        rows = rows_of(connection, ANNOUNCED, ids=to_json(list(ids)))
        ours = {ids[row]: planned_to // SECOND for row, form, planned_to, _ in rows if form == ids[row].fingerprint}
        foreign = [(ids[row], since or 0) for row, form, _, since in rows if form != ids[row].fingerprint]
        return ours, [schedule for schedule, since in foreign if all(began < since for began in others.values())]

    def announce(self, connection: Connection, schedules: Iterable[Schedule], now_ts: int, *, bot: str) -> None:
        """Make our form of these schedules the one that counts; they start from now."""
        rows = [{"row": self._ids[schedule], "form": schedule.fingerprint} for schedule in schedules]
        connection.execute(_restart(now_ts * SECOND, bot), rows)

    def move(self, connection: Connection, marks: Mapping[Schedule, int]) -> None:
        """Record that everything up to {schedule: UTC second} is decided."""
        rows = [(self._ids[schedule], until_ts * SECOND) for schedule, until_ts in marks.items()]
        execute(connection, MOVE, marks=to_json(rows))


def _start_ts(schedule: Schedule, since_ts: int | None, stored: Stored, now_ts: int) -> int:
    """From when a schedule is planned in a zone that it was not planned in."""
    if since_ts is None:
        return now_ts
    its_own = (row for (job, name, _), row in stored.items() if (job, name) == (schedule.job, schedule.name))
    in_force_ts = min((row.effective_from // SECOND for row in its_own if not row.removed_at), default=now_ts)
    return max(since_ts, in_force_ts)


def read_stored(connection: Connection) -> Stored:
    """The schedules that the ledger has, also the removed ones."""
    return {(row.job, row.schedule, row.key): row for row in connection.execute(select(schedules))}


def identity(schedule: Schedule) -> Identity:
    """What a schedule's row is found by."""
    return (schedule.job, schedule.name, schedule.key)


def in_stored_zones(declared: Iterable[Schedule], stored: Stored) -> list[Schedule]:
    """The declared schedules as they are planned, in the zones in which the ledger has them."""
    zones: dict[tuple[str, str], list[str]] = {}
    for (job, name, key), row in stored.items():
        if key and not row.removed_at:
            zones.setdefault((job, name), []).append(key)
    return in_zones(declared, lambda one: zones.get((one.job, one.name), ()))


def _differs(schedule: Schedule, row: Row[Any]) -> bool:
    return bool(row.fingerprint != schedule.fingerprint or row.removed_at)


def _row(schedule: Schedule, now_at: int, bot: str) -> dict[str, object]:
    return {
        "job": schedule.job,
        "schedule": schedule.name,
        "key": schedule.key,
        "fingerprint": schedule.fingerprint,
        "effective_from": now_at,
        "planned_to": now_at,
        "announced_by": bot,
    }


def _restart(now_at: int, bot: str) -> Update:
    restart: dict[str, object] = {"effective_from": now_at, "planned_to": now_at, "removed_at": None}
    restart |= {"fingerprint": bindparam("form"), "announced_by": bot}
    return _update_row(restart)


def _update_row(values: dict[str, object]) -> Update:
    return update(schedules).where(schedules.c.id == bindparam("row")).values(values)
