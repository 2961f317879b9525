"""The marks of the ledger: up to which instant each schedule is decided, and by whose form of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from pinstripe_bot.ledger_schema import SECOND, rows_of, schedules, to_json
from pinstripe_bot.schedule import Schedule

MARKS = """
    SELECT json_group_array(json_array(id, fingerprint, planned_to)) FROM schedules
    WHERE id IN (SELECT value FROM json_each(?))
"""

MOVE = """
    UPDATE schedules SET planned_to = json_extract(mark.value, '$[1]')
    FROM json_each(?) AS mark WHERE schedules.id = json_extract(mark.value, '$[0]')
"""


class Marks:
    """The rows of the schedules that this bot plans. Every method is a step of its caller's transaction."""

    def __init__(self) -> None:
        self._ids: dict[Schedule, int] = {}
        self._orders: dict[Schedule, int] = {}

    def order(self, schedule: Schedule) -> int:
        """The place of a schedule in the declaration of the whole project."""
        return self._orders[schedule]

    def register(
        self, connection: Connection, planned: Sequence[Schedule], now_ts: int, *, keep: Iterable[str]
    ) -> dict[Schedule, int]:
        """Announce the schedules that this bot plans: {schedule: the UTC second up to which it is decided}.

        One that is new, was edited or comes back starts from now. Those that are no longer declared are marked
        as removed, but not those of the jobs in `keep`.
        """
        now_at = now_ts * SECOND
        stored = {(row.job, row.schedule): row for row in connection.execute(select(schedules))}
        wanted = {(schedule.job, schedule.name): schedule for schedule in planned}
        new = [schedule for key, schedule in wanted.items() if key not in stored]
        edited = [
            {"row": stored[key].id, "form": schedule.fingerprint}
            for key, schedule in wanted.items()
            if key in stored and (stored[key].fingerprint != schedule.fingerprint or stored[key].removed_at)
        ]
        kept = set(keep)
        gone = [
            {"row": row.id}
            for key, row in stored.items()
            if key not in wanted and not row.removed_at and key[0] not in kept
        ]
        if new:
            connection.execute(insert(schedules), [_row(schedule, now_at) for schedule in new])
        restart = {
            "fingerprint": bindparam("form"),
            "effective_from": now_at,
            "planned_to": now_at,
            "removed_at": None,
        }
        for statement, rows in ((_update_row(restart), edited), (_update_row({"removed_at": now_at}), gone)):
            if rows:
                connection.execute(statement, rows)
        return self._remember(connection, wanted)

    def _remember(self, connection: Connection, wanted: dict[tuple[str, str], Schedule]) -> dict[Schedule, int]:
        rows = {(row.job, row.schedule): row for row in connection.execute(select(schedules))}
        self._ids = {schedule: rows[key].id for key, schedule in wanted.items()}
        self._orders = {schedule: order for order, schedule in enumerate(wanted.values())}
        return {schedule: rows[key].planned_to // SECOND for key, schedule in wanted.items()}

    def read(self, connection: Connection, planned: Iterable[Schedule]) -> dict[Schedule, int]:
        """{schedule: mark}, UTC seconds, without those whose stored form is no longer ours."""
        by_id = {self._ids[schedule]: schedule for schedule in planned}
        return {
            by_id[row_id]: planned_to // SECOND
            for row_id, fingerprint, planned_to in rows_of(connection, MARKS, (to_json(list(by_id)),))
            if fingerprint == by_id[row_id].fingerprint
        }

    def move(self, connection: Connection, marks: dict[Schedule, int]) -> None:
        """Record that everything up to {schedule: UTC second} is decided."""
        rows = [(self._ids[schedule], until_ts * SECOND) for schedule, until_ts in marks.items()]
        connection.exec_driver_sql(MOVE, (to_json(rows),))


def _row(schedule: Schedule, now_at: int) -> dict[str, object]:
    return {
        "job": schedule.job,
        "schedule": schedule.name,
        "fingerprint": schedule.fingerprint,
        "effective_from": now_at,
        "planned_to": now_at,
    }


def _update_row(values: dict[str, object]) -> Update:
    return update(schedules).where(schedules.c.id == bindparam("row")).values(values)
