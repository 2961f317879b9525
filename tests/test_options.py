from __future__ import annotations

from datetime import timedelta

import pytest

from pinstripe_bot.options import OPTIONS, Backoff, close_option, did_you_mean, looks_like, read_options
from pinstripe_bot.policies import CatchUp, Isolation, OnInterrupt, Overlap


def problem_of(place: str, **written: object) -> str:
    values, problems = read_options(written, place)
    assert values == {}
    (message,) = problems.values()
    return message


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("overlap", "skip", Overlap.SKIP),
        ("overlap", "queue", Overlap.QUEUE),
        ("overlap", "allow", Overlap.ALLOW),
        ("catch_up", "latest", CatchUp.LATEST),
        ("catch_up", "all", CatchUp.ALL),
        ("catch_up", "none", CatchUp.NONE),
        ("max_lateness", "1h30m", timedelta(minutes=90)),
        ("max_lateness", 90, timedelta(seconds=90)),
        ("max_lateness", None, None),
        ("late_after", timedelta(seconds=5), timedelta(seconds=5)),
        ("queue", "slow-reports_2", "slow-reports_2"),
        ("atomic", True, True),
        ("atomic", "false", False),
        ("params", {"days": 7}, {"days": 7}),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("dst", "wall", "wall"),
        ("spread", "10m", timedelta(minutes=10)),
        ("spread", None, None),
        ("enabled", "True", True),
        ("catch_up_max", 1000, 1000),
        ("catch_up_max", "7", 7),
        ("catch_up_spacing", "10s", timedelta(seconds=10)),
        ("catch_up_spacing", 0, timedelta(0)),
        ("timeout", "10m", timedelta(minutes=10)),
        ("timeout", 0.5, timedelta(seconds=0.5)),
        ("timeout", None, None),
        ("kill_after", "0s", timedelta(0)),
        ("isolation", "process", Isolation.PROCESS),
        ("isolation", "thread", Isolation.THREAD),
        ("max_memory", "256MB", 256_000_000),
        ("max_memory", 268_435_456, 268_435_456),
        ("max_memory", None, None),
        ("retries", 3, 3),
        ("retries", 0, 0),
        ("retries", "3", 3),
        ("backoff", "30s", Backoff(timedelta(seconds=30), timedelta(hours=1))),
        ("backoff", ("10s", "20s"), Backoff(timedelta(seconds=10), timedelta(seconds=20))),
        ("backoff", [60, "1d"], Backoff(timedelta(minutes=1), timedelta(days=1))),
        ("backoff", "2h", Backoff(timedelta(hours=2), timedelta(hours=2))),
        ("on_interrupt", "retry", OnInterrupt.RETRY),
        ("retention", "1h", timedelta(hours=1)),
        ("retention", None, None),
    ],
)
def test_an_option_is_read(name, written, value):
    assert read_options({name: written}, "job") == ({name: value}, {})


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("overlap", "wait"),
        ("overlap", ["skip"]),
        ("catch_up", "newest"),
        ("catch_up", None),
        ("max_lateness", "soon"),
        ("max_lateness", -1),
        ("late_after", None),
        ("atomic", 1),
        ("atomic", None),
        ("params", ["days"]),
        ("params", {7: "days"}),
        ("timezone", "Europe/Berlinn"),
        ("timezone", None),
        ("timezone", 1),
        ("dst", "never"),
        ("spread", "0s"),
        ("spread", "25h"),
        ("enabled", "perhaps"),
        ("catch_up_max", 0),
        ("catch_up_max", 1001),
        ("catch_up_max", True),
        ("catch_up_max", 2.0),
        ("catch_up_max", None),
        ("catch_up_spacing", "25h"),
        ("catch_up_spacing", -1),
        ("timeout", 0),
        ("timeout", "2y"),
        ("timeout", "366d"),
        ("kill_after", None),
        ("kill_after", "2d"),
        ("isolation", "container"),
        ("max_memory", "lots"),
        ("max_memory", "999KB"),
        ("max_memory", 0),
        ("retries", -1),
        ("retries", 1001),
        ("retries", "many"),
        ("retries", None),
        ("backoff", ("1h", "10s")),
        ("backoff", ("10s",)),
        ("backoff", ("1s", "2s", "3s")),
        ("backoff", ("10s", "soon")),
        ("backoff", None),
        ("backoff", -1),
        ("on_interrupt", "restart"),
        ("retention", "59m"),
        ("retention", "3651d"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_told_with_what_to_write(name, written):
    message = problem_of("job", **{name: written})

    assert message.startswith(f"{name} = {written!r}")
    assert "write" in message or "did you mean" in message


def test_a_misspelt_option_is_refused_with_the_right_one():
    assert problem_of("job", overlapp="skip") == "unknown option 'overlapp': did you mean 'overlap'?"


def test_an_option_like_no_other_is_refused_with_all_of_them():
    message = problem_of("schedule", wibble=1)

    assert message.startswith("unknown option 'wibble': known are atomic, backoff, catch_up, catch_up_max")


@pytest.mark.parametrize(
    ("name", "option"), [("timeot", "timeout"), ("retrys", "retries"), ("maxMemory", "max_memory")]
)
def test_a_near_miss_is_sent_to_one_option(name, option):
    assert problem_of("job", **{name: 1}) == f"unknown option {name!r}: did you mean {option!r}?"


@pytest.mark.parametrize(
    "name", ["timeout", "kill_after", "isolation", "max_memory", "retries", "backoff", "retention"]
)
def test_what_belongs_to_the_whole_job_stands_on_no_schedule(name):
    assert problem_of("schedule", **{name: None}) == f"the option {name!r} cannot stand here: write it on a job"


@pytest.mark.parametrize("name", ["catch_up_max", "catch_up_spacing"])
def test_a_schedule_may_have_a_catch_up_of_its_own(name):
    assert read_options({name: 7}, "schedule")[1] == {}


def test_a_backoff_is_shown_as_it_is_written():
    assert str(Backoff(timedelta(seconds=90), timedelta(days=1))) == '("1m30s", "1d")'


def test_a_name_belongs_to_a_schedule():
    assert problem_of("job", name="nightly") == "the option 'name' cannot stand here: write it on a schedule"


def test_atomic_belongs_to_a_job():
    assert problem_of("schedule", atomic=True) == "the option 'atomic' cannot stand here: write it on a job"


def test_the_settings_give_no_parameters():
    assert problem_of("defaults", params={"days": 7}) == ("the option 'params' cannot stand here: write it on a job")


@pytest.mark.parametrize("text", ["", "  ", " nightly", "nightly ", 7])
def test_a_schedule_is_not_named_by_blanks(text):
    assert problem_of("schedule", name=text).endswith("is not accepted: write a word for this schedule")


def test_a_method_named_like_an_option_is_told_apart_from_a_wrong_value():
    message = problem_of("job", timezone=property(lambda job: "UTC"))

    assert message == "timezone is a method or a property here, and an option is a plain value: rename it"


def test_every_problem_is_told_at_once():
    values, problems = read_options({"overlap": "no", "dst": "wall", "catchup": "latest"}, "job")

    assert values == {"dst": "wall"}
    assert list(problems) == ["overlap", "catchup"]


def test_what_a_job_changes_in_its_params_is_not_changed_in_what_was_written():
    written = {"days": 7}
    values, _ = read_options({"params": written}, "job")

    values["params"]["days"] = 8

    assert written == {"days": 7}


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("catchup", "catch_up"),
        ("maxLateness", "max_lateness"),
        ("multiTenant", "multi_tenant"),
        ("time_zone", "timezone"),
        ("overlaps", "overlap"),
        ("TIMEOUT", "timeout"),
        ("enable", "enabled"),
    ],
)
def test_a_near_miss_is_taken_for_an_option(name, option):
    assert close_option(name) == option


@pytest.mark.parametrize("name", ["LIMIT", "BATCH_SIZE", "table", "recipients", "url", "template", "days"])
def test_the_constants_of_a_job_are_its_own(name):
    assert close_option(name) is None
    assert looks_like(name) is None


def test_every_option_with_a_default_takes_it():
    defaults = {name: option.default for name, option in OPTIONS.items() if name != "name"}

    assert read_options(defaults, "job") == (defaults, {})


def test_a_name_with_no_relative_gets_the_list():
    assert did_you_mean("zzz", ["mailer", "clock"]) == "known are clock, mailer"


def test_where_there_is_nothing_known_that_is_said():
    assert did_you_mean("zzz", []) == "there is none yet"
