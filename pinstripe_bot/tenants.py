"""The tenants of a project: a table of its database, or what `lib/tenants.py` yields."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import structlog

from pinstripe_bot.config import TenantsConfig
from pinstripe_bot.database import Database
from pinstripe_bot.database_table import TableQuery, TableRow
from pinstripe_bot.database_tenant import TenantDatabase
from pinstripe_bot.database_types import tables_with
from pinstripe_bot.definition import JobDefinition
from pinstripe_bot.errors import BrokenFile, DatabaseError, InvalidParams, InvalidTenant, PinstripeError, UnknownTenant
from pinstripe_bot.loader import LoadedFile
from pinstripe_bot.schedule import Place
from pinstripe_bot.tenant import Tenant, TenantId, key_of, without_scale
from pinstripe_bot.zones import zone

log = structlog.get_logger("pinstripe")

Filter = Callable[[Any], Any]

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")


class Tenants(Protocol):
    """Where a project's tenants are; a workspace without a run is what they are read in."""

    def each(self, workspace: Any, chosen_by: Filter | None = None) -> Generator[Tenant]:
        """All tenants, or those that a job's filter chooses, one after another, never all in memory.

        Raises InvalidTenant, DatabaseError, and whatever the project's own code raises.
        """

    def find(self, workspace: Any, key: str) -> Tenant | None:
        """The tenant of this id, written as text; None if there is none."""

    def own_table(self) -> tuple[str, str] | None:
        """The table that holds them, and its column of ids; None if they are in no table."""


@dataclass(frozen=True, slots=True)
class TenantsTable:
    """Tenants that are the rows of a table; without a column for names or zones they have none."""

    names: TenantsConfig

    def each(self, workspace: Any, chosen_by: Filter | None = None) -> Generator[Tenant]:
        table = self._table(workspace.database)
        self._refuse_no_column(workspace.database, table)
        chosen = table if chosen_by is None else chosen_by(table)
        if isinstance(chosen, TableQuery):
            chosen = self._stream(workspace.database, table, chosen)
        with _closing(_iterated(chosen, "tenants_filter")) as rows:
            for row in rows:
                yield row if isinstance(row, Tenant) else self._tenant(row)

    def _table(self, database: Database) -> TableQuery:
        table = database[str(self.names.table)]
        for setting, column in (
            ("id_column", self.names.id_column),
            *self._written("name_column", "name"),
            *self._written("timezone_column", "timezone"),
        ):
            if column not in table.table.columns:
                raise DatabaseError(
                    f"the table {self.names.table!r} has no column {column!r}: correct tenants.{setting},"
                    f" its columns are {', '.join(table.table.columns.keys())}"
                )
        return table

    def _refuse_no_column(self, database: Database, table: TableQuery) -> None:
        """A misspelt tenant column would be found in no table, so that every row of them were everybody's."""
        column = self.names.tenant_column
        is_usual = column == TenantsConfig().tenant_column  # without it all tables may well be everybody's
        if is_usual or database.execute(tables_with(column, is_sqlite=table.table.info["is_sqlite"])).scalar():
            return
        raise DatabaseError(
            f"no table has the column {column!r}, so that all rows would be everybody's: correct tenants.tenant_column"
        )

    def _written(self, setting: str, usual: str) -> list[tuple[str, str]]:
        """A column that is named in the settings; one with its usual name may be missing."""
        column = getattr(self.names, setting)
        return [] if column == usual else [(setting, column)]

    def _stream(self, database: Database, table: TableQuery, chosen: TableQuery) -> Iterator[TableRow]:
        if chosen.table is not table.table:
            raise InvalidTenant(
                f"tenants_filter returned rows of {chosen.table.name!r}: return rows of {self.names.table!r}"
            )
        return database.stream(chosen)

    def _tenant(self, row: Any) -> Tenant:
        if not isinstance(row, TableRow):
            raise InvalidTenant(
                f"tenants_filter returned a {type(row).__name__}: return `tenants` or what tenants.where(...) gives"
            )
        facts = dict(vars(row))
        tenant_id = without_scale(facts.pop(self.names.id_column))
        name, timezone = facts.pop(self.names.name_column, None), facts.pop(self.names.timezone_column, None)
        facts = {key: value for key, value in facts.items() if key not in ("id", "name", "timezone")}
        return Tenant(tenant_id, str(name or ""), timezone, **facts)

    def find(self, workspace: Any, key: str) -> Tenant | None:
        self._table(workspace.database)
        names = self.names
        for tenant_id in _spellings(key):
            own = TenantDatabase(
                workspace.database,
                tenant_id=tenant_id,
                tenant_column=names.tenant_column,
                tenants_table=self.own_table(),
            )
            if (row := own[str(names.table)].first()) is not None:
                return self._tenant(row)
        return None

    def own_table(self) -> tuple[str, str] | None:
        return (str(self.names.table), self.names.id_column)


def _spellings(key: str) -> list[TenantId]:
    """The ids that are written so: a column without a type, on SQLite, tells 7 from '7'."""
    return [key, int(key)] if _WHOLE.fullmatch(key) else [key]


@dataclass(frozen=True, slots=True)
class TenantsFile:
    """Tenants that `lib/tenants.py` yields; a function `tenant(workspace, id)` in it finds one at once."""

    list_all: Callable[[Any], Any]
    find_one: Callable[[Any, str], Any] | None
    place: Place

    def each(self, workspace: Any, chosen_by: Filter | None = None) -> Generator[Tenant]:
        with _closing(_iterated(self.list_all(workspace), "lib/tenants.py: tenants")) as listed:
            found = listed if chosen_by is None else _iterated(chosen_by(listed), "tenants_filter")
            yield from map(_checked, found)

    def find(self, workspace: Any, key: str) -> Tenant | None:
        if self.find_one is not None:
            found = self.find_one(workspace, key)
            return None if found is None or _checked(found).key != key else _checked(found)
        with contextlib.closing(self.each(workspace)) as listed:
            return next((tenant for tenant in listed if tenant.key == key), None)

    def own_table(self) -> tuple[str, str] | None:
        return None


