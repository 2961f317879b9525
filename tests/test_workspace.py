from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text as sql

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.control import RunControl
from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.errors import RunCancelled, UnknownService, WorkspaceError, WouldWait
from pinstripe_bot.occurrence import Reason, Run, RunState
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import run_in_new_workspace
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.testing import TravelClock
from pinstripe_bot.workspace import Workspace

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

RUN = Run(
    id=7,
    job="cleanup",
    schedule="*/5 * * * *",
    due_at=NOON,
    state=RunState.RUNNING,
    claimed_at=NOON,
    params={},
    attempt=2,
)

LOGGED = """
log = []

def create(workspace):
    log.append("{name} opened")
    try:
        yield ["{name}"]
    except BaseException as error:
        log.append(f"{name} saw {{error!r}}")
        raise
    log.append("{name} closed")
"""


@dataclass
class Callee:
    """Runs no job, and remembers what it was asked for."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def run_inside(self, workspace: Workspace, name: str, params: Mapping[str, Any]) -> Run:
        self.asked.append((name, dict(params)))
        return replace(RUN, job=name, state=RunState.SUCCEEDED)

    def enqueue_inside(
        self, workspace: Workspace, name: str, params: Mapping[str, Any], *, delay: Any, joining: Database | None
    ) -> Run:
        self.asked.append((name, {**params, "delay": delay, "joins": joining is not None}))
        return replace(RUN, job=name, state=RunState.QUEUED)


@pytest.fixture
def open_workspace(tmp_path) -> Iterator[Callable[..., Workspace]]:
    """Makes workspaces of one project, as the runner does for each run."""
    pool = DatabasePool(f"sqlite:///{tmp_path}/shop.db", monotonic=SystemClock().monotonic)
    opened: list[ProcessServices] = []

    def open_workspace(project: Project, **facts: Any) -> Workspace:
        opened.append(opened[0] if opened else ProcessServices(project.config, pool))
        facts = {"clock": TravelClock(NOON), "bot": Callee(), "run": RUN, **facts}
        return Workspace(project=project, shared=opened[0], **facts)

    yield open_workspace
    for shared in opened:
        shared.close()
    pool.close()


@pytest.fixture
def workspace(load_project, open_workspace) -> Iterator[Workspace]:
    with open_workspace(load_project({"pinstripe.toml": "[app]\nname = 'books'"})) as workspace:
        yield workspace


def services(**texts: str) -> dict[str, str]:
    return {f"lib/services/{name}.py": text for name, text in texts.items()}


def log_of(project: Project, name: str) -> list[str]:
    """What the service wrote into its module's list."""
    log: list[str] = project.service(name).create.__globals__["log"]
    return log


# Facts


def test_a_workspace_knows_its_run(workspace):
    facts = (workspace.job_name, workspace.schedule_name, workspace.run_id, workspace.attempt, workspace.due_at)

    assert facts == ("cleanup", "*/5 * * * *", 7, 2, NOON)


def test_a_workspace_has_the_clock_and_the_settings_of_the_project(workspace):
    assert workspace.clock.now() == NOON
    assert workspace.config.app == {"name": "books"}
    assert workspace.project.name == "project"


def test_what_a_run_writes_into_the_settings_no_other_one_sees(load_project, open_workspace):
    project = load_project({"pinstripe.toml": "[app.mail]\nto = 'all'"})

    with open_workspace(project) as first, open_workspace(project) as second:
        first.config.app["mail"]["to"] = "acme"

        assert (second.config.app, project.config.app) == ({"mail": {"to": "all"}}, {"mail": {"to": "all"}})


def test_a_workspace_without_tenants_has_none(workspace):
    assert workspace.tenant is None


def test_the_window_is_asked_for_when_it_is_wanted(load_project, open_workspace):
    window = (NOON - timedelta(minutes=5), NOON)

    workspace = open_workspace(load_project({}), window=lambda: window)

    assert workspace.window == window


def test_the_window_of_a_run_without_a_past_is_its_instant(workspace):
    assert workspace.window == (NOON, NOON)


@pytest.mark.parametrize(
    "fact", ["due_at", "window", "schedule_name", "job_name", "run_id", "attempt", "occurrence_key"]
)
def test_a_workspace_without_a_run_has_no_facts_of_one(load_project, open_workspace, fact):
    workspace = open_workspace(load_project({}), run=None)

    with pytest.raises(WorkspaceError, match="belongs to no run"):
        getattr(workspace, fact)


