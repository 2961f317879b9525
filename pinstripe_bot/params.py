"""The parameters of a job: what its `run` declares, and how given values are cast to it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import FunctionType, NoneType
from typing import Any, Self, get_args, get_type_hints

import msgspec

from pinstripe_bot.durations import parse_duration
from pinstripe_bot.errors import InvalidJob, InvalidParams, PinstripeError
from pinstripe_bot.options import did_you_mean
from pinstripe_bot.redaction import REDACTED, redact

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


SHORTEST_SECRET = 4
"""A secret of fewer characters would be found in every other word."""


class Secret(str):
    """The annotation of a text parameter whose value is shown nowhere: `def run(self, *, api_code: Secret)`."""

    __slots__ = ()

    def __new__(cls, text: str = "") -> Self:
        if not isinstance(text, str):  # a number would be kept as one, and found by nobody who looks for the text
            raise TypeError("a secret is a text")
        return super().__new__(cls, text)

    def __repr__(self) -> str:
        return "Secret(redacted)"


@dataclass(frozen=True, slots=True)
class Params:
    """The keyword-only parameters of a `run`: {name: annotation}, which are required, and whether others may come.

    A `run` that declares none takes any: it reads them from `self.params`.
    """

    types: Mapping[str, Any]
    required: frozenset[str]
    takes_others: bool

    @classmethod
    def of(cls, function: Callable[..., Any], *, owner: str) -> Params:
        """Read the signature of `function`, whose first parameter is `owner` ("self" or "workspace")."""
        types: dict[str, Any] = {}
        required = set()
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters or parameters[0].kind not in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL):
            raise InvalidJob(f"{function.__name__}() takes no argument: write `def {function.__name__}({owner})`")
        for parameter in parameters[1:]:
            if parameter.kind in _POSITIONAL:
                raise InvalidJob(
                    f"the parameter {parameter.name!r} of {function.__name__}() is positional:"
                    f" put a star before it, `def {function.__name__}({owner}, *, {parameter.name})`"
                )
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                types[parameter.name] = _type_of(parameter, function)
                if parameter.default is inspect.Parameter.empty:
                    required.add(parameter.name)
        takes_others = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        return cls(types, frozenset(required), takes_others)

    @classmethod
    def of_any(cls) -> Params:
        """Parameters that take whatever comes."""
        return cls({}, frozenset(), True)

    def cast(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check `given` against the signature and cast each value by its annotation.

        Raises InvalidParams for a name or a value that does not fit, or one that is missing.
        """
        cast = self.cast_some(given)  # first: a misspelt name says more than the one that is missing for it
        self.require(given)
        return cast

    def require(self, given: Mapping[str, Any]) -> None:
        """Raise InvalidParams if a required parameter is missing."""
        missing = sorted(self.required - given.keys())
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            names = " and ".join(repr(name) for name in missing)
            raise InvalidParams(f"{names} {verb} missing in the parameters: give a value")

    def cast_some(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As `cast`, where the required ones may still be missing."""
        return {name: self._cast_one(name, value) for name, value in given.items()}

    def _cast_one(self, name: str, value: Any) -> Any:
        if name not in self.types:
            if self.takes_others or not self.types:
                return value
            raise InvalidParams(f"unknown parameter {name!r}: {did_you_mean(name, self.types)}")
        wanted = self.types[name]
        try:
            return _convert(value, wanted)
        except (msgspec.MsgspecError, PinstripeError, ValueError, TypeError, RecursionError) as error:
            if self.shown({name: value})[name] == REDACTED:  # neither the value nor what the error tells of it
                raise InvalidParams(f"the parameter {name} does not fit its annotation {_describe(wanted)}") from None
            raise InvalidParams(
                f"the parameter {name} = {value!r} does not fit its annotation {_describe(wanted)}: {error}"
            ) from error

    @property
    def secrets(self) -> frozenset[str]:
        """The names of those that are annotated as secret."""
        return frozenset(name for name, wanted in self.types.items() if Secret in (wanted, *get_args(wanted)))

    def shown(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as they may be shown: without secrets, by their annotation or by their name."""
        secrets = self.secrets
        return {name: REDACTED if name in secrets else redact(name, value) for name, value in given.items()}

    def secret_texts(self, given: Mapping[str, Any]) -> frozenset[str]:
        """What must not be found in whatever a run says: its secrets, also as Python and JSON write them."""
        texts = (text for name in self.secrets for text in _texts_in(given.get(name)))
        known = [text for text in texts if len(text) >= SHORTEST_SECRET]
        quoted = [text[1:-1] for value in known for text in (repr(value), msgspec.json.encode(value).decode())]
        return frozenset([*known, *quoted])

    def read_object(self, written: str) -> dict[str, Any]:
        """Read a JSON object of parameters; nothing for nothing. Raises InvalidParams."""
        try:
            return msgspec.json.decode(written, type=dict[str, Any]) if written.strip() else {}
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InvalidParams(f'the parameters are no JSON object ({error}): write {{"name": "value"}}') from error

    def call(self, function: Callable[..., Any], subject: Any, cast: Mapping[str, Any]) -> Any:
        """Call `function(subject)` with the cast values, if it declares any parameters."""
        return function(subject, **cast) if self.types or self.takes_others else function(subject)


def _texts_in(value: Any) -> Iterator[str]:
    """The texts of a parameter, at any depth."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from (text for one in value.values() for text in _texts_in(one))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for one in value for text in _texts_in(one))


def _type_of(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """The annotation of one parameter, resolved; the others may name what is imported for the type checker only."""
    if parameter.annotation is inspect.Parameter.empty:
        return Any
    # get_type_hints reads all annotations of a function at once: give it one that has only this
    bearer = FunctionType((lambda: None).__code__, getattr(inspect.unwrap(function), "__globals__", {}))
    bearer.__annotations__ = {parameter.name: parameter.annotation}
    try:
        hint = get_type_hints(bearer, include_extras=True)[parameter.name]
        msgspec.json.Decoder(hint, strict=False, dec_hook=_construct)
    except Exception as error:  # a wall: an annotation is their expression
        raise InvalidJob(
            f"the annotation of {parameter.name!r} in {function.__name__}() cannot be used: {error}:"
            " write a type that exists when the file is loaded"
        ) from error
    return hint


def _convert(value: Any, wanted: Any) -> Any:
    if wanted is Any:
        return value
    # In the ledger's JSON a duration is ISO 8601, which msgspec reads; everything else is ours.
    if value is not None and _is_duration(wanted) and not str(value).startswith("P"):
        return parse_duration(value)
    try:
        return msgspec.convert(value, wanted, strict=False, dec_hook=_construct)
    except msgspec.ValidationError as error:
        if not isinstance(value, str):
            raise
        try:
            return msgspec.json.decode(value, type=wanted, strict=False, dec_hook=_construct)  # `--param ids=[1,2]`
        except msgspec.MsgspecError:
            raise error from None  # it is no JSON: what is wrong with the text itself says more


def _is_duration(wanted: Any) -> bool:
    return wanted is timedelta or set(get_args(wanted)) == {timedelta, NoneType}


def _construct(wanted: Any, value: Any) -> Any:
    """Build a type that msgspec does not know, such as a Path, from the value written."""
    if isinstance(value, wanted):
        return value
    try:
        return wanted(value)
    except Exception as error:  # a wall: their type, any error
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _describe(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def encode_params(params: Mapping[str, Any]) -> str:
    """Parameters as canonical JSON: keys sorted, no blanks. Raises InvalidParams for what JSON cannot say."""
    if not params:
        return "{}"
    try:
        return msgspec.json.encode(params, order="sorted", enc_hook=_to_builtin).decode()
    except (TypeError, ValueError) as error:
        raise InvalidParams(f"the parameters {dict(params)!r} cannot be written as JSON: {error}") from error


def _to_builtin(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def params_key(encoded: str) -> str:
    """A short hash of canonical JSON, by which overlapping runs are compared; empty for no parameters."""
    return "" if encoded == "{}" else hashlib.blake2b(encoded.encode(), digest_size=8).hexdigest()
