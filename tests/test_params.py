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
from pinstripe_bot.params import Params, encode_params, params_key

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
