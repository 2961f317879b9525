"""Both forms of a job, from the file to its definition: options, parameters, schedules."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pinstripe_bot.definition import JobDefinition, check_defaults
from pinstripe_bot.errors import InvalidConfig, InvalidParams
from pinstripe_bot.policies import CatchUp, CatchUpPolicy, Isolation, Overlap, RetryPolicy

HEADER = "from pinstripe_bot import BackgroundJob, background_job\n"
CLEANUP = "lib/background_jobs/cleanup.py"


@pytest.fixture
def define(load_project):
    """The definition of the job `cleanup` with this text; `settings` is its pinstripe.toml."""

    def define(text: str, settings: str = "") -> JobDefinition:
        project = load_project({CLEANUP: HEADER + text, "pinstripe.toml": settings})
        assert project.problems == ()
        return project.job("cleanup")

    return define


@pytest.fixture
def problems(load_project):
    """The problems of the job `cleanup` with this text, as [(line, message)]; line 1 is the first of `text`."""

    def problems(text: str) -> list[tuple[int, str]]:
        project = load_project({CLEANUP: HEADER + text})
        assert {problem.place.path for problem in project.problems} <= {CLEANUP}
        assert "cleanup" not in project.jobs
        return [(problem.place.line - 1, problem.message) for problem in project.problems]

    return problems


def facts(job: JobDefinition) -> Any:
    """All of a definition but for its author's own code and lines."""
    schedules = [
        (one.name, one.fingerprint, one.policy, one.overlap, one.params, one.params_json, one.enabled)
        for one in job.schedules
    ]
    return (job.name, job.params, job.options, job.summary, schedules)


CLASS_FORM = """
class Cleanup(BackgroundJob):
    '''Delete old sessions.'''

    overlap = "allow"
    params = {"days": "7"}
    atomic = True

    @classmethod
    def meta(cls):
        cls.schedule("*/5 * * * *", late_after="2m")
        cls.schedule("0 3 * * *", name="nightly", params={"days": 30}, timezone="Europe/Berlin")

    def run(self, *, days: int):
        return days
"""

FUNCTION_FORM = """
@background_job("*/5 * * * *", late_after="2m", atomic=True)
@background_job("0 3 * * *", name="nightly", params={"days": 30}, timezone="Europe/Berlin")
@background_job(overlap="allow", params={"days": "7"})
def cleanup(workspace, *, days: int):
    '''Delete old sessions.'''
    return days
"""


def test_both_forms_make_the_same_definition(define):
    in_class_form = facts(define(CLASS_FORM))

    assert facts(define(FUNCTION_FORM)) == in_class_form


@pytest.mark.parametrize("text", [CLASS_FORM, FUNCTION_FORM], ids=["class", "function"])
def test_both_forms_perform_with_cast_parameters(define, text):
    job = define(text)

    assert job.perform(SimpleNamespace(), job.schedules[0].params) == 7


@pytest.mark.parametrize(
    "text",
    [
        "@background_job('* * * * *')\nasync def cleanup(workspace): return workspace.name",
        "class Cleanup(BackgroundJob):\n    async def run(self): return self.name",
    ],
    ids=["function", "class"],
)
def test_an_async_job_gives_its_coroutine(define, text):
    work = define(text).perform(SimpleNamespace(name="here"), {})

    assert asyncio.run(work) == "here"


@pytest.mark.parametrize("decorator", ["@background_job", "@background_job()"])
def test_a_bare_decorator_makes_a_job_that_is_run_by_hand_only(define, decorator):
    job = define(f"{decorator}\ndef cleanup(workspace): ...")

    assert job.schedules == ()


def test_a_job_without_a_word_has_the_defaults(define):
    job = define("@background_job('0 3 * * *')\ndef cleanup(workspace): ...")

    (schedule,) = job.schedules
    assert job.options["atomic"] is False
    assert schedule.policy == CatchUpPolicy(CatchUp.LATEST, 60, None)
    assert (schedule.overlap, schedule.dst, schedule.offset_s, schedule.enabled) == (Overlap.SKIP, "once", 0, True)
    assert (schedule.zone.name, schedule.params, schedule.name) == ("UTC", {}, "0 3 * * *")


