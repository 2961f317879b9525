"""The whole application under attack: whoever is not let in changes nothing, and nonsense is never an error."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinstripe_bot.console.bodies import LIMIT
from pinstripe_bot.console.sealing import POLICY

from .asking import AFAR, SAME_SITE, messages, scope_of, send
from .whole import CODE, WholeConsole

ACTS = (
    "/pause",
    "/resume",
    "/jobs/hello/run",
    "/jobs/hello/pause",
    "/jobs/hello/skip",
    "/runs/1/retry",
    "/runs/1/cancel",
)

PATHS = (
    "/",
    "/jobs",
    "/jobs/hello",
    "/runs",
    "/runs/1",
    "/timeline",
    "/system",
    "/live",
    "/metrics",
    "/api/now",
    "/api/runs",
)

FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000.evil.example"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_changes_nothing(standing: WholeConsole, headers: dict[str, str]) -> None:
    before = standing.dump()

    answers = [standing.ask(f"{api}{path}", method="POST", headers=headers) for path in ACTS for api in ("", "/api")]

    assert {answer.status for answer in answers} == {403}
    assert standing.dump() == before


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", None, "a@localhost"]
)
def test_under_a_foreign_name_nothing_is_told(standing: WholeConsole, host: str | None) -> None:
    assert {standing.ask(path, host=host).status for path in PATHS} == {421}
    assert {standing.post(path, host=host).status for path in ACTS} == {421}


def test_without_settings_nobody_from_afar_sees_that_there_is_a_console(standing: WholeConsole) -> None:
    assert {standing.ask(path, server=AFAR, host="10.0.0.5").status for path in PATHS} == {404}


def test_a_cookie_that_is_none_lets_nobody_in(standing: WholeConsole) -> None:
    name, _, value = standing.cookie.partition("=")
    head, _, seal = value.rpartition(".")
    forged = [
        "",
        f"{name}=",
        f"{name}={head}",
        f"{name}={head}.{seal[::-1]}",
        f"{name}={head[:-2]}xx.{seal}",
        f"{name}={'A' * 9000}",
        f"{name}=.",
        f"{name}=\u202e.x",
    ]

    for cookie in forged:
        assert {standing.ask(path, cookie=cookie).status for path in PATHS} <= {303, 401}, cookie
        assert standing.post("/jobs/hello/run", cookie=cookie).status in (303, 401), cookie


def test_a_cookie_that_is_over_lets_nobody_in(whole: WholeConsole) -> None:
    whole.clock.travel(hours=13)

    assert whole.ask("/").status == 303
    assert whole.ask("/api/now").status == 401


@pytest.mark.parametrize(
    "name",
    [
        "../access.py",
        "../../../../../../etc/passwd",
        "%2e%2e/access.py",
        "%2e%2e%2faccess.py",
        "%252e%252e%252faccess.py",
        "..\\access.py",
        "..%5caccess.py",
        "/etc/passwd",
        "//etc/passwd",
        "console.css\0.py",
        "\0",
        ".",
        "..",
        "",
        "console.css/..",
        "a" * 5000,
        "./../templates/base.html",
    ],
)
def test_no_file_but_an_asset_is_served(standing: WholeConsole, name: str) -> None:
    for cookie in ("", standing.cookie):
        answer = standing.ask(f"/assets/{name}", cookie=cookie)

        assert answer.status in (303, 404, 405), (name, answer.status)
        assert "import" not in answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/jobs/hello/run", "/api/jobs/hello/run", "/login", "/pause", "/assets/console.css"])
def test_a_body_that_is_too_large_is_refused(standing: WholeConsole, path: str) -> None:
    before = standing.dump()

    assert standing.ask(path, method="POST", body=b"x" * (LIMIT + 1), headers=SAME_SITE).status == 413
    declared = {**SAME_SITE, "content-length": "99999999999"}
    assert standing.ask(path, method="POST", headers=declared).status == 413
    assert standing.dump() == before


def test_a_client_that_goes_away_in_its_body_changes_nothing(standing: WholeConsole) -> None:
    before = standing.dump()
    scope = scope_of("/_pinstripe/pause", method="POST", headers=SAME_SITE, cookie=standing.cookie)
    incoming: list[Any] = [
        {"type": "http.request", "body": b"reason=x", "more_body": True},
        {"type": "http.disconnect"},
    ]

    assert send(standing.served.application, scope, incoming) is None
    assert standing.dump() == before


def test_a_form_of_many_fields_is_none(standing: WholeConsole) -> None:
    body = b"&".join(b"p-a%d=1" % number for number in range(6000))

    assert standing.ask("/jobs/typed/run", method="POST", body=body, headers=SAME_SITE).status == 400


def test_no_address_makes_a_page_say_anything_of_its_own(standing: WholeConsole) -> None:
    assert "Call 555" not in standing.ask("/", query="said=Call%20555%20now").text


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/_pinstripe//evil.example", "/\\evil.example"]
)
def test_a_login_leads_to_no_foreign_page(whole: WholeConsole, target: str) -> None:
    key = whole.served.addresses.issue()

    assert whole.post("/login", {"key": key, "next": target}, cookie="").header("location") == "/_pinstripe/"


# Nonsense

NAMES = st.sampled_from(
    [
        "hello",
        "typed",
        "for-all",
        "reports/run",
        "broken",
        "nothing",
        "..",
        "%2e",
        "\u202e",
        "a\0b",
        "",
        "run",
        "\ud800",
    ]
)
NUMBERS = st.sampled_from(["0", "1", "16", "-1", "1e9", "9" * 18, "9" * 19, "9" * 5000, "\u0663", "x", "1/output"])
LAST = st.sampled_from(["", "/run", "/pause", "/resume", "/skip", "/cancel", "/retry", "/output", "/", "//"])
PLACES = st.sampled_from(
    [
        "",
        "/",
        "/jobs",
        "/runs",
        "/timeline",
        "/system",
        "/metrics",
        "/livez",
        "/readyz",
        "/login",
        "/logout",
        "/pause",
        "/resume",
        "/now",
        "/audit",
        "/explain",
        "/assets",
        "/assets/console.css",
        "/assets/..",
        "/live2",
    ]
)
ADDRESSES = st.builds(
    lambda api, place: f"{api}{place}",
    st.sampled_from(["", "/api"]),
    st.one_of(
        PLACES,
        st.builds("/jobs/{}{}".format, NAMES, LAST),
        st.builds("/runs/{}{}".format, NUMBERS, LAST),
        st.text(max_size=20).map("/{}".format),
    ),
)
WORDS = st.one_of(
    st.sampled_from(
        [
            "0",
            "-1",
            "9" * 30,
            "1-1",
            "9" * 30 + "-1",
            "9" * 17 + "-" + "9" * 17,
            "24h",
            "9999999d",
            "02:30",
            "0001-01-01",
            "9999-12-31T23:59:59",
            "failed",
            "late",
            "name",
            "%00",
            "%ff",
            "hello",
            "acme",
            "<script>",
            "1h",
            "all",
            "1e999",
            "2026-03-29T02:30",
            "now",
            "-5m",
            "99999999999999h",
            "tomorrow 9:00",
        ]
    ),
    st.text(max_size=12),
)
KEYS = st.sampled_from(
    [
        "q",
        "sort",
        "show",
        "state",
        "job",
        "tenant",
        "since",
        "until",
        "before",
        "limit",
        "window",
        "page",
        "all",
        "find",
        "at",
        "said",
        "key",
        "next",
        "acts",
        "lanes",
        "from",
        "x",
    ]
)
QUERIES = st.lists(st.builds("{}={}".format, KEYS, WORDS), max_size=4).map(
    lambda parts: "&".join(parts).encode("utf-8", "replace")
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["params", "until", "reason", "tenant", "count", "schedule", "force", "p-days", "key"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5), st.lists, max_leaves=3
        ),
        max_size=3,
    ).map(lambda asked: json.dumps(asked).encode()),
    st.lists(st.builds("{}={}".format, KEYS, WORDS), max_size=3).map(
        lambda parts: "&".join(parts).encode("utf-8", "replace")
    ),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"accept", b"content-type", b"content-length", b"authorization", b"x-forwarded-for", b"range"])
        | st.sampled_from([b"if-none-match", b"if-modified-since", b"origin", b"accept-encoding"]),
        st.binary(max_size=12) | st.sampled_from([b"application/openmetrics-text", b"bytes=0-1", b"gzip", b"*/*"]),
    ),
    max_size=3,
)
TRACE = re.compile(r"Traceback \(most recent|File \"/.*pinstripe_bot/")
OF_A_RUN = re.compile(r"/api/runs/\d+")
"""Where the traceback of what a job raised belongs."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=ADDRESSES, query=QUERIES, headers=HEADERS, method=st.sampled_from(["GET", "HEAD", "OPTIONS"]))
def test_looking_never_fails_and_never_changes_the_ledger(
    standing: WholeConsole, path: str, query: bytes, headers: list[tuple[bytes, bytes]], method: str
) -> None:
    before = standing.dump()

    check(standing, path, query, headers, method, b"")

    assert standing.dump() == before


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=ADDRESSES,
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
    method=st.sampled_from(["POST", "POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"]),
)
def test_acting_never_fails(
    whole: WholeConsole, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes, method: str
) -> None:
    check(whole, path, query, [*headers, (b"sec-fetch-site", b"same-origin")], method, body)


def check(
    whole: WholeConsole, path: str, query: bytes, headers: list[tuple[bytes, bytes]], method: str, body: bytes
) -> None:
    """Ask as somebody who has logged in: the answer is no error, has our headers, and tells no secret."""
    scope = scope_of("/_pinstripe", method=method, cookie=whole.cookie)
    scope |= {"path": f"/_pinstripe{path}", "query_string": query, "headers": [*scope["headers"], *headers]}
    scope["raw_path"] = scope["path"].encode("utf-8", "replace")

    answer = send(whole.served.application, scope, messages(body))

    assert answer is not None
    assert answer.status < 500 or path == "/readyz", answer.body[-2000:]
    assert answer.header("content-security-policy") == POLICY
    text = answer.body.decode("utf-8", "replace")
    assert not TRACE.search(text) or "output" in path or OF_A_RUN.fullmatch(path)
    assert CODE not in text
