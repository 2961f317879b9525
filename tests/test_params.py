from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.errors import InvalidJob, InvalidParams
from pinstripe_bot.params import Params, Secret, encode_params, params_key
from pinstripe_bot.redaction import REDACTED

if TYPE_CHECKING:
    from decimal import Context as Elsewhere


class Colour(Enum):
    RED = "red"


@dataclass
class Range:
    low: int
    high: int = 9


def cast_one(annotation: Any, value: Any) -> Any:
    """What `def run(self, *, value: annotation)` gets."""
    return Params({"value": annotation}, frozenset(), False).cast({"value": value})["value"]


def params_of(function: Any) -> Params:
    return Params.of(function, owner="self")


def test_keyword_only_parameters_are_declared_with_their_annotations():
    def run(self, *, days: int, name="all"): ...

    assert params_of(run) == Params({"days": int, "name": Any}, frozenset({"days"}), takes_others=False)


def test_a_run_without_parameters_takes_any():
    def run(self): ...

    assert params_of(run).cast({"days": "7"}) == {"days": "7"}


def test_further_keywords_take_any():
    def run(self, *, days: int, **others): ...

    assert params_of(run).cast({"days": "7", "name": "all"}) == {"days": 7, "name": "all"}


def test_a_positional_parameter_is_refused_with_the_star():
    def run(self, days): ...

    with pytest.raises(InvalidJob, match=r"'days' of run\(\) is positional: .* `def run\(self, \*, days\)`"):
        params_of(run)


def test_a_run_without_its_first_argument_is_refused():
    def cleanup(): ...

    with pytest.raises(InvalidJob, match=r"cleanup\(\) takes no argument: write `def cleanup\(workspace\)`"):
        Params.of(cleanup, owner="workspace")


def test_a_run_whose_first_argument_is_keyword_only_is_refused():
    def cleanup(*, workspace): ...

    with pytest.raises(InvalidJob, match=r"write `def cleanup\(workspace\)`"):
        Params.of(cleanup, owner="workspace")


def test_a_decorator_that_wraps_shows_the_parameters_of_the_function():
    def run(self, *, days: int): ...

    @functools.wraps(run)
    def wrapper(*args, **kwargs): ...

    assert params_of(wrapper) == params_of(run)


def test_a_decorator_that_hides_the_signature_takes_any():
    def wrapper(*args, **kwargs): ...

    assert params_of(wrapper).cast({"days": "7"}) == {"days": "7"}


def test_annotations_of_other_parameters_need_not_exist_at_run_time():
    def run(self: Elsewhere, *, days: int) -> Elsewhere: ...

    assert params_of(run).types == {"days": int}


def test_an_annotation_that_does_not_exist_is_named_with_its_parameter():
    def run(self, *, when: Elsewhere): ...

    with pytest.raises(InvalidJob, match=r"annotation of 'when' in run\(\) cannot be used: .*Elsewhere"):
        params_of(run)


def test_an_annotation_that_no_value_can_be_cast_to_is_refused_at_load():
    def run(self, *, where: Path | dict[str, int]): ...

    with pytest.raises(InvalidJob, match=r"annotation of 'where' in run\(\) cannot be used"):
        params_of(run)


