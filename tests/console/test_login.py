"""Logging in to the console, and out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from structlog.testing import capture_logs

from pinstripe_bot.console.login import safe_next
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.testing import TravelClock

from .asking import AFAR
from .conftest import HASH, PASSWORD, Console, MakeConsole


@pytest.fixture
def with_password(make_console: MakeConsole) -> Console:
    return make_console(password_hash=HASH)


def log_in(console: Console, password: str = PASSWORD, **options: Any) -> int:
    return console.post("/login", {"password": password}, **options).status


# By an address


def test_an_address_shows_a_button_and_the_button_logs_in(console: Console) -> None:
    secret = console.addresses.issue()

    page = console.ask("/login", query=f"key={secret}&next=/_pinstripe/jobs/x")
    answer = console.post("/login", {"key": secret, "next": "/_pinstripe/jobs/x"})

    assert page.status == 200
    assert "Open the console" in page.text
    assert f'name="key" value="{secret}"' in page.text
    assert (answer.status, answer.header("location")) == (303, "/_pinstripe/jobs/x")


def test_looking_at_an_address_does_not_use_it_up(console: Console) -> None:
    secret = console.addresses.issue()

    for method in ("GET", "HEAD", "GET"):
        assert console.ask("/login", method=method, query=f"key={secret}").status == 200
    assert console.post("/login", {"key": secret}).status == 303


def test_an_address_logs_in_once(console: Console) -> None:
    secret = console.addresses.issue()
    console.post("/login", {"key": secret})

    again = console.post("/login", {"key": secret})

    assert again.status == 403
    assert "has been used" in again.text
    assert again.header("set-cookie") is None
    assert console.ask("/login", query=f"key={secret}").status == 403


def test_an_old_address_does_not_log_in(console: Console, clock: TravelClock) -> None:
    secret = console.addresses.issue()

    clock.travel(minutes=10)

    assert console.post("/login", {"key": secret}).status == 403


def test_of_two_servers_that_are_asked_at_the_same_time_one_lets_in(make_console: MakeConsole) -> None:
    servers = [make_console(), make_console()]
    secrets = [servers[0].addresses.issue() for _ in range(5)]  # a sixth attempt would have to wait

    with ThreadPoolExecutor(2) as pool:
        for secret in secrets:
            asked = [pool.submit(server.post, "/login", {"key": secret}) for server in servers]

            assert sorted(each.result().status for each in asked) == [303, 403]


def test_what_stands_in_an_address_is_only_text_on_the_page(console: Console) -> None:
    page = console.ask("/login", query="key=%22%3E%3Cscript%3E&next=%22%3E%3Cscript%3E")

    assert "<script" not in page.text


def test_whoever_has_logged_in_is_sent_on(console: Console) -> None:
    cookie = console.log_in()

    answer = console.ask("/login", query="next=/_pinstripe/jobs/x", cookie=cookie)
    page = console.ask("/login", query=f"key={console.addresses.issue()}", cookie=cookie)

    assert (answer.status, answer.header("location")) == (303, "/_pinstripe/jobs/x")
    assert page.status == 200


# With a password


def test_the_password_logs_in_from_afar(with_password: Console) -> None:
    answer = with_password.post("/login", {"password": PASSWORD}, server=AFAR, host="10.0.0.5")

    told = with_password.ask("/", server=AFAR, host="10.0.0.5", cookie=answer.cookie, client=("10.4.0.17", 1))

    assert (answer.status, answer.header("location")) == (303, "/_pinstripe/")
    assert told.text == "password, console from 10.4.0.17"


@pytest.mark.parametrize("form", [{"password": "open sesamE"}, {"password": ""}, {}, {"key": PASSWORD}])
def test_anything_else_does_not(with_password: Console, form: dict[str, str]) -> None:
    answer = with_password.post("/login", form)

    assert answer.status == 403
    assert answer.header("set-cookie") is None


def test_without_a_password_the_page_asks_for_none(console: Console, with_password: Console) -> None:
    assert 'type="password"' in with_password.ask("/login").text
    assert 'type="password"' not in console.ask("/login").text
    assert "pinstripe login-address" in console.ask("/login").text
    assert log_in(console, "") == 403


def test_the_page_has_no_inline_script_or_style(with_password: Console) -> None:
    page = with_password.ask("/login").text

    assert "<script" not in page
    assert "style=" not in page


def test_the_page_lets_a_browser_name_it_as_the_origin_of_its_form(with_password: Console) -> None:
    # By plain http on another address there is no Sec-Fetch-Site, and no-referrer makes the Origin "null".
    assert '<meta name="referrer" content="same-origin">' in with_password.ask("/login").text


def test_a_form_of_a_thousand_fields_is_refused(with_password: Console) -> None:
    assert with_password.post("/login", {f"field{number}": "x" for number in range(1000)}).status == 400


# The cookie


def test_the_cookie_is_kept_from_scripts_and_foreign_sites(console: Console) -> None:
    cookie = console.post("/login", {"key": console.addresses.issue()}).header("set-cookie") or ""

    name, *attributes = cookie.split("; ")
    assert name.startswith("pinstripe_console=")
    assert set(attributes) == {"HttpOnly", "SameSite=strict", "Path=/_pinstripe/", "Max-Age=43200"}


@pytest.mark.parametrize(
    "options",
    [
        {"scheme": "https"},
        {"client": ("10.0.0.7", 1), "headers": {"sec-fetch-site": "same-origin", "x-forwarded-proto": "https"}},
    ],
)
def test_by_https_it_never_goes_by_http(make_console: MakeConsole, options: dict[str, Any]) -> None:
    console = make_console(proxy_addresses=("10.0.0.7",))

    answer = console.post("/login", {"key": console.addresses.issue()}, **options)

    assert "; Secure" in (answer.header("set-cookie") or "")


def test_only_a_known_proxy_says_that_it_was_https(console: Console) -> None:
    headers = {"sec-fetch-site": "same-origin", "x-forwarded-proto": "https"}

    answer = console.post("/login", {"key": console.addresses.issue()}, headers=headers)

    assert "; Secure" not in (answer.header("set-cookie") or "")


def test_logging_out_forgets_the_cookie(console: Console) -> None:
    answer = console.post("/logout", cookie=console.log_in())

    assert (answer.status, answer.header("location")) == (303, "/_pinstripe/login")
    assert answer.cookie == 'pinstripe_console=""'
    assert "Max-Age=0" in (answer.header("set-cookie") or "")


def test_looking_at_the_logout_logs_nobody_out(console: Console) -> None:
    assert console.ask("/logout", cookie=console.log_in()).status == 405


# Too often


def test_the_sixth_attempt_in_a_minute_has_to_wait(with_password: Console, clock: TravelClock) -> None:
    statuses = []
    for _ in range(5):
        statuses.append(log_in(with_password, "guess"))
        clock.travel(seconds=1)

    refused = with_password.post("/login", {"password": PASSWORD})

    assert statuses == [403] * 5
    assert refused.status == 429
    assert refused.header("retry-after") == "55"
    assert "try again in 55 seconds" in refused.text
    clock.travel(seconds=55)
    assert log_in(with_password) == 303


def test_addresses_are_limited_too(console: Console) -> None:
    statuses = [console.post("/login", {"key": "guess"}).status for _ in range(6)]

    assert statuses == [403] * 5 + [429]


def test_somebody_elses_attempts_keep_nobody_out(with_password: Console) -> None:
    for _ in range(6):
        log_in(with_password, "guess", client=("10.4.0.18", 1))

    assert log_in(with_password, client=("10.4.0.17", 1)) == 303


def test_behind_a_proxy_its_clients_are_told_apart(make_console: MakeConsole) -> None:
    console = make_console(password_hash=HASH, proxy_addresses=("10.0.0.7",))
    proxy = {"client": ("10.0.0.7", 1)}

    def sent(forwarded: str) -> dict[str, str]:
        return {"sec-fetch-site": "same-origin", "x-forwarded-for": forwarded}

    for number in range(6):  # what the client itself sends along stands before what the proxy has seen
        log_in(console, "guess", headers=sent(f"203.0.113.{number}, 10.4.0.18"), **proxy)

    assert log_in(console, headers=sent("10.4.0.18"), **proxy) == 429
    assert log_in(console, headers=sent("10.4.0.17"), **proxy) == 303


def test_a_login_clears_the_failed_attempts(with_password: Console) -> None:
    for _ in range(3):
        for _ in range(4):
            assert log_in(with_password, "guess") == 403
        assert log_in(with_password) == 303


# Where to go


@pytest.mark.parametrize("wanted", ["/_pinstripe/", "/_pinstripe/jobs/a%20b?page=2&q=x#runs"])
def test_after_the_login_comes_the_page_that_was_asked_for(console: Console, wanted: str) -> None:
    answer = console.post("/login", {"key": console.addresses.issue(), "next": wanted})

    assert answer.header("location") == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "/",
        "//evil.example",
        "https://evil.example/_pinstripe/",
        "/_pinstripe",
        "/_pinstripe//evil.example",
        "/_pinstripe/\\evil.example",
        "/_pinstripe/\r\nSet-Cookie: x=y",
        "/_pinstripe/\x00",
        "/_pinstripe/ä",
        "/_pinstripe/ x",
        "\t/_pinstripe/",
        "/_pinstripe2/",
        "/_pinstripe/" + "x" * 3000,
        "javascript:alert(1)",
        "/_pinstripe/\n",
    ],
)
def test_a_foreign_place_is_not_gone_to(console: Console, wanted: str) -> None:
    answer = console.post("/login", {"key": console.addresses.issue(), "next": wanted})

    assert safe_next(wanted) == "/_pinstripe/"
    assert answer.header("location") == "/_pinstripe/"


# What is written down


def test_a_login_is_logged_and_audited_without_its_secret(with_password: Console) -> None:
    secret = with_password.addresses.issue()

    with capture_logs() as logs:
        with_password.post("/login", {"password": PASSWORD}, client=("10.4.0.17", 1))
        with_password.post("/login", {"key": secret}, client=("10.4.0.18", 1))

    assert [(log["event"], log["who"], log["way"], log["address"]) for log in logs] == [
        ("console_login", "password", "password", "10.4.0.17"),
        ("console_login", "login address", "login address", "10.4.0.18"),
    ]
    assert with_password.audited == [
        (Person("password", "console from 10.4.0.17"), "login"),
        (Person("login address", "console from 10.4.0.18"), "login"),
    ]
    assert PASSWORD not in str(logs)
    assert secret not in str(logs)


def test_a_refused_login_is_logged_and_not_audited(with_password: Console) -> None:
    with capture_logs() as logs:
        for _ in range(6):
            log_in(with_password, "my guess")

    assert [(log["event"], log["reason"]) for log in logs] == [
        *[("console_login_refused", "wrong")] * 5,
        ("console_login_refused", "too_often"),
    ]
    assert "my guess" not in str(logs)
    assert with_password.audited == []


def test_while_the_ledger_does_not_answer_people_get_in(console: Console) -> None:
    console.is_ledger_away = True

    with capture_logs() as logs:
        status = console.post("/login", {"key": console.addresses.issue()}).status

    assert status == 303
    assert [log["event"] for log in logs] == ["console_login", "console_login_unrecorded"]
