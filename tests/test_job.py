from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from pinstripe_bot.errors import InvalidJob
from pinstripe_bot.job import (
    BackgroundJob,
    background_job,
    collect_schedules,
    dasherize,
    declared_on,
    flaws,
)


class Nothing(BackgroundJob):
    def run(self): ...


class TwiceADay(BackgroundJob):
    @classmethod
    def meta(cls):
        cls.schedule("0 6 * * *", params={"half": 1})
        cls.schedule("0 18 * * *")

    def run(self): ...


class AlsoAtNoon(TwiceADay):
    @classmethod
    def meta(cls):
        super().meta()
        cls.schedule("0 12 * * *")


def expressions(job: type[BackgroundJob]) -> list[Any]:
    return [declared.expression for declared in collect_schedules(job)]


def test_meta_declares_schedules_in_order():
    assert expressions(TwiceADay) == ["0 6 * * *", "0 18 * * *"]


def test_a_declared_schedule_remembers_its_options_and_where_it_is_written():
    declared = collect_schedules(TwiceADay)[0]

    assert declared.options == {"params": {"half": 1}}
    assert declared.file == __file__
    assert declared.line == TwiceADay.meta.__func__.__code__.co_firstlineno + 2


def test_a_job_without_meta_has_no_schedule():
    assert collect_schedules(Nothing) == []


def test_meta_can_add_to_that_of_its_base():
    assert expressions(AlsoAtNoon) == ["0 6 * * *", "0 18 * * *", "0 12 * * *"]


def test_collecting_leaves_nothing_on_the_class():
    before = dict(vars(TwiceADay))

    collect_schedules(TwiceADay)

    assert dict(vars(TwiceADay)) == before
    assert expressions(TwiceADay) == ["0 6 * * *", "0 18 * * *"]


def test_collecting_makes_no_subclass_that_the_author_could_meet():
    collect_schedules(TwiceADay)

    assert TwiceADay.__subclasses__() == [AlsoAtNoon]


def test_meta_sees_the_class_itself():
    class Tables(BackgroundJob):
        tables = ("sessions", "carts")

        @classmethod
        def meta(cls):
            for minute, table in enumerate(cls.tables):
                cls.schedule(f"{minute} * * * *", params={"table": table})

    assert expressions(Tables) == ["0 * * * *", "1 * * * *"]


def test_schedule_outside_of_meta_is_refused():
    with pytest.raises(InvalidJob, match=r"schedule\(\) was called outside of meta\(\)"):
        Nothing.schedule("* * * * *")


def test_a_meta_that_raises_leaves_schedule_outside():
    class Raises(BackgroundJob):
        @classmethod
        def meta(cls):
            raise KeyError("REGION")

    with pytest.raises(KeyError):
        collect_schedules(Raises)

    with pytest.raises(InvalidJob):
        Raises.schedule("* * * * *")


@pytest.mark.parametrize("decorator", [lambda meta: meta, staticmethod, property])
def test_a_meta_that_is_no_class_method_is_refused(decorator):
    job = type("Wrong", (BackgroundJob,), {"meta": decorator(lambda cls: None)})

    with pytest.raises(InvalidJob, match=r"meta\(\) is not a class method: write @classmethod above it"):
        collect_schedules(job)


def test_an_inherited_meta_that_is_no_class_method_is_refused():
    class Base(BackgroundJob):
        def meta(self): ...

    class Job(Base): ...

    with pytest.raises(InvalidJob, match="write @classmethod above it"):
        collect_schedules(Job)


def test_an_async_meta_is_refused():
    class Job(BackgroundJob):
        @classmethod
        async def meta(cls): ...

    with pytest.raises(InvalidJob, match="declares nothing"):
        collect_schedules(Job)


def test_a_meta_that_yields_is_refused():
    class Job(BackgroundJob):
        @classmethod
        def meta(cls):
            yield "* * * * *"

    with pytest.raises(InvalidJob, match="declares nothing"):
        collect_schedules(Job)


def test_outside_of_a_run_a_job_says_that_it_has_no_workspace():
    with pytest.raises(AttributeError, match="this Nothing is not inside a run: it has no workspace"):
        Nothing().database  # noqa: B018


def test_what_a_job_does_not_define_comes_from_its_workspace():
    job = Nothing()
    job.workspace = SimpleNamespace(mailer="the mailer")

    assert job.mailer == "the mailer"