def test_an_error_of_ours_is_not_taken_for_a_missing_service(load_project, open_workspace):
    workspace = open_workspace(load_project({}), window=lambda: NOON.wibble)

    with pytest.raises(AttributeError, match="has no attribute 'wibble'"):
        workspace.window  # noqa: B018


# Telling and being told


def test_progress_is_kept_for_whoever_asks(workspace):
    workspace.progress(3, 10)

    assert workspace.control.progress == (3, 10)


class Exiting:
    def __int__(self):
        sys.exit("asked for a number")


def test_progress_is_read_on_the_thread_of_the_job(workspace):
    workspace.progress(3, 10)

    workspace.progress("half", object())
    with pytest.raises(SystemExit):
        workspace.progress(Exiting(), 10)

    assert workspace.control.progress == (3, 10)


def test_a_run_that_nobody_ends_goes_on(workspace):
    workspace.checkpoint()

    assert not workspace.cancelled


def test_a_run_that_was_told_to_end_does_so_at_its_checkpoint(workspace):
    workspace.control.cancel(Reason.SHUTDOWN)

    assert workspace.cancelled
    with pytest.raises(RunCancelled, match="this run was told to end"):
        workspace.checkpoint()


def test_a_run_whose_caller_was_told_to_end_ends_too():
    caller = RunControl()
    called = RunControl(parent=caller)

    caller.cancel(Reason.SHUTDOWN)

    assert called.is_cancelled


def test_an_async_run_is_cancelled_where_it_waits():
    control = RunControl()

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(control.cancel, Reason.SHUTDOWN)
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(control.listening(wait()))


def test_an_async_run_that_was_told_to_end_before_it_began_does_not_begin():
    control = RunControl()
    control.cancel(Reason.SHUTDOWN)
    began: list[str] = []

    async def work() -> None:
        began.append("work")

    coroutine = work()
    with pytest.raises(RunCancelled):
        asyncio.run(control.listening(coroutine))

    coroutine.close()
    assert began == []


# Other jobs


def test_another_job_is_run_by_the_bot(workspace):
    run = workspace.run_background_job("report", days=7)

    assert (run.job, run.state) == ("report", RunState.SUCCEEDED)
    assert workspace.bot.asked == [("report", {"days": 7})]


def test_a_parameter_of_another_job_may_be_called_name(workspace):
    workspace.run_background_job("report", name="all")

    assert workspace.bot.asked == [("report", {"name": "all"})]


def test_inside_an_event_loop_the_plain_form_says_what_to_write(workspace):
    async def run() -> None:
        workspace.run_background_job("report")

    with pytest.raises(WouldWait, match=r"write `await self\.run_background_job_async\('report'\)`"):
        asyncio.run(run())


def test_a_run_is_enqueued_by_the_bot(workspace):
    run = workspace.enqueue_background_job("report", "10m", days=7)

    assert run.state is RunState.QUEUED
    assert workspace.bot.asked == [("report", {"days": 7, "delay": "10m", "joins": False})]


def test_a_run_that_is_enqueued_in_a_transaction_may_join_it(workspace):
    with workspace.database.transaction():
        workspace.enqueue_background_job("report")
    workspace.enqueue_background_job("report")

    assert [params["joins"] for _, params in workspace.bot.asked] == [True, False]


def test_a_run_that_is_enqueued_by_an_atomic_run_may_join_it(load_project, open_workspace):
    project = load_project({"pinstripe.toml": '[database]\nurl = "sqlite:///shop.db"'})

    with open_workspace(project, atomic=True) as workspace:
        workspace.enqueue_background_job("report")

    assert workspace.bot.asked[0][1]["joins"]


def test_a_run_that_has_ended_enqueues_nothing(workspace):
    workspace.control.end()

    with pytest.raises(RunCancelled, match="already recorded"):
        workspace.enqueue_background_job("report")

    assert workspace.bot.asked == []


def test_inside_an_event_loop_another_job_is_awaited(workspace):
    run = asyncio.run(workspace.run_background_job_async("report", name="all"))

    assert run.state is RunState.SUCCEEDED
    assert workspace.bot.asked == [("report", {"name": "all"})]


def test_inside_a_transaction_on_sqlite_another_job_would_wait_for_its_caller(workspace):
    with workspace.database.transaction(), pytest.raises(WouldWait, match="call it after the transaction"):
        workspace.run_background_job("report")


def test_after_a_transaction_another_job_may_run(workspace):
    with workspace.database.transaction():
        workspace.database.execute(sql("SELECT 1"))

    assert workspace.run_background_job("report").job == "report"


# Services


def test_a_service_is_built_on_first_use(load_project, open_workspace):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    with open_workspace(project):
        assert log_of(project, "mailer") == []


