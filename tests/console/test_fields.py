"""The form "Run now": a field for each parameter, and what is read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.fields import NAME, OTHERS, Field, fields_of, read_form
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.params import Params, Secret
from pinstripe_bot.schedule import Place


class Colour(Enum):
    RED = "red"
    GREEN = "green"


def a_job(types: Mapping[str, Any], *, required: str = "", others: bool = False, **params: Any) -> JobDefinition:
    """A job whose run declares these, and whose options give these parameters."""
    declared = Params(types, frozenset(required.split()), others)
    return JobDefinition(
        "sweep",
        SimpleNamespace,
        declared,
        {"params": params, "multi_tenant": False},
        (),
        Place("sweep.py"),
        "",  # type: ignore[arg-type]
    )


def field_of(wanted: Any, *, name: str = "value", required: bool = False, **params: Any) -> Field:
    (field,) = fields_of(a_job({name: wanted}, required=name if required else "", **params))
    return field


def filled(job: JobDefinition, **written: str) -> dict[str, Any]:
    """What a browser sends of this form where these fields are filled in; the others as they are shown."""
    form = {NAME + field.name: field.value for field in fields_of(job)}
    return read_form(job, form | {NAME + name: value for name, value in written.items()})


# A field for each annotation


@pytest.mark.parametrize(
    ("wanted", "kind", "told"),
    [
        (int, "number", "int"),
        (float, "number", "float"),
        (str, "text", "str"),
        (date, "date", "date"),
        (datetime, "text", "an instant with its offset"),
        (timedelta, "text", "a duration, as 10m"),
        (Any, "text", "anything"),
        (Literal["a", "b"], "select", "one of 2"),
        (Colour, "select", "one of 2"),
        (Secret, "password", "secret"),
        (list[int], "json", "list[int]"),
        (dict[str, int], "json", "dict[str, int]"),
        (int | str, "json", "int | str"),
        (int | None, "number", "int or none"),
        (Optional[Colour], "select", "one of 2 or none"),  # noqa: UP045
        (Secret | None, "password", "secret or none"),
        (int | str | None, "json", "int | str | None or none"),
    ],
)
def test_an_annotation_has_its_field(wanted: Any, kind: str, told: str) -> None:
    field = field_of(wanted)

    assert (field.kind, field.told) == (kind, told)


def test_a_fraction_may_be_written_for_a_float_only() -> None:
    assert (field_of(float).step, field_of(int).step) == ("any", "")


def test_a_job_that_declares_nothing_takes_an_object() -> None:
    assert fields_of(a_job({})) == [Field(OTHERS, "json", "a JSON object, or nothing")]


def test_a_job_that_takes_others_has_a_field_for_them() -> None:
    days, others = fields_of(a_job({"days": int}, others=True, days=3, kind="all"))

    assert (days.value, others) == ("3", Field(OTHERS, "json", "a JSON object", '{"kind":"all"}'))


@pytest.mark.parametrize(
    ("wanted", "default", "value"),
    [
        (int, 0, "0"),
        (float, 1e-7, "1e-7"),
        (str, 'a "b"\n', 'a "b"\n'),
        (str, '"', '"'),
        (date, date(2026, 3, 1), "2026-03-01"),
        (datetime, datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00Z"),
        (timedelta, timedelta(minutes=10), "PT600S"),
        (Colour, Colour.RED, "red"),
        (Literal["a", 1], 1, "1"),
        (list[str], ["a", "b"], '["a","b"]'),
        (int | None, None, ""),
    ],
)
def test_a_field_shows_the_default_of_its_job(wanted: Any, default: Any, value: str) -> None:
    assert field_of(wanted, value=default).value == value


def test_what_is_required_and_has_no_default_has_to_be_filled_in() -> None:
    assert field_of(int, required=True).is_required
    assert not field_of(int, required=True, value=3).is_required
    assert not field_of(int).is_required


def test_a_choice_may_be_left_open_unless_it_is_required() -> None:
    assert field_of(Colour).choices == ("", "red", "green")
    assert field_of(Colour, required=True).choices == ("red", "green")
    assert field_of(Literal["a", 1, None]).choices == ("", "a", "1", "null")


# Secrets


@pytest.mark.parametrize(
    ("wanted", "name", "default"),
    [
        (Secret, "code", "hush"),
        (Secret | None, "code", "hush"),
        (str, "api_token", "hush"),
        (str, "url", "postgresql://me:hush@db/shop"),
        (list[Secret], "codes", ["hush"]),
        (dict[str, Any], "smtp", {"password": "hush"}),
    ],
)
def test_a_secret_default_is_not_shown(wanted: Any, name: str, default: Any) -> None:
    assert "hush" not in repr(fields_of(a_job({name: wanted}, **{name: default})))


@pytest.mark.parametrize("own", [{"api_token": "hush"}, {"smtp": {"password": "hush"}}, {"url": "amqp://me:hush@mq"}])
def test_secrets_among_the_others_are_not_shown(own: dict[str, Any]) -> None:
    job = a_job({"days": int}, others=True, kind="all", **own)

    assert "hush" not in repr(fields_of(job))
    assert job.manual_params(filled(job)) == {"kind": "all"} | own


def test_a_secret_that_is_not_written_is_that_of_the_job() -> None:
    job = a_job({"code": Secret}, required="code", code="hush")

    assert job.manual_params(filled(job)) == {"code": "hush"}
    assert job.manual_params(filled(job, code="psst")) == {"code": "psst"}


# What is read


@pytest.mark.parametrize(
    ("wanted", "written", "value"),
    [
        (int, "3", 3),
        (int, "-9223372036854775809", -9223372036854775809),
        (float, "2.5", 2.5),
        (str, "3", "3"),
        (str, " a\r\nb ", " a\r\nb "),
        (date, "2026-03-01", date(2026, 3, 1)),
        (datetime, "2026-03-01T02:30:00+01:00", datetime(2026, 3, 1, 1, 30, tzinfo=UTC)),
        (timedelta, "10m", timedelta(minutes=10)),
        (timedelta, "PT600S", timedelta(minutes=10)),
        (Colour, "red", Colour.RED),
        (Literal["a", 1], "1", 1),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int | None, "3", 3),
        (bool | None, "false", False),
        (Secret, "hush", "hush"),
        (Any, "3", "3"),
    ],
)
def test_what_is_written_is_cast_by_the_annotation(wanted: Any, written: str, value: Any) -> None:
    job = a_job({"value": wanted})

    assert job.manual_params(filled(job, value=written)) == {"value": value}


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (int, "many"),
        (date, "1.3.2026"),
        (timedelta, "soon"),
        (Colour, "blue"),
        (list[int], "[1,"),
        (list[int], "[" * 9999),
    ],
)
def test_what_does_not_fit_is_refused(wanted: Any, written: str) -> None:
    job = a_job({"value": wanted})

    with pytest.raises(InvalidParams):
        job.manual_params(filled(job, value=written))


def test_an_empty_field_is_left_out() -> None:
    assert filled(a_job({"days": int, "kind": str, "to": list[str]})) == {}
    assert read_form(a_job({"days": int}), {}) == {}


def test_what_is_required_and_not_written_is_refused() -> None:
    job = a_job({"days": int}, required="days")

    with pytest.raises(InvalidParams, match="'days' is missing"):
        job.manual_params(filled(job))


def test_fields_of_other_names_are_not_read() -> None:
    job = a_job({"days": int})

    assert read_form(job, {"days": "3", "p-other": "4", "p-params": '{"x": 1}'}) == {}


def test_an_object_is_read_where_a_job_takes_one() -> None:
    assert filled(a_job({}), params='{"days": 3}') == {"days": 3}
    assert filled(a_job({"days": int}, others=True), days="4", params='{"kind": "all"}') == {"days": "4", "kind": "all"}
    with pytest.raises(InvalidParams, match="no JSON object"):
        filled(a_job({}), params="days=3")


def test_a_parameter_named_like_the_field_of_others_is_its_own() -> None:
    assert filled(a_job({OTHERS: str}), params="x") == {OTHERS: "x"}


# A form that is sent as it is shown


def test_a_ticked_box_is_true_and_an_unticked_one_false() -> None:
    job = a_job({"full": bool}, required="full")

    assert field_of(bool, required=True).kind == "checkbox"
    assert job.manual_params(filled(job, full="true")) == {"full": True}
    assert job.manual_params(filled(job)) == {"full": False}


def test_an_untouched_box_is_what_its_job_says() -> None:
    assert filled(a_job({"full": bool}, full=True)) == {"full": True}
    assert filled(a_job({"full": bool}, full=False)) == {"full": False}


def test_a_yes_or_no_whose_default_is_the_functions_own_may_be_left_open() -> None:
    job = a_job({"full": bool})

    assert field_of(bool).choices == ("", "true", "false")
    assert filled(job) == {}
    assert [job.manual_params(filled(job, full=word)) for word in ("true", "false")] == [
        {"full": True},
        {"full": False},
    ]


@pytest.mark.parametrize(
    ("wanted", "default"),
    [
        (Any, 5),
        (Any, "5"),
        (Any, [1]),
        (Any, timedelta(minutes=5)),
        (int | str, "5"),
        (str | None, "null"),
        (timedelta, timedelta(days=1)),
        (bool | None, True),
        (list[Any], [timedelta(1)]),
    ],
)
def test_an_untouched_form_gives_what_the_job_has(wanted: Any, default: Any) -> None:
    job = a_job({"value": wanted}, value=default)

    assert job.manual_params(filled(job)) == {"value": default}


def test_an_untouched_object_gives_what_the_job_has() -> None:
    own = {"wait": timedelta(minutes=5), "to": ["a"]}
    job = a_job({}, **own)

    assert job.manual_params(filled(job)) == own


_VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**63), 2**63 - 1)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, st.text(min_size=1)),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.just(UTC))),
    (timedelta, st.timedeltas(timedelta(0))),
    (Colour, st.sampled_from(Colour)),
    (list[str], st.lists(st.text(st.characters(exclude_categories=["Cs"])))),
    (dict[str, int], st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-9, 9))),
    (bool, st.booleans()),
]


@given(st.sampled_from(_VALUES).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1], st.booleans())))
def test_what_a_field_shows_is_read_as_the_value(drawn: tuple[Any, Any, bool]) -> None:
    wanted, value, may_be_none = drawn
    wanted = wanted | None if may_be_none else wanted
    shown = field_of(wanted, value=value).value
    job = a_job({"value": wanted}, required="value")

    assert job.manual_params(filled(job, value=shown)) == {"value": value}


MakeProject = Callable[..., Any]


def test_a_job_of_a_file_has_its_fields(load_project: MakeProject) -> None:
    text = """
    from pinstripe_bot import Secret, background_job

    @background_job(params={"days": 3})
    def sweep(workspace, *, days: int, code: Secret, full: bool = True, **others): ...
    """
    job = load_project({"lib/background_jobs/sweep.py": text}).job("sweep")

    assert [(field.name, field.kind, field.value) for field in fields_of(job)] == [
        ("days", "number", "3"),
        ("code", "password", ""),
        ("full", "select", ""),
        (OTHERS, "json", ""),
    ]