def test_the_settings_give_defaults_that_the_job_and_the_schedule_override(define):
    settings = """
        timezone = "Asia/Tokyo"
        [job_defaults]
        catch_up = "none"
        late_after = "5m"
        overlap = "allow"
        """
    text = """
class Cleanup(BackgroundJob):
    late_after = "10m"

    @classmethod
    def meta(cls):
        cls.schedule("0 3 * * *", overlap="skip")

    def run(self): ...
"""

    (schedule,) = define(text, settings).schedules

    assert schedule.zone.name == "Asia/Tokyo"
    assert schedule.policy == CatchUpPolicy(CatchUp.NONE, 600, None)
    assert schedule.overlap is Overlap.SKIP


def test_a_default_zone_of_jobs_goes_before_that_of_the_project(define):
    settings = 'timezone = "Asia/Tokyo"\n[job_defaults]\ntimezone = "Europe/Berlin"'

    (schedule,) = define("@background_job('0 3 * * *')\ndef cleanup(workspace): ...", settings).schedules

    assert schedule.zone.name == "Europe/Berlin"


def test_the_options_of_one_schedule_are_not_those_of_another(define):
    text = """
@background_job("0 3 * * *", max_lateness="1h")
@background_job("0 4 * * *")
def cleanup(workspace): ...
"""

    first, second = define(text).schedules

    assert (first.policy.max_lateness_s, second.policy.max_lateness_s) == (3600, None)


def test_a_schedule_can_take_a_limit_of_its_job_away(define):
    text = """
class Cleanup(BackgroundJob):
    max_lateness = "1h"

    @classmethod
    def meta(cls):
        cls.schedule("0 3 * * *", max_lateness=None)

    def run(self): ...
"""

    assert define(text).schedules[0].policy.max_lateness_s is None


def test_a_disabled_job_has_no_enabled_schedule(define):
    text = """
class Cleanup(BackgroundJob):
    enabled = False

    @classmethod
    def meta(cls):
        cls.schedule("0 3 * * *", enabled=True)

    def run(self): ...
"""

    assert [schedule.enabled for schedule in define(text).schedules] == [False]


def test_a_spread_moves_the_schedule_by_its_offset(define):
    (schedule,) = define("@background_job('0 3 * * *', spread='10m')\ndef cleanup(workspace): ...").schedules

    assert schedule.offset_s == 570


def test_the_parameters_of_a_schedule_override_those_of_the_job_key_by_key(define):
    text = """
@background_job("0 3 * * *", params={"days": 30})
@background_job(params={"days": 7, "table": "sessions"})
def cleanup(workspace, *, days: int, table: str): ...
"""

    assert define(text).schedules[0].params == {"days": 30, "table": "sessions"}


def test_parameters_by_hand_override_those_of_the_job_and_are_cast(define):
    job = define("@background_job(params={'days': 7})\ndef cleanup(workspace, *, days: int, table='a'): ...")

    assert job.manual_params({"days": "30"}) == {"days": 30}


def test_a_missing_parameter_by_hand_is_told(define):
    job = define("@background_job\ndef cleanup(workspace, *, days: int): ...")

    with pytest.raises(InvalidParams, match="'days' is missing"):
        job.manual_params({})


def test_a_job_sees_the_cast_parameters_and_not_the_option_on_its_class(define):
    text = """
class Cleanup(BackgroundJob):
    params = {"days": "7"}

    def run(self, *, days: int):
        return self.params
"""
    job = define(text)

    assert job.perform(SimpleNamespace(), job.manual_params({})) == {"days": 7}


def test_init_may_use_the_workspace(define):
    text = """
class Cleanup(BackgroundJob):
    def __init__(self):
        self.shop = self.name

    def run(self): return self.shop
"""

    assert define(text).perform(SimpleNamespace(name="books"), {}) == "books"


def test_each_run_has_an_instance_of_its_own(define):
    text = """
class Cleanup(BackgroundJob):
    def run(self):
        self.count = getattr(self, "count", 0) + 1
        return self.count
"""
    job = define(text)
    job.perform(SimpleNamespace(), {})

    assert job.perform(SimpleNamespace(), {}) == 1


@pytest.mark.parametrize("arguments", ["", "(frozen=True)", "(slots=True)", "(frozen=True, slots=True, order=True)"])
def test_a_job_may_be_a_dataclass(define, arguments):
    text = f"""
from dataclasses import dataclass

@dataclass{arguments}
class Cleanup(BackgroundJob):
    limit: int = 5

    def run(self): return (self.limit, self.name)
"""

    assert define(text).perform(SimpleNamespace(name="books"), {}) == (5, "books")


