"""The rendering: templates become pages, and assets get addresses that change with what is in them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from pinstripe_bot import __version__
from pinstripe_bot.console.addresses import to, to_job, to_run
from pinstripe_bot.console.glyphs import glyph
from pinstripe_bot.console.strips import key_stripe
from pinstripe_bot.console.words import sentence
from pinstripe_bot.escapes import escape_controls

HERE: Final = Path(__file__).parent
ASSETS: Final = HERE / "assets"
TEMPLATES: Final = HERE / "templates"


class Rendering:
    """The templates of the console, for one project."""

    def __init__(self, project: str) -> None:
        self._project = project

    def page(self, name: str, /, *, status_code: int = 200, **facts: Any) -> Response:
        """The page that the template of this name makes from these facts."""
        return HTMLResponse(self._environment.get_template(name).render(project=self._project, **facts), status_code)

    def error(self, title: str, told: str, *, status_code: int, back: str) -> Response:
        """A page that says in one sentence what is wrong."""
        return self.page("error.html", status_code=status_code, title=title, told=told, back=back)

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_harmless,
        )
        hashes = {path.name: hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest() for path in ASSETS.iterdir()}
        environment.globals |= {
            "to": to,
            "to_job": to_job,
            "to_run": to_run,
            "version": __version__,
            "glyph": lambda name, label=None: Markup(glyph(str(name), label)),
            "key_stripe": lambda name: Markup(key_stripe(name)),
            "asset": lambda name: to(f"assets/{name}", v=hashes[name]),
            "ms": _milliseconds,
        }
        environment.filters |= {"ticks": _ticks, "sentence": sentence, "capital": _capital}
        return environment


def _harmless(value: Any) -> Any:
    """What a template shows, with what would make it read as what it is not written out; markup stays markup."""
    return type(value)(escape_controls(value)) if isinstance(value, str) else value


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ticks(text: str) -> Markup:
    """What stands between backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))
