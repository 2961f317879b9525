"""Every page of a console in whose ledger everything has happened: well-formed, whole, and harmless."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin

import pytest

from pinstripe_bot.project import Project

from .asking import SAME_SITE, Answer
from .reading_html import Page
from .whole import BIDI, CODE, FILES, IMAGE, ODD_JOB, SCRIPT, TEMPLATE, WholeConsole

PREFIX = "/_pinstripe"

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, and what makes a line read as what it is not."""

JOBS = [
    *(
        "hello",
        "failing",
        "often",
        "slow",
        "typed",
        "keyed",
        "for-all",
        "apart",
        "broken",
        "reports/daily",
        "reports/run",
    ),
    *(ODD_JOB, "open", "waits", "resting"),
]

PAGES = [
    *("/", "/jobs", "/runs", "/timeline", "/system", "/system?all=1"),
    *(f"/jobs?sort={sort}" for sort in ("name", "due", "result", "duration")),
    *(f"/runs?state={state}" for state in ("failed", "running", "late", "skipped", "missed", "manual")),
    "/runs?job=hello&tenant=acme&since=2h&until=1h",
    "/jobs?q=" + quote(SCRIPT + IMAGE),
    "/runs?job=" + quote(IMAGE) + "&tenant=" + quote(SCRIPT),
    *(f"/timeline?window={window}" for window in ("1h", "6h", "24h", "7d")),
    *(f"/jobs/{quote(name)}" for name in JOBS),
]


def ask(whole: WholeConsole, path: str) -> Page:
    """The page at an address below our prefix, which must be there."""
    answer = follow(whole, path)
    assert answer.status == 200, (path, answer.text[-500:])
    assert answer.header("content-type") == "text/html; charset=utf-8"
    return Page(answer.text)


def follow(whole: WholeConsole, path: str, **options: Any) -> Answer:
    """The answer to an address, whose path a server hands on without its escapes."""
    bare, _, query = path.partition("?")
    return whole.ask(unquote(bare), query=query, **options)


def every_page(whole: WholeConsole) -> dict[str, Page]:
    """{path: page} of all pages, and of every run."""
    runs = [f"/runs/{number}" for (number,) in whole.rows("SELECT id FROM runs")]
    return {path: ask(whole, path) for path in [*PAGES, *runs]}


def test_every_job_of_the_project_has_its_page() -> None:
    assert len(JOBS) == len(FILES)


def test_every_page_is_well_formed(standing: WholeConsole) -> None:
    faults = {path: page.faults for path, page in every_page(standing).items()}

    assert {path: found for path, found in faults.items() if found} == {}


def test_every_field_has_a_label(standing: WholeConsole) -> None:
    assert {path: page.unlabelled for path, page in every_page(standing).items() if page.unlabelled} == {}


def test_every_link_leads_somewhere(standing: WholeConsole) -> None:
    """Also those to a place on a page, and those that scripts follow."""
    found = {}
    for path, page in every_page(standing).items():
        for link in page.links:
            address, fragment = urldefrag(urljoin(f"{PREFIX}{path}", link))
            found[address, fragment] = path
            if address == f"{PREFIX}{path}" and fragment:
                assert fragment in page.ids, (path, link)
    lost = [(address, path) for (address, _), path in found.items() if not leads_somewhere(standing, address)]

    assert lost == []


def leads_somewhere(standing: WholeConsole, address: str) -> bool:
    assert address.startswith(f"{PREFIX}/"), address
    path = address.removeprefix(PREFIX)
    if path == "/live":  # it does not end
        return True
    answer = follow(standing, path)
    if answer.status == 303:  # the search field
        return leads_somewhere(standing, answer.header("location") or "")
    return answer.status == 200 or (path == "/readyz" and answer.status == 503)


def test_every_form_sends_to_a_route_that_takes_it(standing: WholeConsole) -> None:
    actions = {action for page in every_page(standing).values() for action in page.actions}
    allowed = {}
    for action in actions:
        answer = follow(standing, action.removeprefix(PREFIX), method="DELETE", headers=SAME_SITE)
        allowed[action] = (answer.status, answer.header("allow"))

    assert {action: told for action, told in allowed.items() if told != (405, "POST")} == {}
    assert any(action.endswith("/run") for action in actions)


def test_no_page_lets_a_hostile_text_be_markup(standing: WholeConsole) -> None:
    pages = every_page(standing)

    scripts = {one.get("src") for page in pages.values() for one in page.all("script")}
    assert len(scripts) == 1
    assert all(address.startswith(f"{PREFIX}/assets/console.js") for address in scripts)
    assert [path for path, page in pages.items() if page.all("img", "iframe", "object", "style", "embed")] == []
    odd = [name for page in pages.values() for one in page.elements for name in one.attributes if name.startswith("on")]
    assert odd == []
    assert not any(one.get("style") for page in pages.values() for one in page.elements)
    assert not any("49" in text for text in pages["/"].text.split() if TEMPLATE in text)


def test_hostile_texts_are_shown_as_they_are(standing: WholeConsole) -> None:
    told = ask(standing, f"/runs/{standing.run_of('hello')}").text

    assert SCRIPT in told
    assert IMAGE in told
    assert TEMPLATE in told


def test_no_page_has_a_character_that_changes_how_it_reads(standing: WholeConsole) -> None:
    found = {}
    for path in every_page(standing):
        text = follow(standing, path).text
        if at := RAW.search(text):
            found[path] = text[max(at.start() - 120, 0) : at.end() + 20]

    assert found == {}


def test_a_secret_parameter_is_on_no_page(standing: WholeConsole) -> None:
    assert [path for path, page in every_page(standing).items() if CODE in page.text] == []


@pytest.mark.parametrize("path", ["/", "/jobs", "/runs", "/timeline", "/system", "/jobs/hello", "/jobs/for-all"])
def test_without_a_ledger_every_page_is_there(empty: WholeConsole, path: str) -> None:
    page = ask(empty, path)

    assert page.faults == []
    assert "There is no ledger yet" in page.text
    assert not empty.project.root.joinpath(".pinstripe/ledger.db").exists()


def test_a_read_only_console_shows_no_form_that_acts(standing: WholeConsole) -> None:
    settings = {"console.read_only": True, "timezone": "UTC"}
    project = Project.load(standing.project.root, environ={}, overrides=settings)
    standing.served.close()
    standing.served = standing.serve(standing.bot, project)

    actions = {action for page in every_page(standing).values() for action in page.actions}

    assert actions == {f"{PREFIX}/logout"}


def test_bidi_marks_are_written_out(standing: WholeConsole) -> None:
    assert BIDI.encode("unicode_escape").decode() in ask(standing, f"/runs/{standing.run_of('hello')}").text