def test_a_base_with_demands_on_its_subclasses_is_no_obstacle(define):
    text = """
class _Base(BackgroundJob):
    tables = []

    def __init_subclass__(cls, *, table):
        cls.tables.append(table)

class Cleanup(_Base, table="sessions"):
    @classmethod
    def meta(cls):
        cls.schedule("* * * * *")

    def run(self): return self.tables
"""

    assert define(text).perform(SimpleNamespace(), {}) == ["sessions"]


def test_constants_methods_and_annotations_of_a_job_are_its_own(define):
    text = """
class Cleanup(BackgroundJob):
    LIMIT = 5
    table = "sessions"
    timeouts: int

    @staticmethod
    def overlaps(one, other): ...

    @property
    def names(self): ...

    def run(self): return self.LIMIT
"""

    assert define(text).perform(SimpleNamespace(), {}) == 5


def test_an_option_is_inherited_and_the_subclass_has_the_last_word(define):
    text = """
class _Base(BackgroundJob):
    overlap = "allow"
    late_after = "5m"

class Cleanup(_Base):
    late_after = "1m"
    def run(self): ...
"""

    options = define(text).options

    assert (options["overlap"], options["late_after"]) == (Overlap.ALLOW, timedelta(minutes=1))


def test_the_summary_is_the_first_line_of_the_docstring(define):
    job = define("@background_job\ndef cleanup(workspace):\n    '''\n    Delete it.\n\n    All.\n    '''")

    assert job.summary == "Delete it."


def test_a_wrapping_decorator_over_the_job_keeps_its_parameters(define):
    text = """
import functools

def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return ("traced", function(*args, **kwargs))
    return wrapper

@traced
@background_job("0 3 * * *", params={"days": "7"})
def cleanup(workspace, *, days: int):
    return days
"""
    job = define(text)

    assert job.perform(SimpleNamespace(), job.schedules[0].params) == ("traced", 7)


def test_a_lambda_may_be_a_job(define):
    job = define("cleanup = background_job('0 3 * * *')(lambda workspace: workspace.name)")

    assert job.perform(SimpleNamespace(name="books"), {}) == "books"


# What is wrong, and where


def test_a_wrong_expression_is_told_with_its_line(problems):
    (problem,) = problems("""
class Cleanup(BackgroundJob):
    @classmethod
    def meta(cls):
        cls.schedule("* * * * *")
        cls.schedule("61 * * * *")

    def run(self): ...
""")

    assert problem[0] == 6
    assert problem[1].startswith("'61 * * * *' is not a schedule")


@pytest.mark.parametrize("expression", ["None", "5", "''"])
def test_an_expression_that_is_no_text_is_told(problems, expression):
    text = f"""
class Cleanup(BackgroundJob):
    @classmethod
    def meta(cls):
        cls.schedule({expression})
    def run(self): ...
"""

    ((line, message),) = problems(text)

    assert line == 5
    assert "is not a schedule" in message


def test_an_unknown_option_of_a_decorator_is_told_with_its_line(problems):
    text = """
@background_job("* * * * *")
@background_job("0 * * * *", catchup="none")
def cleanup(workspace): ...
"""

    assert problems(text) == [(3, "unknown option 'catchup': did you mean 'catch_up'?")]


def test_an_attribute_that_is_nearly_an_option_is_told_with_its_line(problems):
    text = """
class Cleanup(BackgroundJob):
    LIMIT = 5
    TIMEOUT = 30
    catchup = "none"

    def run(self): ...
"""

    expected = "the attribute 'catchup' looks like the option 'catch_up': write that, or rename it"
    assert problems(text) == [(5, expected)]


@pytest.mark.parametrize(
    "text",
    [
        "class Cleanup(BackgroundJob):\n    max_memory = '1GB'\n    def run(self): ...",
        "@background_job(\n    '* * * * *', max_memory='1GB')\ndef cleanup(workspace): ...",
    ],
    ids=["class", "function"],
)
def test_a_limit_of_memory_without_a_process_is_told(problems, text):
    ((_, message),) = problems(text)

    assert message == 'max_memory limits only a job with isolation="process": write that too, or max_memory = None'


def test_a_misspelt_isolation_is_told_without_a_word_on_memory(problems):
    text = "class Cleanup(BackgroundJob):\n    max_memory = '1GB'\n    isolation = 'proces'\n    def run(self): ..."

    assert problems(text) == [(3, """isolation = 'proces' is not accepted: write "thread" or "process\"""")]


def test_a_process_may_have_a_limit_of_memory(define):
    job = define("@background_job(isolation='process', max_memory='1GB')\ndef cleanup(workspace): ...")

    assert (job.options["isolation"], job.options["max_memory"]) == (Isolation.PROCESS, 10**9)


