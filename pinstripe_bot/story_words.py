"""A story in sentences: the ledger's half of an explanation."""

from __future__ import annotations

from datetime import datetime

from pinstripe_bot.durations import format_duration
from pinstripe_bot.occurrence import MANUAL, Decision, Reason, Run, RunState
from pinstripe_bot.reason_words import reason_in_words, tenant_reason_in_words
from pinstripe_bot.records import Act, AttemptRecord, RunRecord
from pinstripe_bot.redaction import redact_text
from pinstripe_bot.spans import show_ago, show_duration
from pinstripe_bot.story import Gap, Standing, Story
from pinstripe_bot.tenant_story_words import tenant_sentences
from pinstripe_bot.zones import Zone

GONE = "its bot is gone: the next bot that starts records it as interrupted"
"""What is to be said of a run that stands as running (`RunRecord.lost_its_bot`)."""


def story_sentences(story: Story, zone: Zone, now: datetime) -> list[str]:
    """What became of an instant and why, or why nothing is known; every time on the clock of `zone`."""
    return _Words(story, zone, now).all()


class _Words:
    """Writes the sentences of one story."""

    def __init__(self, story: Story, zone: Zone, now: datetime) -> None:
        self._it = story
        self._zone = zone
        self._now = now

    def all(self) -> list[str]:
        it = self._it
        if it.listing is not None:
            passed = [] if it.passed is None else self._of_passed()
            told = tenant_sentences(it, self._now, self._at)
            return passed + told + [sentence for record in it.runs for sentence in self._of_run(record)]
        if it.runs:
            passed = [] if it.passed is None else self._of_passed()  # and run later, by a backfill
            return passed + [sentence for record in it.runs for sentence in self._of_run(record)]
        if it.passed is not None:
            return self._of_passed()
        if it.standing is Standing.DECIDED:
            return ["It was decided to run, and its run is no longer in the ledger."]
        return [self._undecided(), *self._ahead()]

    # What ran

    def _of_run(self, record: RunRecord) -> list[str]:
        run = record.run
        tenant = f" for the tenant {run.whose}" if run.tenant else ""
        by_hand = " by hand" if run.schedule == MANUAL else ""
        where = f" on {record.bot.host}, pid {record.bot.pid}" if record.bot else ""
        if run.state is RunState.SKIPPED:
            return [f"Its run {run.id}{by_hand}{tenant} was skipped because {self._why_skipped(run)}."]
        if run.state is RunState.QUEUED:
            return [f"Its run {run.id}{by_hand}{tenant} waits{self._for_what(record)}.", *self._attempts(record)]
        if run.state is RunState.RUNNING and run.started_at is not None:
            since = f"since {self._at(run.started_at)}, {self._late(record)}"
            ran = f"Its run {run.id}{by_hand}{tenant} is running{where} {since}."
            if record.lost_its_bot:
                ran = f"Its run {run.id}{by_hand}{tenant} was running{where} {since}, and {GONE}."
            return [ran, *self._attempts(record)]
        began = f" It started at {self._at(run.started_at)}, {self._late(record)}{where}." if run.started_at else ""
        return [f"It ran{by_hand}{tenant} as run {run.id}, which {self._ended(run)}.{began}", *self._attempts(record)]

    def _why_skipped(self, run: Run) -> str:
        act = self._it.act
        if run.reason is Reason.PAUSED and run.tenant and act is not None:
            return self._asked(act)
        return tenant_reason_in_words(run.reason) if run.tenant else reason_in_words(run.reason)

    def _for_what(self, record: RunRecord) -> str:
        if record.available_at > self._now:
            return f", and may start {show_ago(record.available_at, self._now)}"
        if record.queue:
            return f" for a worker of the queue {record.queue}{'' if record.is_served else ': none serves it'}"
        if not self._it.has_bot:
            return " for a bot: none is running"
        return " for the earlier runs of its work" if record.is_in_turn else " for a worker"

    def _ended(self, run: Run) -> str:
        took = f" after {show_duration(run.duration)}" if run.duration is not None else ""
        words = {
            RunState.TIMED_OUT: "timed out",
            RunState.CANCELLED: "was cancelled",
            RunState.INTERRUPTED: "was interrupted",
        }.get(run.state, str(run.state))
        if run.error is not None:
            place = f" ({run.error.place})" if run.error.place else ""
            return f"{words}{took}: {_error(run.error.type, run.error.message)}{place}"
        return f"{words}{took}" + (f" because {reason_in_words(run.reason)}" if run.reason else "")

    def _late(self, record: RunRecord) -> str:
        run = record.run
        if record.is_backfill:
            return "for a backfill"
        if run.attempt > 1:
            return f"attempt {run.attempt}"
        return f"{show_duration(run.lateness)} {'after it was asked for' if run.schedule == MANUAL else 'late'}"

    def _attempts(self, record: RunRecord) -> list[str]:
        return [self._attempt(attempt) for attempt in record.attempts]

    def _attempt(self, attempt: AttemptRecord) -> str:
        state = str(attempt.state).replace("_", " ")
        told = _error(attempt.error.type, attempt.error.message) if attempt.error else reason_in_words(attempt.reason)
        at = f" at {self._at(attempt.finished_at)}" if attempt.finished_at else ""
        return f"Attempt {attempt.attempt} {state}{at}" + (f": {told}." if told else ".")

    # What did not run

    def _of_passed(self) -> list[str]:
        it = self._it
        assert it.passed is not None
        occurrence = it.passed.occurrence
        was = "skipped" if occurrence.decision is Decision.SKIPPED else "missed"
        stretch = ""
        if occurrence.until_at is not None:
            ends = f"from {self._at(occurrence.due_at)} to {self._at(occurrence.until_at)}"
            stretch = f", with {occurrence.count - 1} more {ends},"
        told = [f"It was {was}{stretch} because {self._because(occurrence.reason)}."]
        if occurrence.decision is Decision.MISSED and it.gap is not None:
            told.append(self._without_bot(it.gap))
        told.append(f"This was decided at {self._at(it.passed.decided_at)}.")
        return told

    def _because(self, reason: Reason | None) -> str:
        it, other = self._it, self._it.other
        is_for_tenants = it.declared is not None and it.declared.multi_tenant
        words = reason_in_words(reason, is_for_tenants=is_for_tenants)
        if reason is Reason.OVERLAP and not is_for_tenants:
            return self._in_the_way(other) if other else f"{words}; which one that was is no longer known"
        if reason is Reason.SAME_INSTANT:
            return words + (f", {other.schedule}{_as_run(other, ' as run')}" if other else "")
        if reason is Reason.COALESCED:
            return words + (f": that of {self._at(other.due_at)}{_as_run(other, ' which ran as run')}" if other else "")
        if reason in (Reason.PAUSED, Reason.SKIP_ASKED) and it.act is not None:
            return self._asked(it.act)
        if other is None:
            return words
        return f"{words}; the next one that ran was {self._at(other.due_at)}{_as_run(other, ' run')}"

    def _in_the_way(self, run: Run) -> str:
        it = self._it
        assert it.passed is not None
        if run.started_at is not None and run.started_at <= it.passed.decided_at:
            words = "the run before it had not ended"
        else:
            words = "one was waiting already" if it.is_queue else "the run before it had not started yet"
        return f"{words}: {self._other(run)}"

    def _other(self, run: Run) -> str:
        if run.started_at is None and run.finished_at is None:
            return f"run {run.id}, due at {self._at(run.due_at)}, still waits"
        until = f"until {self._at(run.finished_at)}" if run.finished_at else "and has not ended yet"
        since = f"ran from {self._at(run.started_at)}" if run.started_at else "waited"
        return f"run {run.id}, due at {self._at(run.due_at)}, {since} {until}"

    def _asked(self, act: Act) -> str:
        why = f" ({act.why})" if act.why else ""
        until = f" until {self._at(act.until_at)}" if act.until_at else ""
        what = "asked to skip it" if act.action == "skip" else "paused the tenant" if act.tenant else "paused it"
        return f"{act.who} {what} at {self._at(act.at)}{until}{why}"

    def _without_bot(self, gap: Gap) -> str:
        since = f" from {self._at(gap.since)}" if gap.since else " before"
        until = f" to {self._at(gap.until)}" if gap.until else " on"
        return (
            f"No bot was running{since}{until}."
            if gap.since or not gap.until
            else (f"The first bot that the ledger knows started at {self._at(gap.until)}.")
        )

    # What is not decided

    def _undecided(self) -> str:
        it, mark = self._it, self._it.mark
        match it.standing:
            case Standing.TO_COME:
                return f"It is still to come, {show_ago(it.due_at, self._now)}."
            case Standing.UNDECIDED if it.has_bot:
                return "It is not decided yet: a bot is running, and decides it at its next look."
            case Standing.UNDECIDED:
                return f"It is not decided yet: no bot is running{self._since_when()}, and the next one decides it."
            case Standing.BEFORE if mark is not None:
                since = f"from {self._at(mark.effective_from)} on, when it was new, edited, resumed or back again"
                return f"The schedule counts {since}: what was due before was not decided, and does not run."
            case Standing.EDITED if mark is not None:
                return (
                    f"The ledger has the schedule in another form ({mark.form}): no bot has been started since its"
                    " file has the present one."
                )
            case Standing.UNPLANNED:
                return "No bot has planned this schedule yet: it counts from the first start of a bot on."
            case Standing.DISABLED:
                return "The schedule is disabled: no bot plans it."
            case Standing.REMOVED:
                return f"The schedule was removed or disabled{self._removed()}."
            case Standing.PRUNED:
                return f"The ledger has no record of it any more: records are kept for {format_duration(it.retention)}."
        decided_to = "" if mark is None else f", though all up to {self._at(mark.planned_to)} is decided"
        return f"The ledger has no record of it{decided_to}."

    def _removed(self) -> str:
        """Finishes "The schedule was removed or disabled"."""
        removed_at = None if self._it.mark is None else self._it.mark.removed_at
        if removed_at is None:
            return ": no bot plans it"
        if self._it.due_at <= removed_at:
            return f" at {self._at(removed_at)}, before a bot had decided this instant: it does not run"
        return f" at {self._at(removed_at)}: no bot has planned it since"

    def _since_when(self) -> str:
        gap = self._it.gap
        return f" since {self._at(gap.since)}" if gap is not None and gap.since else ""

    def _ahead(self) -> list[str]:
        it = self._it
        if it.standing not in (Standing.TO_COME, Standing.UNDECIDED):
            return []
        told = []
        if it.act is not None:
            told.append(f"It will be skipped: {self._asked(it.act)}.")
        elif it.skips:
            those = "The next due instant is" if it.skips == 1 else f"The next {it.skips} due instants are"
            told.append(f"{those} to be skipped, as somebody asked.")
        if it.standing is Standing.TO_COME and not it.has_bot:
            told.append(f"No bot is running{self._since_when()}.")
        return told

    def _at(self, instant: datetime | None) -> str:
        """An instant on the zone's clock, with its day where that is another one than the due instant's."""
        if instant is None:
            return ""
        local, due = instant.astimezone(self._zone.tzinfo), self._it.due_at.astimezone(self._zone.tzinfo)
        day = "" if local.date() == due.date() else f" on {local:%a} {local.date()}"
        return f"{local:%H:%M:%S} {local:%Z}{day}"


def _as_run(run: Run, words: str) -> str:
    """Its number; of an instant that ran for each tenant, one run of many, none."""
    return "" if run.tenant else f",{words} {run.id}"


def _error(kind: str, message: str) -> str:
    lines = message.strip().splitlines()
    return redact_text(": ".join(text for text in (kind, lines[0] if lines else "") if text))