@pytest.mark.parametrize(
    ("annotation", "written", "value"),
    [
        (int, "7", 7),
        (int, 7, 7),
        (float, "1.5", 1.5),
        (float, 2, 2.0),
        (bool, "true", True),
        (bool, "0", False),
        (str, "7", "7"),
        (str, "[1]", "[1]"),
        (Decimal, "1.10", Decimal("1.10")),
        (date, "2026-03-01", date(2026, 3, 1)),
        (datetime, "2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (timedelta, "10m", timedelta(minutes=10)),
        (timedelta, 90, timedelta(seconds=90)),
        (timedelta, "PT600S", timedelta(minutes=10)),
        (timedelta | None, "10m", timedelta(minutes=10)),
        (timedelta | None, None, None),
        (Path, "/tmp", Path("/tmp")),
        (ZoneInfo, "Europe/Berlin", ZoneInfo("Europe/Berlin")),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (int | None, "7", 7),
        (int | None, "null", None),
        (list[int], ["1", 2], [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Range, {"low": "1"}, Range(1)),
        (Range, '{"low": 1, "high": 2}', Range(1, 2)),
        (Annotated[int, msgspec.Meta(ge=1)], "3", 3),
        (Any, "7", "7"),
    ],
)
def test_a_value_is_cast_by_its_annotation(annotation, written, value):
    cast = cast_one(annotation, written)

    assert cast == value
    assert type(cast) is type(value)


@pytest.mark.parametrize(
    ("annotation", "written", "shown"),
    [
        (int, "seven", "int"),
        (int, 7.5, "int"),
        (int, None, "int"),
        (bool, "perhaps", "bool"),
        (str, 7, "str"),
        (timedelta, "soon", "timedelta"),
        (ZoneInfo, "Europe/Nowhere", "ZoneInfo"),
        (list[int], "[1, 2", r"list\[int\]"),
        (Annotated[int, msgspec.Meta(ge=1)], "0", "Annotated"),
    ],
)
def test_a_value_that_cannot_be_cast_is_told_with_its_annotation(annotation, written, shown):
    with pytest.raises(InvalidParams, match=rf"value = .* does not fit its annotation .*{shown}"):
        cast_one(annotation, written)


def test_an_unknown_parameter_is_refused_with_the_right_one():
    def run(self, *, days: int = 7): ...

    with pytest.raises(InvalidParams, match="unknown parameter 'day': did you mean 'days'"):
        params_of(run).cast({"day": 7})


def test_a_missing_parameter_is_refused():
    def run(self, *, days: int): ...

    with pytest.raises(InvalidParams, match="'days' is missing in the parameters: give a value"):
        params_of(run).cast({})


def test_all_missing_parameters_are_told_at_once():
    def run(self, *, days: int, name: str): ...

    with pytest.raises(InvalidParams, match="'days' and 'name' are missing"):
        params_of(run).cast({})


def test_some_values_may_be_cast_where_others_are_missing():
    def run(self, *, days: int, name: str): ...

    assert params_of(run).cast_some({"days": "7"}) == {"days": 7}


def test_a_run_that_declares_parameters_is_called_with_them():
    def run(self, *, days: int):
        return (self, days)

    assert params_of(run).call(run, "job", {"days": 7}) == ("job", 7)


def test_a_run_that_declares_none_is_called_without():
    def run(self):
        return self

    assert params_of(run).call(run, "job", {"days": 7}) == "job"


def test_parameters_are_written_in_one_order():
    assert encode_params({"b": 1, "a": {"d": 2, "c": 3}}) == '{"a":{"c":3,"d":2},"b":1}'


def test_a_set_is_written_in_one_order():
    assert encode_params({"names": {"c", "a", "b"}}) == '{"names":["a","b","c"]}'


def test_a_path_is_written_as_text():
    assert encode_params({"folder": Path("/tmp")}) == '{"folder":"/tmp"}'


@pytest.mark.parametrize("value", [object(), {1: object()}, float, lambda: 0])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InvalidParams, match="cannot be written as JSON"):
        encode_params({"value": value})


@given(st.dictionaries(st.text(max_size=3), st.integers(-(2**63), 2**63) | st.text() | st.timedeltas(timedelta(0))))
def test_what_the_ledger_keeps_is_cast_to_the_same_values(values):
    types = {name: type(value) for name, value in values.items()}

    kept = msgspec.json.decode(encode_params(values))

    assert Params(types, frozenset(), False).cast(kept) == values


def test_equal_parameters_have_the_same_key_whatever_their_order():
    assert params_key(encode_params({"a": 1, "b": 2})) == params_key(encode_params({"b": 2, "a": 1}))


def test_a_key_is_the_same_on_every_machine():
    assert params_key('{"days":7}') == "ea4a4d522f07eafc"


def test_no_parameters_have_an_empty_key():
    assert params_key(encode_params({})) == ""


def test_integers_larger_than_a_column_survive():
    assert cast_one(int, str(sys.maxsize)) == sys.maxsize


# Secrets


def test_a_secret_is_text_that_shows_itself_nowhere():
    secret = cast_one(Secret, "hush")

    assert secret == "hush"
    assert isinstance(secret, Secret)
    assert "hush" not in repr(secret)
    assert "hush" not in repr({"api_code": secret})


def test_a_secret_is_written_as_text_and_read_back():
    params = Params({"code": Secret}, frozenset(), False)

    encoded = encode_params(params.cast({"code": "hush"}))

    assert encoded == '{"code":"hush"}'
    assert params.cast(msgspec.json.decode(encoded)) == {"code": "hush"}


def test_parameters_are_secret_by_their_annotation():
    def run(self, *, code: Secret, other: Secret | None = None, several: list[Secret] = (), days: int = 1): ...

    assert params_of(run).secrets == {"code", "other", "several"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, {}),
        ({"code": "hush", "days": 3}, {"code": REDACTED, "days": 3}),
        ({"code": None}, {"code": REDACTED}),
        ({"api_token": "x", "password": ["x"]}, {"api_token": REDACTED, "password": REDACTED}),
        ({"password": "", "token": None}, {"password": "", "token": None}),
        ({"smtp": {"user": "me", "password": "x"}}, {"smtp": {"user": "me", "password": REDACTED}}),
        ({"url": "postgresql://me:pw@db/shop"}, {"url": "postgresql://me:***@db/shop"}),
        ({"": "x", "ü\x00": 1}, {"": "x", "ü\x00": 1}),
    ],
)
def test_parameters_are_shown_without_secrets(given, shown):
    assert Params({"code": Secret, "days": int}, frozenset(), True).shown(given) == shown


def test_what_is_shown_leaves_the_parameters_as_they_are():
    given = {"smtp": {"password": "x"}}

    Params.of_any().shown(given)

    assert given == {"smtp": {"password": "x"}}


# An object as text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", {}),
        (" \r\n\t", {}),
        ("{}", {}),
        (' {"days": 3, "to": ["a", null]} ', {"days": 3, "to": ["a", None]}),
        ('{"days": 1, "days": 2}', {"days": 2}),
        ('{"ü\\u0000": 1e3}', {"ü\x00": 1000.0}),
    ],
)
def test_an_object_of_parameters_is_read(written, read):
    assert Params.of_any().read_object(written) == read


@pytest.mark.parametrize(
    "written",
    ["[]", "null", "7", '"days"', "{days: 3}", "{'days': 3}", '{"days": 3', '{"days": NaN}', "{}{}", "\ufeff{}"],
)
def test_what_is_no_object_is_refused(written):
    with pytest.raises(InvalidParams, match="no JSON object"):
        Params.of_any().read_object(written)


def test_an_object_too_deep_to_be_read_is_refused():
    with pytest.raises(InvalidParams, match="no JSON object"):
        Params.of_any().read_object('{"a":' * 100_000)
    with pytest.raises(InvalidParams, match="does not fit"):
        cast_one(list[Any], "[" * 100_000)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text()))
def test_an_object_is_read_as_it_was_written(params):
    assert Params.of_any().read_object(encode_params(params)) == params