def test_a_service_is_built_once_per_run(load_project, open_workspace):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    with open_workspace(project) as workspace:
        assert workspace.mailer is workspace.mailer

    assert log_of(project, "mailer") == ["mailer opened", "mailer closed"]


def test_two_workspaces_never_share_a_service(load_project, open_workspace):
    project = load_project(services(mailer="def create(workspace): return []"))

    with open_workspace(project) as one, open_workspace(project) as other:
        assert one.mailer is not other.mailer


def test_two_workspaces_share_a_service_of_the_process(load_project, open_workspace):
    project = load_project(services(mailer="scope = 'process'\ndef create(config): return []"))

    with open_workspace(project) as one, open_workspace(project) as other:
        assert one.mailer is other.mailer


def test_the_end_of_a_run_does_not_close_a_service_of_the_process(load_project, open_workspace):
    project = load_project(services(mailer="scope = 'process'\n" + LOGGED.format(name="mailer")))

    with open_workspace(project) as workspace:
        assert workspace.mailer == ["mailer"]

    assert log_of(project, "mailer") == ["mailer opened"]


def test_a_service_is_found_by_its_name_in_any_case(load_project, open_workspace):
    project = load_project(services(MailSender="def create(workspace): return []"))

    with open_workspace(project) as workspace:
        assert workspace.mail_sender is workspace.mailSender is workspace.MailSender


def test_a_service_can_use_another_one(load_project, open_workspace):
    project = load_project(
        services(
            mailer="def create(workspace): return workspace.templates + ['mailer']",
            templates="def create(workspace): return ['templates']",
        )
    )

    with open_workspace(project) as workspace:
        assert workspace.mailer == ["templates", "mailer"]


def test_services_are_closed_in_reverse_order(load_project, open_workspace):
    log = "from wares import log\ndef create(workspace):\n    {first}\n    yield\n    log.append('{name}')"
    project = load_project(
        {
            "wares.py": "log = []",
            **services(
                mailer=log.format(first="workspace.templates", name="mailer"),
                templates=log.format(first="", name="templates"),
            ),
        }
    )

    with open_workspace(project) as workspace:
        workspace.mailer  # noqa: B018

    assert log_of(project, "mailer") == ["mailer", "templates"]


def test_a_service_sees_the_error_of_its_run(load_project, open_workspace):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    with pytest.raises(ZeroDivisionError), open_workspace(project) as workspace:
        workspace.mailer.append(1 / 0)

    assert log_of(project, "mailer") == ["mailer opened", "mailer saw ZeroDivisionError('division by zero')"]


def test_a_service_sees_that_its_run_was_cancelled(load_project, open_workspace):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    with pytest.raises(RunCancelled), open_workspace(project) as workspace:
        _ = (workspace.mailer, workspace.control.cancel(Reason.SHUTDOWN), workspace.checkpoint())

    assert log_of(project, "mailer")[-1] == "mailer saw RunCancelled('this run was told to end')"


def test_a_service_that_fails_to_close_fails_the_run(load_project, open_workspace):
    project = load_project(services(mailer="def create(workspace):\n    yield\n    raise OSError('not sent')"))

    with pytest.raises(OSError, match="not sent"), open_workspace(project) as workspace:
        workspace.mailer  # noqa: B018


def test_a_service_that_fails_to_close_keeps_no_other_open(load_project, open_workspace):
    project = load_project(
        services(mailer="def create(workspace):\n    yield\n    raise OSError", other=LOGGED.format(name="other"))
    )

    with pytest.raises(OSError), open_workspace(project) as workspace:
        _ = (workspace.other, workspace.mailer)

    assert log_of(project, "other") == ["other opened", "other saw OSError()"]


def test_a_service_that_cannot_be_built_may_be_asked_for_again(load_project, open_workspace):
    text = "log = []\ndef create(workspace):\n    log.append(1)\n    if len(log) < 2: raise OSError\n    return log"
    project = load_project(services(mailer=text))

    with open_workspace(project) as workspace:
        with pytest.raises(OSError):
            workspace.mailer  # noqa: B018
        assert workspace.mailer == [1, 1]


def test_a_service_may_use_another_one_while_it_closes(load_project, open_workspace):
    closing = "def create(workspace):\n    yield\n    workspace.logger.debug('closing')\n    workspace.other.append(1)"
    project = load_project(services(mailer=closing, other=LOGGED.format(name="other")))

    with open_workspace(project) as workspace:
        workspace.mailer  # noqa: B018

    assert log_of(project, "other") == ["other opened", "other closed"]


