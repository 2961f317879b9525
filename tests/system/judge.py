"""The judge: what the jobs did is compared with what the ledger says of it, and that with the schedules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos import SECOND, Site

from pinstripe_bot.schedule import Schedule

Attempt = tuple[int, str, int, int]
"""A run, its job, its due instant and which try it is."""

END_STATES = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted", "skipped"})


def judge(site: Site, told: str = "") -> str:
    """Compare what the jobs did with what the ledger says, and that with the schedules; a summary of what was found.

    Every run must have ended, and no bot may be at work. `told` says of a failure what had been done.
    """
    problems = [*_undecided(site), *_without_run(site), *_not_ended(site), *_unlike_evidence(site)]
    assert not problems, f"{len(problems)} problems, the first: {problems[:8]}; {told}"
    return _summary(site)


def _undecided(site: Site) -> Iterator[str]:
    """Due instants without a decision, or with two."""
    spans: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    query = "SELECT job, schedule, due_at, coalesce(until_at, due_at), count FROM occurrences ORDER BY due_at"
    for job, schedule, first, last, count in site.rows(query):
        assert first % SECOND == last % SECOND == 0
        spans[job, schedule].append((first // SECOND, last // SECOND, count))
    marks = site.rows("SELECT job, schedule, effective_from, planned_to, removed_at FROM schedules")
    by_key = {(schedule.job, schedule.name): schedule for schedule in site.project.schedules}
    assert {(job, name) for job, name, *_ in marks} == by_key.keys()
    for job, name, effective_from, planned_to, removed_at in marks:
        assert removed_at is None
        schedule = by_key[job, name]
        yield from _holes(schedule, effective_from // SECOND, planned_to // SECOND, spans.pop((job, name), []))
    yield from (f"decided beside every schedule: {key}" for key in spans)


def _holes(schedule: Schedule, from_ts: int, to_ts: int, spans: list[tuple[int, int, int]]) -> Iterator[str]:
    before_ts = from_ts
    for first_ts, last_ts, count in spans:
        if schedule.next_after_ts(before_ts) != first_ts:
            yield f"{schedule.job}: after {before_ts} comes {schedule.next_after_ts(before_ts)}, and not {first_ts}"
        if schedule.count_ts(first_ts - 1, last_ts) != count:
            yield f"{schedule.job}: a stretch from {first_ts} to {last_ts} counts {count}"
        before_ts = last_ts
    total = sum(count for _, _, count in spans)
    wanted = schedule.count_ts(from_ts, to_ts)
    if total != wanted:
        yield f"{schedule.job}: {total} instants are decided, and {wanted} came due from {from_ts} to {to_ts}"


def _without_run(site: Site) -> Iterator[str]:
    query = (
        "SELECT occurrences.job, occurrences.due_at, decision, runs.id FROM occurrences"
        " LEFT JOIN runs ON runs.occurrence_id = occurrences.id"
        " WHERE (decision = 'run') <> (runs.id IS NOT NULL)"
    )
    yield from (f"a decision and no run, or a run and no decision: {row}" for row in site.rows(query))


def _not_ended(site: Site) -> Iterator[str]:
    yield from (f"still open: {run}" for run in site.open_runs())
    for run_id, job, state, reason, attempt in site.rows("SELECT id, job, state, reason, attempt FROM runs"):
        if state not in END_STATES:
            yield f"run {run_id} of {job} is {state}"
        options = site.project.jobs[job].options
        if options["on_interrupt"] == "retry" and state == "interrupted" and attempt < 10:
            yield f"run {run_id} of {job} was interrupted in attempt {attempt} and not tried again"
        is_in_a_process = options["isolation"] == "process"  # which may be killed
        if state == "failed" and not options["retries"] and not is_in_a_process:
            yield f"run {run_id} of {job} failed ({reason})"
        if state == "failed" and attempt <= options["retries"]:
            yield f"run {run_id} of {job} failed in attempt {attempt} and was not tried again"
    alive = site.rows("SELECT id, pid FROM bots WHERE stopped_at IS NULL")
    yield from (f"a bot that has gone counts as alive: {bot}" for bot in alive)


def _unlike_evidence(site: Site) -> Iterator[str]:
    """Starts that the ledger knows nothing of, twice the same start, and successes of which nothing is to be seen."""
    known = _attempts(site)
    started, finished = _counted(site, "start"), _counted(site, "finish")
    yield from (f"started {times} times: {key}" for key, times in started.items() if times > 1)
    yield from (f"started behind the ledger's back: {key}" for key in started if key not in known)
    for key, state in known.items():
        if state == "succeeded" and not started[key] == finished[key] == 1:
            yield f"succeeded, but started {started[key]} and finished {finished[key]} times: {key}"
        is_in_a_process = site.project.jobs[key[1]].options["isolation"] == "process"  # killed after its last line, say
        if state not in ("succeeded", "interrupted") and finished[key] and not is_in_a_process:
            yield f"finished, but the ledger says {state}: {key}"
    yield from _started_again(site, started)


def _counted(site: Site, word: str) -> Counter[Attempt]:
    return Counter((note.run, note.job, note.due_ts, note.attempt) for note in site.evidence() if note.word == word)


def _started_again(site: Site, started: Counter[Attempt]) -> Iterator[str]:
    for (run, job, due_ts), times in _by_run(started).items():
        options = site.project.jobs[job].options
        if times > 1 and options["on_interrupt"] != "retry" and not options["retries"]:
            yield f"run {run} of {job} was started {times} times for {due_ts}"


def _by_run(attempts: Counter[Attempt]) -> Counter[tuple[int, str, int]]:
    return Counter(key[:3] for key in attempts.elements())


def finished_twice(site: Site) -> int:
    """How many runs have come to their end more than once: cut off by the ledger's word, and not in truth."""
    return sum(times > 1 for times in _by_run(_counted(site, "finish")).values())


def _attempts(site: Site) -> dict[Attempt, str]:
    """{attempt: how it ended} of every attempt that the ledger knows."""
    now = site.rows("SELECT id, job, due_at, attempt, state FROM runs")
    earlier = site.rows(
        "SELECT runs.id, runs.job, runs.due_at, attempts.attempt, attempts.state"
        " FROM attempts JOIN runs ON run_id = runs.id"
    )
    found = {(run, job, due_at // SECOND, attempt): state for run, job, due_at, attempt, state in [*now, *earlier]}
    assert len(found) == len(now) + len(earlier), "two rows of one attempt"
    return found


def _summary(site: Site) -> str:
    decisions = site.rows("SELECT decision, coalesce(reason, ''), sum(count) FROM occurrences GROUP BY 1, 2 ORDER BY 1")
    states = site.rows("SELECT state, count(*), max(attempt) FROM runs GROUP BY state ORDER BY state")
    ((tries,),) = site.rows("SELECT count(*) FROM attempts")
    decided = ", ".join(f"{count} {decision} {reason}".strip() for decision, reason, count in decisions)
    ended = ", ".join(f"{count} {state} (attempt {most} at most)" for state, count, most in states)
    seen = f"{len(site.evidence())} lines of evidence, {finished_twice(site)} double finishes"
    return f"decided: {decided}; runs: {ended}; {tries} earlier attempts; {seen}"