def test_a_catch_up_belongs_to_a_schedule_or_to_all_of_a_job(define):
    text = """
class Cleanup(BackgroundJob):
    catch_up = "all"
    catch_up_max = 5

    @classmethod
    def meta(cls):
        cls.schedule("0 3 * * *")
        cls.schedule("0 4 * * *", catch_up_max=7, catch_up_spacing="30s")

    def run(self): ...
"""

    first, second = define(text).schedules

    assert first.policy == CatchUpPolicy(CatchUp.ALL, 60, None, 5, 0)
    assert second.policy == CatchUpPolicy(CatchUp.ALL, 60, None, 7, 30)


def test_a_job_without_a_word_is_not_tried_again(define):
    assert define("@background_job\ndef cleanup(workspace): ...").retry == RetryPolicy(0, 10, 3600)


def test_the_retries_of_a_job_are_its_policy(define):
    text = "class Cleanup(BackgroundJob):\n    retries = 3\n    backoff = ('5s', '1m')\n    def run(self): ..."

    assert define(text).retry == RetryPolicy(3, 5, 60)


def test_the_settings_give_a_backoff_as_a_list(define):
    settings = '[job_defaults]\nretries = 2\nbackoff = ["5s", "1m"]'

    assert define("@background_job\ndef cleanup(workspace): ...", settings).retry == RetryPolicy(2, 5, 60)


@pytest.mark.parametrize("value", ["def timezone(self): ...", "timezone = property(lambda self: 'UTC')"])
def test_a_method_named_like_an_option_is_told(problems, value):
    ((line, message),) = problems(f"class Cleanup(BackgroundJob):\n    {value}\n    def run(self): ...")

    assert (line, message.partition(",")[0]) == (2, "timezone is a method or a property here")


def test_parameters_that_the_run_does_not_know_are_told_once(problems):
    text = """
class Cleanup(BackgroundJob):
    params = {"dayz": 7}

    @classmethod
    def meta(cls):
        cls.schedule("0 3 * * *")
        cls.schedule("0 4 * * *")

    def run(self, *, days: int): ...
"""

    assert problems(text) == [(3, "unknown parameter 'dayz': did you mean 'days'?")]


def test_a_parameter_of_the_wrong_type_is_told_with_its_line(problems):
    ((line, message),) = problems("""
@background_job("0 3 * * *", params={"days": 7})
@background_job("0 4 * * *", params={"days": "seven"})
def cleanup(workspace, *, days: int): ...
""")

    assert line == 3
    assert message.startswith("the parameter days = 'seven' does not fit its annotation int")


def test_a_missing_parameter_is_told_with_the_line_of_its_schedule(problems):
    text = """
@background_job("0 3 * * *", params={"days": 7})
@background_job("0 4 * * *")
def cleanup(workspace, *, days: int): ...
"""

    assert problems(text) == [(3, "'days' is missing in the parameters: give a value")]


def test_a_parameter_that_cannot_be_kept_is_told(problems):
    ((_, message),) = problems("@background_job('0 3 * * *', params={'at': object()})\ndef cleanup(workspace): ...")

    assert "cannot be written as JSON" in message


def test_two_equal_schedules_are_told_with_both_lines(problems):
    text = """
@background_job("0 0 * * *")
@background_job("@daily")
def cleanup(workspace): ...
"""

    expected = f"{CLEANUP}:3 declares '0 0 * * *' already: give one of the two a name="
    assert problems(text) == [(3, expected)]


def test_two_equal_schedules_with_names_are_two(define):
    text = """
@background_job("0 3 * * *", params={"table": "a"})
@background_job("0 3 * * *", params={"table": "b"}, name="b")
def cleanup(workspace, *, table: str): ...
"""

    assert [schedule.name for schedule in define(text).schedules] == ["0 3 * * *", "b"]


def test_the_name_of_runs_by_hand_is_taken(problems):
    text = "@background_job('0 3 * * *', name='manual')\ndef cleanup(workspace): ..."

    assert problems(text) == [(1, "the name 'manual' is that of runs by hand: choose another one")]


def test_decorators_that_contradict_each_other_about_the_job_are_told(problems):
    text = """
@background_job("0 3 * * *", atomic=True)
@background_job("0 4 * * *", atomic=False)
def cleanup(workspace): ...
"""

    assert problems(text) == [(3, "atomic = False contradicts atomic = True: write it once")]