GROUP = 500
"""How many tenants are in memory at once; their runs are written in one transaction."""


def groups_of(tenants: Iterable[Tenant], most: int = GROUP) -> Iterator[list[Tenant]]:
    """The tenants as they come, as many at once as may be in memory."""
    iterator = iter(tenants)
    while group := list(islice(iterator, most)):
        yield group


def chosen(
    tenants: Tenants | None, workspace: Any, job: JobDefinition, keys: Sequence[TenantId] | None
) -> Generator[Tenant]:
    """The tenants with these keys, or all that the job's filter chooses; each once.

    Raises InvalidParams for a job without tenants, and InvalidTenant and UnknownTenant, before the first one, where a
    key is nobody's.
    """
    if tenants is None or not job.options["multi_tenant"]:
        raise InvalidParams(f"the job {job.name!r} has no tenants: run it without one, or write multi_tenant = True")
    if keys is None:
        with contextlib.closing(tenants.each(workspace, job.options["tenants_filter"])) as each:
            yield from _once_each(each)
        return
    if isinstance(keys, str):
        raise InvalidTenant(f"{keys!r} is one id, whose every sign would be taken for one: write [{keys!r}]")
    found = {key: _find(tenants, workspace, key) for key in map(key_of, keys)}
    unknown = [key for key, tenant in found.items() if tenant is None]
    if unknown:
        raise UnknownTenant(f"there is no tenant {unknown[0]!r}: `pinstripe tenants` lists them")
    yield from (tenant for tenant in found.values() if tenant is not None)


def _once_each(tenants: Iterable[Tenant]) -> Iterator[Tenant]:
    """Each tenant the first time that it comes: by hand there is no occurrence in which it could have a run already."""
    known: set[str] = set()
    for tenant in tenants:
        if tenant.key not in known:
            known.add(tenant.key)
            yield tenant


def _find(tenants: Tenants, workspace: Any, key: str) -> Tenant | None:
    """The tenant of this key. Raises UnknownTenant where the project cannot even read it, as in `int("acme")`."""
    try:
        return tenants.find(workspace, key)
    except PinstripeError:
        raise
    except ValueError as error:
        told = f"looking for it raised {type(error).__name__}: {error}"
        raise UnknownTenant(f"there is no tenant {key!r}, {told}: `pinstripe tenants` lists them") from error


class TenantLookup:
    """The tenant of one run: looked up at the first use, once. None: it is gone."""

    def __init__(self, tenants: Tenants | None, key: str, workspace: Callable[[], Any]) -> None:
        self._tenants = tenants
        self._key = key
        self._workspace = workspace

    @functools.cached_property
    def found(self) -> Tenant | None:
        """The tenant as the project knows it now."""
        with self._workspace() as workspace:
            found = None if self._tenants is None else self._tenants.find(workspace, self._key)
        if found is None:
            log.warning("tenant_not_found", tenant=self._key)
        return found


def home_of(tenant: Tenant, otherwise: str) -> str:
    """The zone in which a tenant lives; `otherwise` where it has none that is known."""
    try:
        return zone(tenant.timezone or otherwise).name
    except PinstripeError as error:
        _tell_unknown(tenant.key, tenant.timezone, str(error))
        return zone(otherwise).name


@functools.lru_cache(maxsize=1000)
def _tell_unknown(tenant: str, timezone: str | None, error: str) -> None:
    """Say it, but not again at each look: what it returns is remembered."""
    log.warning("tenant_zone_unknown", tenant=tenant, timezone=timezone, error=error)


@contextlib.contextmanager
def _closing(iterator: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Close it at the end, if it can be: a generator may hold a connection."""
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def _iterated(found: Any, function: str) -> Iterator[Any]:
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise InvalidTenant(f"{function} returned {found!r}, and no tenants: let it return or yield them")
    return iter(found)


def _checked(tenant: Any) -> Tenant:
    if not isinstance(tenant, Tenant):
        raise InvalidTenant(f"{tenant!r} is no tenant: yield Tenant(id, name, timezone), from pinstripe_bot")
    return tenant


def define_tenants(loaded: LoadedFile) -> TenantsFile:
    """Check `lib/tenants.py`. Raises BrokenFile with what is wrong."""
    list_all = vars(loaded.module).get("tenants")
    find_one = vars(loaded.module).get("tenant")
    place = loaded.place_of("tenants")
    problem = _wrong_with("tenants", list_all, ["workspace"])
    if problem is None and find_one is not None:
        place = loaded.place_of("tenant")
        problem = _wrong_with("tenant", find_one, ["workspace", "id"])
        if problem is None and inspect.isgeneratorfunction(find_one):
            problem = "tenant() contains `yield`: let it return the tenant, or None"
    if problem is not None:
        raise BrokenFile(place.path, place.line, problem)
    assert list_all is not None
    return TenantsFile(list_all, find_one, place)


def _wrong_with(name: str, function: Any, arguments: list[str]) -> str | None:
    wanted = f"write `def {name}({', '.join(arguments)})`"
    if not inspect.isfunction(function):
        return f"a tenants file has a function `{name}`: {wanted}"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{name}() is async: write it as a plain function"
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return f"{name}() takes {' and '.join(arguments)}: {wanted}"
    return None
