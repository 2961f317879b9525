"""Who is let through to the console, and what the others are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from pinstripe_bot.console import PREFIX, application
from pinstripe_bot.console.access import Guard
from pinstripe_bot.console.sealing import POLICY
from pinstripe_bot.testing import TravelClock

from .asking import AFAR, LOCAL, SAME_SITE, messages, scope_of, send
from .conftest import HASH, SECRET, TOKEN, Console, MakeConsole

BEARER = {"authorization": f"Bearer {TOKEN}"}

PROXIED: dict[str, Any] = {"proxy_header": "X-User", "proxy_addresses": ("10.0.0.7", "fd00::/8")}

UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"]


def test_the_prefix_is_the_applications() -> None:
    assert application.PREFIX == PREFIX


# Strangers on this machine


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/", "", "%2F_pinstripe%2F"),
        ("", "", "%2F_pinstripe%2F"),
        ("/jobs/a b", "page=2&q=ä", "%2F_pinstripe%2Fjobs%2Fa%2520b%3Fpage%3D2%26q%3D%25C3%25A4"),
        ("/unknown", "", "%2F_pinstripe%2Funknown"),
    ],
)
def test_a_stranger_who_asks_for_a_page_is_led_to_the_login(
    console: Console, path: str, query: str, wanted: str
) -> None:
    answer = console.ask(path, query=query)

    assert answer.status == 303
    assert answer.header("location") == f"/_pinstripe/login?next={wanted}"


@pytest.mark.parametrize("path", ["/api/jobs", "/api", "/api/", "/api/unknown", "/metrics"])
def test_a_program_without_a_token_is_told_to_log_in(console: Console, path: str) -> None:
    answer = console.ask(path)

    assert answer.status == 401
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.error.startswith("log in first: ")


@pytest.mark.parametrize("method", UNSAFE)
def test_a_stranger_changes_nothing(console: Console, method: str) -> None:
    assert console.ask("/jobs/cleanup", method=method, headers=SAME_SITE).status == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/assets/console.css", "/login"])
def test_what_strangers_may_see_is_open(console: Console, path: str) -> None:
    assert console.ask(path).status == 200


@pytest.mark.parametrize("path", ["/assets/../api/jobs", "//livez", "/livez/", "/loginx", "/login/x", "/assets"])
def test_what_only_looks_like_it_is_not(console: Console, path: str) -> None:
    assert console.ask(path).status == 303


def test_what_is_posted_to_an_asset_is_a_strangers_too(console: Console) -> None:
    assert console.ask("/assets/console.css", method="POST", headers=SAME_SITE).status == 401


# On another address


@pytest.mark.parametrize("server", [AFAR, ("2001:db8::1", 3000), ("::ffff:10.0.0.5", 3000), ("shop", 3000), None])
@pytest.mark.parametrize("path", ["", "/", "/login", "/api/jobs", "/metrics", "/assets/console.css", "/unknown"])
@pytest.mark.parametrize("host", ["localhost", "10.0.0.5", "shop.example"])
def test_from_afar_an_unprotected_console_is_not_there(console: Console, server: Any, path: str, host: str) -> None:
    cookie = console.log_in()

    answers = [
        console.ask(path, server=server, host=host, cookie=cookie, method=method, headers=SAME_SITE)
        for method in ("GET", "POST")
    ]

    assert [answer.status for answer in answers] == [404, 404]


@pytest.mark.parametrize("server", [("127.0.0.1", 1), ("127.9.9.9", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
def test_on_this_machine_it_is(console: Console, server: Any) -> None:
    assert console.ask("/", server=server).status == 303


@pytest.mark.parametrize("given", [{"password_hash": HASH}, {"token": TOKEN}, PROXIED])
def test_a_protected_console_is_there_from_afar(make_console: MakeConsole, given: dict[str, Any]) -> None:
    assert make_console(**given).ask("/", server=AFAR, host="10.0.0.5").status == 303


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("host", ["localhost", "10.8.0.3:3000", "nonsense of a probe", None])
def test_health_is_open_everywhere_to_nobody(console: Console, path: str, host: str | None) -> None:
    answer = console.ask(path, server=AFAR, host=host)

    assert (answer.status, answer.text) == (200, "nobody")


def test_health_knows_who_may_hear_the_reasons(make_console: MakeConsole) -> None:
    console = make_console(token=TOKEN)

    told = console.ask("/readyz", server=AFAR, host="10.0.0.5", headers=BEARER, client=("10.4.0.17", 1)).text

    assert told == "token, console from 10.4.0.17"
    assert console.ask("/readyz", server=AFAR, host="evil.example", headers=BEARER).text == "nobody"


# Names


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:3000",
        "localhost.",
        "localhost.:3000",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:3000",
        "console.example",
        "Console.Example.:443",
        "10.9.9.9",
    ],
)
def test_names_of_ours_are_answered(make_console: MakeConsole, host: str) -> None:
    assert make_console(hosts=("console.example", "10.9.9.9")).ask("/login", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        "evil.example",
        "evil.example:3000",
        "EVIL.example.",
        "localhost.evil.example",
        "localhost:x",
        "localhost..",
        "user@localhost",
        "localhost/",
        "localhost#",
        "localhost?x",
        "10.0.0.5",
        "0.0.0.0",
        "127.0.0.2",
        "[::1",
        "::1",
        "lo\tcalhost",
        "local host",
        "localhost, evil.example",
        "ⓛocalhost",
        "[::2]:3000",
    ],
)
@pytest.mark.parametrize("path", ["/login", "/assets/console.css", "/", "/api/jobs"])
def test_other_names_are_not(console: Console, host: str | None, path: str) -> None:
    answer = console.ask(path, host=host, cookie=console.log_in())

    assert answer.status == 421
    assert "console.hosts" in answer.text


def test_two_names_are_none(console: Console) -> None:
    assert console.ask("/login", host="localhost", headers=[("host", "localhost")]).status == 421
    assert console.ask("/login", host="localhost", headers=[("host", "evil.example")]).status == 421


def test_the_address_that_the_connection_came_to_is_a_name_of_ours(make_console: MakeConsole) -> None:
    console = make_console(password_hash=HASH)

    assert console.ask("/login", server=AFAR, host="10.0.0.5:3000").status == 200
    assert console.ask("/login", server=("2001:db8::1", 3000), host="[2001:DB8:0::1]:3000").status == 200
    assert console.ask("/login", server=AFAR, host="10.0.0.6:3000").status == 421


# Cookies


def test_a_login_opens_the_console(console: Console) -> None:
    answer = console.ask("/", cookie=console.log_in(), client=("127.0.0.1", 4))

    assert (answer.status, answer.text) == (200, "login address, console from 127.0.0.1")


def test_a_login_is_over_after_twelve_hours(console: Console, clock: TravelClock) -> None:
    cookie = console.log_in()

    clock.travel(hours=11, minutes=59)
    assert console.ask("/", cookie=cookie).status == 200
    clock.travel(minutes=1)
    assert console.ask("/", cookie=cookie).status == 303


def test_a_cookie_that_was_not_made_here_opens_nothing(console: Console) -> None:
    name, _, value = console.log_in().partition("=")

    for forged in (
        "",
        "x",
        ".",
        value[:-1],
        value[1:],
        f"{value}x",
        value.swapcase(),
        f".{value}",
        "ä",
        '"',
        "a" * 9000,
    ):
        assert console.ask("/", cookie=f"{name}={forged}").status == 303


def test_a_cookie_of_another_project_opens_nothing(console: Console, tmp_path: Any, clock: TravelClock) -> None:
    other = Console(tmp_path / "other", clock)

    assert console.ask("/", cookie=other.log_in()).status == 303


def test_another_password_logs_everybody_out(make_console: MakeConsole) -> None:
    cookie = make_console(password_hash=HASH).log_in()

    assert make_console(password_hash=HASH).ask("/", cookie=cookie).status == 200
    assert make_console(password_hash=HASH.replace("1:1", "2:1")).ask("/", cookie=cookie).status == 303


# Tokens


@pytest.mark.parametrize("server", [LOCAL, AFAR])
@pytest.mark.parametrize("path", ["/", "/api/jobs", "/metrics"])
def test_the_token_opens_everything_on_any_address(make_console: MakeConsole, server: Any, path: str) -> None:
    answer = make_console(token=TOKEN).ask(path, server=server, host=server[0], headers=BEARER)

    assert (answer.status, answer.text) == (200, "token, console from 127.0.0.1")


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer ä",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN} {TOKEN}",
    ],
)
def test_another_token_opens_nothing(make_console: MakeConsole, sent: str) -> None:
    assert make_console(token=TOKEN).ask("/api/jobs", headers={"authorization": sent}).status == 401


def test_two_tokens_open_nothing(make_console: MakeConsole) -> None:
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")]

    assert make_console(token=TOKEN).ask("/api/jobs", headers=headers).status == 401


def test_where_no_token_is_set_none_opens_anything(console: Console) -> None:
    for sent in ("Bearer ", "Bearer None", "Bearer x"):
        assert console.ask("/api/jobs", headers={"authorization": sent}).status == 401


# Proxies


@pytest.mark.parametrize("client", [("10.0.0.7", 1), ("::ffff:10.0.0.7", 1), ("fd00::9", 1)])
def test_whom_the_proxy_names_is_who_asks(make_console: MakeConsole, client: Any) -> None:
    headers = {"x-user": " ada ", "x-forwarded-for": "203.0.113.9, 10.4.0.17"}

    answer = make_console(**PROXIED).ask("/", server=AFAR, host="10.0.0.5", client=client, headers=headers)

    assert (answer.status, answer.text) == (200, "ada, console from 10.4.0.17")


def test_a_name_may_have_letters_of_any_language(make_console: MakeConsole) -> None:
    answer = make_console(**PROXIED).ask("/", client=("10.0.0.7", 1), headers={"x-user": "Ådá"})

    assert answer.text == "Ådá, console from 10.0.0.7"


@pytest.mark.parametrize("client", [("10.0.0.8", 1), ("127.0.0.1", 1), ("fe00::1", 1), ("nonsense", 1), None])
def test_from_another_address_nobody_is_believed(make_console: MakeConsole, client: Any) -> None:
    headers = {"x-user": "ada", "x-forwarded-for": "10.0.0.7"}

    assert make_console(**PROXIED).ask("/", client=client, headers=headers).status == 303


@pytest.mark.parametrize("named", ["", " ", "a\tb", "x" * 201])
def test_what_is_no_name_is_nobody(make_console: MakeConsole, named: str) -> None:
    assert make_console(**PROXIED).ask("/", client=("10.0.0.7", 1), headers={"x-user": named}).status == 303


def test_two_names_are_nobody(make_console: MakeConsole) -> None:
    headers = [("x-user", "mallory"), ("x-user", "ada")]

    assert make_console(**PROXIED).ask("/", client=("10.0.0.7", 1), headers=headers).status == 303


def test_the_header_counts_for_nothing_where_it_is_not_set(make_console: MakeConsole) -> None:
    console = make_console(proxy_addresses=("10.0.0.7",))

    assert console.ask("/", client=("10.0.0.7", 1), headers={"x-user": "ada"}).status == 303


# Changing something


@pytest.mark.parametrize("method", UNSAFE[:4])
def test_a_page_of_ours_may_change_something(console: Console, method: str) -> None:
    answer = console.ask("/jobs/cleanup", method=method, headers=SAME_SITE, cookie=console.log_in(), body=b"x=1")

    assert (answer.status, answer.text) == (200, "login address, console from 127.0.0.1 x=1")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3000", "localhost:3000"),
        ("https://console.example", "console.example"),
        ("https://console.example", "Console.Example"),
        ("http://[::1]:3000", "[::1]:3000"),
    ],
)
def test_an_older_browser_says_it_by_the_origin(make_console: MakeConsole, origin: str, host: str) -> None:
    console = make_console(hosts=("console.example",))

    answer = console.post("/jobs/x", cookie=console.log_in(), headers={"origin": origin}, host=host)

    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:3001"},
        {"origin": "ftp://localhost:3000"},
        {"origin": "localhost:3000"},
        {"origin": "http://localhost:3000/"},
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("origin", "http://localhost:3000"), ("origin", "http://evil.example")],
        {"referer": "http://localhost:3000/_pinstripe/"},
    ],
)
@pytest.mark.parametrize("path", ["/jobs/cleanup", "/api/jobs", "/login", "/logout"])
def test_a_foreign_page_changes_nothing(console: Console, headers: Any, path: str) -> None:
    answer = console.ask(path, method="POST", headers=headers, cookie=console.log_in())

    assert answer.status == 403
    assert answer.error.startswith("only a page of the console")


def test_whom_a_proxy_names_changes_nothing_from_a_foreign_page(make_console: MakeConsole) -> None:
    headers = {"x-user": "ada", "sec-fetch-site": "cross-site"}

    answer = make_console(**PROXIED).ask("/jobs/x", method="POST", client=("10.0.0.7", 1), headers=headers)

    assert answer.status == 403


@pytest.mark.parametrize("method", UNSAFE[:4])
def test_a_script_with_the_token_may_change_something(make_console: MakeConsole, method: str) -> None:
    assert make_console(token=TOKEN).ask("/api/jobs", method=method, headers=BEARER).status == 200


@pytest.mark.parametrize("headers", [SAME_SITE, BEARER, {**SAME_SITE, **BEARER}])
@pytest.mark.parametrize("method", UNSAFE)
def test_a_console_that_only_shows_changes_nothing(make_console: MakeConsole, headers: Any, method: str) -> None:
    console = make_console(read_only=True, token=TOKEN)

    answer = console.ask("/api/jobs", method=method, headers=headers, cookie=console.log_in())

    assert answer.status == 403
    assert "console.read_only" in answer.error


def test_a_console_that_only_shows_shows(make_console: MakeConsole) -> None:
    console = make_console(read_only=True)
    cookie = console.log_in()

    assert console.ask("/", cookie=cookie).status == 200
    assert console.post("/logout", cookie=cookie).status == 303


# Bodies


@pytest.fixture
def scripted(make_console: MakeConsole) -> Guard:
    return make_console(token=TOKEN).application


def changing(**headers: str) -> Scope:
    return scope_of("/_pinstripe/api/jobs", method="POST", headers={**BEARER, **headers})


def test_a_body_of_64_kib_is_read(scripted: Guard) -> None:
    answer = send(scripted, changing(**{"content-length": "65536"}), messages(b"x" * 65535, b"y"))

    assert answer is not None
    assert answer.status == 200
    assert answer.text.endswith("xy")


@pytest.mark.parametrize(
    ("declared", "parts"),
    [
        ("65537", []),
        ("9" * 5000, []),
        ("many", []),
        ("-1", []),
        ("1", [b"x" * 65537]),
        ("0", [b"x" * 40000] * 2),
    ],
)
def test_a_larger_one_is_not(scripted: Guard, declared: str, parts: list[bytes]) -> None:
    answer = send(scripted, changing(**{"content-length": declared}), messages(*parts))

    assert answer is not None
    assert answer.status == 413
    assert answer.header("connection") == "close"


def test_one_that_never_ends_is_given_up(scripted: Guard) -> None:
    answer = send(scripted, changing(), messages(b"x", b"")[:1])

    assert answer is not None
    assert answer.status == 408
    assert answer.header("connection") == "close"


def test_a_client_that_goes_away_gets_no_answer(scripted: Guard) -> None:
    assert send(scripted, changing(), [*messages(b"x", b"")[:1], {"type": "http.disconnect"}]) is None


def test_a_strangers_body_is_not_waited_for(console: Console) -> None:
    answer = send(console.application, scope_of("/_pinstripe/api/jobs", method="POST", headers=SAME_SITE), [])

    assert answer is not None
    assert answer.status == 401


# Answers


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/", {}),
        ("/login", {}),
        ("/livez", {}),
        ("/api/jobs", {}),
        ("/broken", {}),
        ("/unknown", {}),
        ("/login", {"host": "evil.example"}),
        ("/", {"server": AFAR}),
        ("/jobs/x", {"method": "POST"}),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_every_answer_is_sealed(console: Console, path: str, options: dict[str, Any], is_known: bool) -> None:
    answer = console.ask(path, cookie=console.log_in() if is_known else "", **options)

    assert answer.header("content-security-policy") == POLICY
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cache-control") == "no-store"


def test_the_policy_allows_only_what_is_ours() -> None:
    assert POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_an_asset_may_be_kept(console: Console) -> None:
    answer = console.ask("/assets/console.css")

    assert answer.header("cache-control") is None
    assert answer.header("content-security-policy") == POLICY


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_breaks_is_one_sentence_and_the_reason_is_in_the_log(console: Console, method: str) -> None:
    with capture_logs() as logs:
        answer = console.ask("/broken", method=method, headers=SAME_SITE, cookie=console.log_in())

    assert answer.status == 500
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    assert [(log["event"], log["path"]) for log in logs if log["log_level"] == "error"] == [
        ("console_failed", "/broken")
    ]


def test_a_web_socket_is_closed(console: Console) -> None:
    sent: list[Message] = []

    async def talk() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def collect(message: Message) -> None:
            sent.append(message)

        await console.application({**scope_of("/_pinstripe/"), "type": "websocket"}, receive, collect)

    asyncio.run(talk())

    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_guard_stands_inside_of_a_mount_as_well(console: Console) -> None:
    seen: list[Any] = []

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"]["person"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(route, console.config, console.sessions)
    scope = {**scope_of("/_pinstripe/livez"), "root_path": "/_pinstripe"}

    answer = send(guard, scope)

    assert answer is not None
    assert (answer.status, seen) == (200, [None])


# Nonsense

_texts = st.text(st.characters(codec="latin-1"), max_size=40)
_values = _texts | st.sampled_from(
    ["localhost", "same-origin", "null", f"Bearer {TOKEN}", "http://[", "[", "::1", "[::1%eth0]", "1" * 5000, "//", "@"]
)
_names = st.sampled_from(
    ["host", "origin", "sec-fetch-site", "cookie", "authorization", "content-length", "x-user", "x-forwarded-for",
     "x-forwarded-proto", "content-type", "accept"]
)  # fmt: skip
_paths = st.text(max_size=30) | st.sampled_from(
    [
        "/",
        "",
        "/login",
        "/logout",
        "/api/jobs",
        "/metrics",
        "/assets/x",
        "/jobs/x",
        "/livez",
        "/_pinstripe",
        "/%00",
        "//",
    ]
)


def test_a_query_that_is_no_text_is_refused(make_console: MakeConsole) -> None:
    console = make_console(token=TOKEN)

    answer = send(console.application, {**scope_of(PREFIX), "query_string": b"\x80"}, messages(b""))

    assert answer is not None
    assert answer.status == 400
    assert "is not UTF-8" in answer.body.decode()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=_paths,
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "X", ""]),
    headers=st.lists(st.tuples(_names, _values), max_size=6),
    host=st.none() | st.just("localhost") | _values,
    query=st.binary(max_size=30) | st.sampled_from([b"key=%ff", b"next=//evil.example", b"key=&next=%00"]),
    body=st.binary(max_size=60) | st.sampled_from([b"key=x", b"password=%ff&next=%0d%0a", b"&" * 60]),
    client=st.sampled_from([("10.0.0.7", 1), ("127.0.0.1", 1), ("", 0), None]),
)
def test_nonsense_is_answered_without_an_error(
    make_console: MakeConsole,
    path: str,
    method: str,
    headers: list[tuple[str, str]],
    host: str | None,
    query: bytes,
    body: bytes,
    client: Any,
) -> None:
    console = make_console(token=TOKEN, **PROXIED)
    scope = scope_of(f"{PREFIX}{path}", method=method, headers=headers, host=host, client=client)
    raw = [(name, value.decode().encode("latin-1")) for name, value in scope["headers"]]

    answer = send(console.application, {**scope, "headers": raw, "query_string": query}, messages(body))

    assert answer is not None
    assert answer.status < 500
    assert answer.header("content-security-policy") == POLICY
    if answer.header("content-type") == "application/json":
        json.loads(answer.body)