def test_a_name_on_a_decorator_without_a_schedule_is_told(problems):
    ((_, message),) = problems("@background_job(name='nightly')\ndef cleanup(workspace): ...")

    assert message == "the option 'name' cannot stand here: write it on a schedule"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "Cleanup has no run method: write `def run(self)`"),
        ("run = 5", "Cleanup.run is no plain method: write `def run(self)`"),
        ("run = classmethod(lambda cls: None)", "Cleanup.run is no plain method: write `def run(self)`"),
        ("def run(self): yield", "run() contains `yield`, so that calling it runs nothing: remove it"),
        ("async def run(self): yield", "run() contains `yield`, so that calling it runs nothing: remove it"),
        ("def run(): ...", "run() takes no argument: write `def run(self)`"),
        ("def meta(cls): ...\n    def run(self): ...", "meta() is not a class method: write @classmethod above it"),
    ],
)
def test_a_class_that_cannot_run_is_told(problems, body, message):
    ((_, told),) = problems(f"class Cleanup(BackgroundJob):\n    {body}")

    assert told == message


def test_a_function_that_yields_is_told(problems):
    text = "@background_job('* * * * *')\ndef cleanup(workspace): yield"

    assert problems(text) == [(2, "cleanup() contains `yield`, so that calling it runs nothing: remove it")]


@pytest.mark.parametrize("statement", ["1 / 0", "raise SystemExit(3)", "cls.schedule()", "import nowhere"])
def test_a_meta_that_raises_is_told_with_its_line(problems, statement):
    text = f"""
class Cleanup(BackgroundJob):
    @classmethod
    def meta(cls):
        {statement}

    def run(self): ...
"""

    ((line, message),) = problems(text)

    assert line == 5
    assert message.startswith("meta() raised ")


def test_all_that_is_wrong_in_one_file_is_told_at_once(problems):
    text = """
class Cleanup(BackgroundJob):
    overlap = "never"

    @classmethod
    def meta(cls):
        cls.schedule("61 * * * *", catchup="none")
        cls.schedule("0 3 * * *", timezone="Mars/Olympus")

    def run(self, days): ...
"""

    assert sorted(line for line, _ in problems(text)) == [2, 3, 7, 7, 8]


def test_the_defaults_of_the_settings_are_checked():
    with pytest.raises(
        InvalidConfig, match=r"\[job_defaults\] unknown option 'overlapp': did you mean 'overlap'\?; .*dst"
    ):
        check_defaults({"overlapp": "skip", "dst": "never"})


@pytest.mark.parametrize(
    ("decorators", "overlap"),
    [
        ('@background_job("@daily", overlap="allow")', "allow"),
        ('@background_job("@daily", overlap="queue")\n@background_job("@hourly", overlap="queue")', "queue"),
        ('@background_job("@daily", overlap="queue")\n@background_job("@hourly", overlap="allow")', "skip"),
        ('@background_job("@daily", overlap="queue")\n@background_job(overlap="allow")', "allow"),
    ],
)
def test_an_overlap_on_which_all_decorators_agree_counts_by_hand_too(define, decorators, overlap):
    definition = define(f"{decorators}\ndef sweep(workspace): ...")

    assert definition.options["overlap"] == overlap


# Where its options are written


def test_an_option_knows_the_line_where_its_author_wrote_it(define):
    job = define("""
class Cleanup(BackgroundJob):
    overlap = "allow"

    timeout = "5m"

    def run(self): ...
""")

    assert {name: str(place) for name, place in job.places.items()} == {
        "overlap": f"{CLEANUP}:4",
        "timeout": f"{CLEANUP}:6",
    }


def test_the_options_of_a_function_stand_where_it_does(define):
    job = define("""
@background_job(overlap="allow", timeout="5m")
def cleanup(workspace): ...
""")

    assert job.places.keys() == {"overlap", "timeout"}
    assert {place.path for place in job.places.values()} == {CLEANUP}
    assert all(place.line is not None for place in job.places.values())


def test_an_option_of_a_base_class_has_a_place(define):
    job = define("""
class _Base(BackgroundJob):
    timeout = "5m"

class Cleanup(_Base):
    overlap = "allow"

    def run(self): ...
""")

    assert job.places.keys() == {"overlap", "timeout"}
    assert str(job.places["overlap"]) == f"{CLEANUP}:7"


def test_what_the_settings_give_has_no_place_in_the_file(define):
    job = define("class Cleanup(BackgroundJob):\n    def run(self): ...", settings='[job_defaults]\ntimeout = "5m"')

    assert job.options["timeout"] == timedelta(minutes=5)
    assert job.places == {}