def test_what_a_job_defines_is_its_own():
    class Job(Nothing):
        LIMIT = 5

    job = Job()
    job.workspace = SimpleNamespace(LIMIT=6)

    assert job.LIMIT == 5


def test_a_property_that_raises_attribute_error_says_why():
    class Job(Nothing):
        @property
        def customers(self):
            return None.customers

    job = Job()
    job.workspace = SimpleNamespace()

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'customers'"):
        job.customers  # noqa: B018


def test_a_bare_decorator_makes_a_job_without_a_schedule():
    @background_job
    def cleanup(workspace): ...

    assert [declared.expression for declared in declared_on(cleanup)] == [None]


def test_decorators_stack_from_the_top_down():
    @background_job("0 6 * * *")
    @background_job("0 18 * * *", params={"half": 2})
    def cleanup(workspace): ...

    declared = declared_on(cleanup)

    assert [(one.expression, one.options) for one in declared] == [
        ("0 6 * * *", {}),
        ("0 18 * * *", {"params": {"half": 2}}),
    ]
    assert declared[0].line + 1 == declared[1].line
    assert declared[0].file == __file__


def test_a_decorated_function_stays_what_it_was():
    @background_job("0 6 * * *")
    def double(workspace):
        return workspace * 2

    assert double(21) == 42


def test_a_decorator_between_that_wraps_keeps_the_schedules():
    def traced(function):
        @functools.wraps(function)
        def wrapper(workspace):
            return function(workspace)

        return wrapper

    @background_job("0 6 * * *")
    @traced
    @background_job("0 18 * * *")
    def cleanup(workspace): ...

    assert [declared.expression for declared in declared_on(cleanup)] == ["0 6 * * *", "0 18 * * *"]


def test_a_decorated_class_is_refused():
    with pytest.raises(InvalidJob, match="a class inherits from BackgroundJob instead"):

        @background_job("0 6 * * *")
        class Cleanup: ...


@pytest.mark.parametrize("thing", [Nothing, functools.partial(print), print])
def test_only_a_function_can_be_decorated(thing):
    with pytest.raises(InvalidJob, match="@background_job stands over"):
        background_job(thing)


def test_an_ordinary_class_has_no_flaws():
    assert list(flaws(TwiceADay)) == []


def test_an_init_without_arguments_is_fine():
    class Job(Nothing):
        def __init__(self, limit=5, *rest, **more):
            self.limit = limit

    assert list(flaws(Job)) == []


def test_a_dataclass_with_defaults_is_fine():
    @dataclass(frozen=True)
    class Job(Nothing):
        limit: int = 5

    assert list(flaws(Job)) == []


def test_a_dataclass_without_a_default_is_a_flaw():
    @dataclass
    class Job(Nothing):
        limit: int

    assert list(flaws(Job)) == ["Job.__init__() asks for arguments, and a run gives it none: give each a default"]


def test_an_abstract_class_is_a_flaw_that_names_what_is_missing():
    class Base(Nothing, ABC):
        @abstractmethod
        def table(self): ...

    class Job(Base): ...

    assert list(flaws(Job)) == ["Job is abstract: define table"]


def test_an_attribute_that_hides_schedule_is_a_flaw():
    class Job(Nothing):
        schedule = "*/5 * * * *"

    assert list(flaws(Job)) == [
        "Job has a `schedule` of its own: declare schedules in meta(), with `cls.schedule(...)`"
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cleanup", "cleanup"),
        ("purge_old_sessions", "purge-old-sessions"),
        ("purge-old-sessions", "purge-old-sessions"),
        ("PurgeOldSessions", "purge-old-sessions"),
        ("purgeOldSessions", "purge-old-sessions"),
        ("PURGE_OLD_SESSIONS", "purge-old-sessions"),
        ("purge old sessions", "purge-old-sessions"),
        ("Purge__Old--Sessions", "purge-old-sessions"),
        ("HTTPServer", "http-server"),
        ("syncS3Bucket", "sync-s3-bucket"),
        ("report2026", "report2026"),
        ("reports/MonthlyReport", "reports/monthly-report"),
        ("_private_", "private"),
    ],
)
def test_a_name_in_any_case_has_one_form(written, name):
    assert dasherize(written) == name


def test_the_one_form_of_a_name_stays_as_it_is():
    assert dasherize(dasherize("PurgeOldSessions")) == "purge-old-sessions"