def test_after_the_run_no_service_is_built_that_nobody_would_close(load_project, open_workspace):
    with open_workspace(load_project(services(mailer=LOGGED.format(name="mailer")))) as workspace:
        pass

    with pytest.raises(WorkspaceError, match="the run of this workspace has ended: 'mailer' cannot be used"):
        workspace.mailer  # noqa: B018


def test_an_unknown_service_is_told_with_the_close_names(load_project, open_workspace):
    workspace = open_workspace(load_project(services(mailer="def create(workspace): ...")))

    with pytest.raises(UnknownService, match="there is no service 'mailr': did you mean 'mailer'"):
        workspace.mailr  # noqa: B018


def test_whether_there_is_a_service_can_be_asked(workspace):
    assert not hasattr(workspace, "mailer")


def test_services_that_need_each_other_are_told_as_a_circle(load_project, open_workspace):
    project = load_project(
        services(mailer="def create(workspace): workspace.queue", queue="def create(workspace): workspace.Mailer")
    )

    with pytest.raises(UnknownService, match=r"needs itself \(mailer -> queue -> mailer\): break the circle"):
        open_workspace(project).mailer  # noqa: B018


def test_an_attribute_error_in_a_service_is_told_as_it_is(load_project, open_workspace):
    project = load_project(services(mailer="def create(workspace): return None.sender"))

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'sender'"):
        open_workspace(project).mailer  # noqa: B018


def test_protocols_of_python_are_not_taken_for_services(workspace):
    with pytest.raises(AttributeError, match="__fspath__"):
        workspace.__fspath__  # noqa: B018


def test_the_database_of_a_run_is_opened_once(workspace):
    assert workspace.database is workspace.database


def test_two_runs_have_databases_of_their_own(load_project, open_workspace):
    project = load_project({})

    with open_workspace(project) as one, open_workspace(project) as other:
        assert one.database is not other.database


def insert_and_fail(workspace: Workspace) -> None:
    """A run that uses its database and, where there is one, its mailer, and raises."""
    workspace.database.orders.insert(id=1)
    raise ZeroDivisionError(getattr(workspace, "mailer", "no mailer"))


def test_an_atomic_run_that_fails_leaves_nothing(load_project, open_workspace):
    project = load_project({})
    with open_workspace(project) as workspace:
        workspace.database.execute(sql("CREATE TABLE orders (id INTEGER)"))

    with pytest.raises(ZeroDivisionError), open_workspace(project, atomic=True) as workspace:
        insert_and_fail(workspace)

    with open_workspace(project) as workspace:
        assert workspace.database.orders.count() == 0


def test_a_service_that_swallows_the_error_does_not_commit_a_failed_atomic_run(load_project, open_workspace):
    swallows = "def create(workspace):\n    workspace.database\n    try: yield\n    except Exception: pass"
    project = load_project(services(mailer=swallows))
    with open_workspace(project) as workspace:
        workspace.database.execute(sql("CREATE TABLE orders (id INTEGER)"))

    with pytest.raises(ZeroDivisionError), open_workspace(project, atomic=True) as workspace:
        insert_and_fail(workspace)

    with open_workspace(project) as workspace:
        assert workspace.database.orders.count() == 0


def test_a_run_that_was_ended_by_somebody_else_changes_nothing_any_more(workspace):
    workspace.database.execute(sql("CREATE TABLE orders (id INTEGER)"))
    workspace.control.has_ended = True

    with pytest.raises(RunCancelled, match="the end of this run is already recorded"):
        workspace.database.orders.insert(id=1)


# A workspace without a run


def test_a_function_can_be_called_in_a_workspace_of_its_own(load_project):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    answer = run_in_new_workspace(project, lambda workspace: [*workspace.mailer, workspace.run])

    assert answer == ["mailer", None]
    assert log_of(project, "mailer") == ["mailer opened", "mailer closed"]


def test_an_error_of_that_function_is_its_callers(load_project):
    project = load_project(services(mailer=LOGGED.format(name="mailer")))

    with pytest.raises(ZeroDivisionError):
        run_in_new_workspace(project, lambda workspace: workspace.mailer.append(1 / 0))

    assert log_of(project, "mailer")[-1] == "mailer saw ZeroDivisionError('division by zero')"


def test_after_that_function_the_services_of_the_process_are_closed(load_project):
    project = load_project(services(mailer="scope = 'process'\n" + LOGGED.format(name="mailer")))

    run_in_new_workspace(project, lambda workspace: workspace.mailer)

    assert log_of(project, "mailer") == ["mailer opened", "mailer closed"]
