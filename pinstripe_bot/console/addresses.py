"""The addresses of the console's pages."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from pinstripe_bot.console import PREFIX


def to(path: str = "", **query: str | int | None) -> str:
    """The address of a page, with what is asked of it; what is None or empty is left out."""
    asked = {name: str(value) for name, value in query.items() if value is not None and value != ""}
    return f"{PREFIX}/{path}" + (f"?{urlencode(asked)}" if asked else "")


def to_job(name: str, action: str = "", **query: str) -> str:
    """The page of a job, or where an act on it is sent; a name may have slashes."""
    return to(f"jobs/{quote(name)}{f'/{action}' if action else ''}", **query)


def to_run(number: int, action: str = "") -> str:
    """The page of a run, or where an act on it is sent."""
    return to(f"runs/{number}{f'/{action}' if action else ''}")


def with_query(path: str, query: Mapping[str, str], **changed: str | int | None) -> str:
    """The same page with some of what is asked of it changed."""
    return to(path, **{**query, **changed})
