from __future__ import annotations

from datetime import timedelta

import pytest

from pinstripe_bot.options import OPTIONS, PLANNED, close_option, did_you_mean, read_options
from pinstripe_bot.policies import CatchUp, Overlap


def problem_of(place: str, **written: object) -> str:
    values, problems = read_options(written, place)
    assert values == {}
    (message,) = problems.values()
    return message


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("overlap", "skip", Overlap.SKIP),
        ("overlap", "allow", Overlap.ALLOW),
        ("catch_up", "latest", CatchUp.LATEST),
        ("catch_up", "none", CatchUp.NONE),
        ("max_lateness", "1h30m", timedelta(minutes=90)),
        ("max_lateness", 90, timedelta(seconds=90)),
        ("max_lateness", None, None),
        ("late_after", timedelta(seconds=5), timedelta(seconds=5)),
        ("atomic", True, True),
        ("atomic", "false", False),
        ("params", {"days": 7}, {"days": 7}),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("dst", "wall", "wall"),
        ("spread", "10m", timedelta(minutes=10)),
        ("spread", None, None),
        ("enabled", "True", True),
    ],
)
def test_an_option_is_read(name, written, value):
    assert read_options({name: written}, "job") == ({name: value}, {})


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("overlap", "queue"),
        ("overlap", ["skip"]),
        ("catch_up", "all"),
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

    assert message.startswith("unknown option 'wibble': known are atomic, catch_up, dst, enabled")


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_an_option_of_a_later_version_is_refused_and_not_ignored(name):
    assert problem_of("job", **{name: 1}) == (f"the option {name!r} is not implemented by this version: remove it")


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


def test_every_option_with_a_default_takes_it():
    defaults = {name: option.default for name, option in OPTIONS.items() if name != "name"}

    assert read_options(defaults, "job") == (defaults, {})


def test_a_name_with_no_relative_gets_the_list():
    assert did_you_mean("zzz", ["mailer", "clock"]) == "known are clock, mailer"


def test_where_there_is_nothing_known_that_is_said():
    assert did_you_mean("zzz", []) == "there is none yet"
