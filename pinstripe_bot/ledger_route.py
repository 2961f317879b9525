"""The route of a moving ledger: from where to where, and whether the project's settings lead to its new place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import URL

from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_place import FILE, FOLDER, LedgerPlace, ledger_place, ledger_url


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where a ledger moves.

    `leaves_default`: its source is the file that a project has by default. `is_found`: without that file the
    project uses the target with the settings that it has.
    """

    source: LedgerPlace
    target: LedgerPlace
    leaves_default: bool
    is_found: bool


def route_to(written: str, config: Config, root: Path) -> Route:
    """The route from the ledger that the project has to the URL that somebody wrote.

    Where `ledger.url` names that one already, it is the way from the default file. Raises LedgerError for a URL that
    cannot hold a ledger, and for the place where the ledger is already.
    """
    target = ledger_place(replace(config, ledger=replace(config.ledger, url=written)), root)
    default = LedgerPlace(URL.create("sqlite", database=str(root / FOLDER / FILE)), is_own=True)
    source = ledger_place(config, root)
    if _is_same(source.url, target.url):
        if _is_same(default.url, target.url) or not (root / FOLDER / FILE).exists():
            raise LedgerError(f"the ledger is at {target.store().place} already")
        source = default
    is_found = _is_found(target.url, default.url, config, root)
    return Route(source, target, leaves_default=_is_same(source.url, default.url), is_found=is_found)


def _is_found(target: URL, default: URL, config: Config, root: Path) -> bool:
    if config.ledger.url is not None:
        return _is_same(ledger_url(config.ledger.url, root), target)
    if _is_same(default, target):
        return True
    return config.database.url is not None and _is_same(ledger_url(config.database.url, root), target)


def _is_same(one: URL, other: URL) -> bool:
    """Whether two URLs lead to one database."""
    return _address(one) == _address(other)


def _address(url: URL) -> tuple[object, ...]:
    if url.get_backend_name() == "sqlite":
        return (Path(str(url.database)).resolve(),)
    return (url.host or url.query.get("host"), url.port or 5432, url.username, url.database)
