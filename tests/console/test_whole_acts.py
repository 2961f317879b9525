"""What people do in the console, by its forms and by its API: what stands in the ledger afterwards, and who did it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote

import pytest

from pinstripe_bot.project import Project

from .asking import Answer
from .reading_html import Page
from .whole import IMAGE, ODD_JOB, SCRIPT, WholeConsole

WRONG = "That was not done"

STILL = "(until_at IS NULL OR until_at > ? + 1)"


def audited(whole: WholeConsole) -> tuple[str, str, str, str]:
    """(who, origin, action, job) of the newest act."""
    (row,) = whole.rows("SELECT who, origin, action, job FROM audit ORDER BY id DESC LIMIT 1")
    return row  # type: ignore[return-value]


def led_to(whole: WholeConsole, answer: Answer) -> Page:
    """The page to which a form led, which is there."""
    assert answer.status == 303, answer.text
    path, _, query = (answer.header("location") or "").removeprefix("/_pinstripe").partition("?")
    page = whole.ask(unquote(path), query=query)
    assert page.status == 200, path
    return Page(page.text)


def params_of(whole: WholeConsole, job: str) -> Any:
    return json.loads(whole.rows("SELECT params FROM runs WHERE id = ?", whole.run_of(job))[0][0])


# Run now


def test_a_run_with_a_parameter_of_every_type(whole: WholeConsole) -> None:
    form = {
        "days": "7",
        "share": "0.25",
        "dry": "true",
        "day": "2026-03-29",
        "at": "2026-03-29T02:30:00+02:00",
        "wait": "10m",
        "kind": "new",
        "colour": "blue",
        "note": SCRIPT,
        "numbers": "[1, 2]",
        "api_code": "a-secret",
    }

    page = led_to(whole, whole.post("/jobs/typed/run", {f"p-{name}": value for name, value in form.items()}))

    assert params_of(whole, "typed") == {
        "days": 7,
        "share": 0.25,
        "dry": True,
        "day": "2026-03-29",
        "at": "2026-03-29T02:30:00+02:00",
        "wait": "PT600S",
        "kind": "new",
        "colour": "blue",
        "note": SCRIPT,
        "numbers": [1, 2],
        "api_code": "a-secret",
    }
    assert "typed is queued" in page.text
    assert audited(whole) == ("ada", "console from 127.0.0.1", "run", "typed")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("days", "many"),
        ("share", "half"),
        ("day", "2026-02-30"),
        ("at", "2026-03-29T02:30:00+99:00"),
        ("wait", "soon"),
        ("kind", "none"),
        ("colour", "green"),
        ("numbers", '[1, "two"]'),
        ("numbers", "[" * 5000),
    ],
)
def test_a_bad_parameter_is_one_sentence_and_writes_nothing(standing: WholeConsole, name: str, value: str) -> None:
    before = standing.dump()

    answer = standing.post("/jobs/typed/run", {"p-days": "1", f"p-{name}": value})

    assert answer.status == 400
    assert WRONG in answer.text
    assert f"the parameter {name} " in Page(answer.text).text
    assert standing.dump() == before


def test_a_needed_parameter_that_is_missing_is_named(standing: WholeConsole) -> None:
    answer = standing.post("/jobs/typed/run")

    assert (answer.status, "'days' is missing" in Page(answer.text).text) == (400, True)


@pytest.mark.parametrize("job", ["reports/daily", "reports/run", ODD_JOB])
def test_a_job_of_any_name_is_run(whole: WholeConsole, job: str) -> None:
    page = led_to(whole, whole.post(f"/jobs/{job}/run", {"p-params": '{"a": 1}'}))

    assert params_of(whole, job) == {"a": 1}
    assert f"{job} is queued" in page.text


@pytest.mark.parametrize("written", ["{", "[]", "1", "nonsense", '{"a": NaN}', "{" * 3000])
def test_what_is_no_object_is_refused(standing: WholeConsole, written: str) -> None:
    before = standing.dump()

    answer = standing.post("/jobs/hello/run", {"p-params": written})

    assert (answer.status, WRONG in answer.text) == (400, True)
    assert standing.dump() == before


def test_a_run_for_all_tenants_and_for_one(whole: WholeConsole) -> None:
    led_to(whole, whole.post("/jobs/for-all/run", {"tenant": IMAGE}))
    assert whole.rows("SELECT tenant FROM runs ORDER BY id DESC LIMIT 1") == [(IMAGE,)]

    page = led_to(whole, whole.post("/jobs/for-all/run"))
    assert "Queued for all its tenants" in page.said()


@pytest.mark.parametrize(("job", "tenant"), [("for-all", "nobody"), ("for-all", "\u202e"), ("hello", "acme")])
def test_a_tenant_that_there_is_not_is_refused(standing: WholeConsole, job: str, tenant: str) -> None:
    before = standing.dump()

    answer = standing.post(f"/jobs/{job}/run", {"tenant": tenant})

    assert (answer.status, WRONG in answer.text) == (400, True)
    assert standing.dump() == before


def test_a_run_that_waits_already_is_said_to_be_skipped(whole: WholeConsole) -> None:
    whole.post("/jobs/apart/run")

    page = led_to(whole, whole.post("/jobs/apart/run"))

    assert "Not queued" in page.said()


# Pause, resume, skip


@pytest.mark.parametrize("job", ["", "hello", "reports/run", ODD_JOB])
def test_a_pause_and_its_end(whole: WholeConsole, job: str) -> None:
    path = f"/jobs/{job}" if job else ""
    where = f"SELECT who, why FROM pauses WHERE job = ? AND tenant = '' AND {STILL}"
    now = int(whole.clock.now().timestamp() * 1_000_000)

    page = led_to(whole, whole.post(f"{path}/pause", {"until": "2h", "reason": SCRIPT}))
    assert (page.said(), whole.rows(where, job, now)) == ("Paused.", [("ada", SCRIPT)])
    assert audited(whole) == ("ada", "console from 127.0.0.1", "pause", job)

    page = led_to(whole, whole.post(f"{path}/resume"))
    assert ("Resumed" in page.said(), whole.rows(where, job, now)) == (True, [])
    assert audited(whole) == ("ada", "console from 127.0.0.1", "resume", job)


def test_a_pause_for_one_tenant(whole: WholeConsole) -> None:
    led_to(whole, whole.post("/jobs/for-all/pause", {"tenant": SCRIPT}))
    where = f"SELECT tenant FROM pauses WHERE job = 'for-all' AND {STILL}"
    now = int(whole.clock.now().timestamp() * 1_000_000)
    assert (SCRIPT,) in whole.rows(where, now)

    led_to(whole, whole.post("/jobs/for-all/resume", {"tenant": SCRIPT}))
    assert (SCRIPT,) not in whole.rows(where, now)


@pytest.mark.parametrize(
    "form", [{"until": "never"}, {"until": "2020-01-01"}, {"tenant": "nobody"}, {"until": "9" * 99}]
)
def test_a_pause_that_cannot_be_read_is_refused(standing: WholeConsole, form: dict[str, str]) -> None:
    before = standing.dump()

    answer = standing.post("/jobs/hello/pause", form)

    assert (answer.status, WRONG in answer.text) == (400, True)
    assert standing.dump() == before


def test_a_skip_is_asked_for_and_taken_back(whole: WholeConsole) -> None:
    led_to(whole, whole.post("/jobs/failing/skip", {"count": "2"}))
    assert whole.rows("SELECT remaining, who FROM skips WHERE job = 'failing'") == [(2, "ada")]

    page = led_to(whole, whole.post("/jobs/failing/skip", {"count": "0"}))
    assert "Nothing will be skipped" in page.said()
    assert whole.rows("SELECT remaining FROM skips WHERE job = 'failing' AND remaining > 0") == []


@pytest.mark.parametrize("count", ["-1", "many", "1001", "1e3", "\u0663", "9" * 400, "9" * 5000])
def test_a_number_of_instants_that_is_none_is_refused(standing: WholeConsole, count: str) -> None:
    before = standing.dump()

    assert standing.post("/jobs/hello/skip", {"count": count}).status == 400
    assert standing.dump() == before


# Cancel, retry


def test_a_running_run_is_asked_to_end(whole: WholeConsole) -> None:
    number = whole.run_of("open")

    page = led_to(whole, whole.post(f"/runs/{number}/cancel"))

    assert page.said() == "It was asked to end."
    assert whole.rows("SELECT cancelled_by FROM runs WHERE id = ?", number) == [("ada",)]


def test_a_run_that_timed_out_is_queued_again(whole: WholeConsole) -> None:
    number = whole.run_of("slow")

    page = led_to(whole, whole.post(f"/runs/{number}/retry"))

    assert page.said() == "Queued for another attempt."
    assert whole.rows("SELECT state, attempt FROM runs WHERE id = ?", number) == [("queued", 2)]
    assert audited(whole) == ("ada", "console from 127.0.0.1", "retry", "slow")


def test_what_succeeded_runs_again_only_when_that_is_meant(whole: WholeConsole) -> None:
    number = whole.run_of("hello")
    before = whole.dump()

    assert whole.post(f"/runs/{number}/retry").status == 400
    assert whole.dump() == before
    led_to(whole, whole.post(f"/runs/{number}/retry", {"force": "true"}))


@pytest.mark.parametrize("number", ["0", "99999", "9" * 18, "9" * 30, "-1", "x", "\u0661", "1.0"])
@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_a_run_that_there_is_not_is_not_found(standing: WholeConsole, number: str, act: str) -> None:
    assert standing.post(f"/runs/{number}/{act}").status == 404
    assert standing.send_json(f"/runs/{number}/{act}").status == 404


# By the API


def test_every_act_by_the_api(whole: WholeConsole) -> None:
    number, job = whole.run_of("slow"), quote("hello")
    acts: dict[str, tuple[str, Any]] = {
        "run": ("/jobs/typed/run", {"params": {"days": 9}}),
        "pause": (f"/jobs/{job}/pause", {"until": "2h", "reason": "x"}),
        "resume": (f"/jobs/{job}/resume", {}),
        "skip": (f"/jobs/{job}/skip", {"count": 3}),
        "retry": (f"/runs/{number}/retry", {"force": False}),
        "cancel": (f"/runs/{number}/cancel", None),
    }
    told = {}
    for action, (path, asked) in acts.items():
        answer = whole.send_json(path, asked)
        assert answer.status == 200, (action, answer.text)
        told[action] = json.loads(answer.body)
        assert audited(whole)[:3] == ("ada", "console from 127.0.0.1", action)

    assert (told["run"]["job"], told["run"]["state"], told["skip"]) == ("typed", "queued", {"skips": 3})
    assert (told["pause"]["who"], told["resume"]["was_paused"]) == ("ada", True)
    assert [one["action"] for one in whole.read_json("/audit", query="limit=6")] == [*reversed(acts)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/jobs/hello/run", b"{"),
        ("/jobs/hello/run", b"[]"),
        ("/jobs/hello/run", b"\xff\xfe"),
        ("/jobs/hello/run", b'{"params": 1}'),
        ("/jobs/hello/run", b'{"params": {"a": 1e999}}'),
        ("/jobs/hello/run", b"[" * 60000),
        ("/jobs/hello/run", b'{"params": ' + b'{"a":' * 10000 + b"1" + b"}" * 10000 + b"}"),
        ("/jobs/hello/run", b'{"tenant": ["acme"]}'),
        ("/jobs/hello/pause", b'{"until": {"a": 1}}'),
        ("/jobs/hello/pause", b'{"until": true}'),
        ("/jobs/hello/skip", b'{"count": 1.5}'),
        ("/jobs/hello/skip", b'{"count": -1}'),
        ("/jobs/hello/skip", b'{"schedule": "none such"}'),
    ],
)
def test_what_the_api_cannot_read_is_one_sentence_and_writes_nothing(
    standing: WholeConsole, path: str, body: bytes
) -> None:
    before = standing.dump()

    answer = standing.ask(f"/api{path}", method="POST", body=body, headers={"sec-fetch-site": "same-origin"})

    assert answer.status == 400, answer.text
    assert isinstance(answer.error, str)
    assert standing.dump() == before


# Who may not, and what is not there


def test_a_read_only_console_refuses_every_act(whole: WholeConsole) -> None:
    settings = {"console.read_only": True, "timezone": "UTC"}
    project = Project.load(whole.project.root, environ={}, overrides=settings)
    whole.served.close()
    whole.served = whole.serve(whole.bot, project)
    before = whole.dump()
    paths = ("/pause", "/resume", "/jobs/hello/run", "/jobs/hello/pause", "/runs/1/cancel", "/runs/1/retry")

    assert {whole.post(path).status for path in paths} == {403}
    assert {whole.send_json(path, {}).status for path in paths} == {403}
    assert whole.dump() == before


@pytest.mark.parametrize("path", ["/runs/1/cancel", "/runs/1/retry", "/jobs/nothing/run", "/jobs/broken/run"])
def test_without_a_ledger_an_act_on_what_is_not_there_makes_none(empty: WholeConsole, path: str) -> None:
    answer = empty.post(path)

    assert answer.status == 404
    assert not (empty.project.root / ".pinstripe/ledger.db").exists()


@pytest.mark.parametrize("path", ["/jobs/hello/resume", "/resume"])
def test_without_a_ledger_nothing_is_taken_back(empty: WholeConsole, path: str) -> None:
    assert empty.post(path).status in (303, 400)
    assert not (empty.project.root / ".pinstripe/ledger.db").exists()


def test_the_first_act_makes_the_ledger(empty: WholeConsole) -> None:
    page = led_to(empty, empty.post("/jobs/hello/run"))

    assert "hello is queued" in page.text


def test_a_zero_character_is_no_error_where_the_database_refuses_it(
    empty: WholeConsole, fresh_postgres_url: str
) -> None:
    overrides = {"ledger.url": fresh_postgres_url, "timezone": "UTC"}
    project = Project.load(empty.project.root, environ={}, overrides=overrides)
    empty.served.close()
    empty.served = empty.serve(empty.bot, project)
    zero = "a\0b"

    statuses = [
        empty.post("/jobs/hello/run", {"p-params": json.dumps({zero: zero})}).status,
        empty.post("/jobs/hello/pause", {"reason": zero}).status,
        empty.post("/jobs/for-all/run", {"tenant": zero}).status,
        empty.send_json("/jobs/hello/pause", {"reason": zero}).status,
        empty.send_json("/jobs/hello/run", {"params": {zero: zero}}).status,
        empty.send_json("/jobs/hello/run", {"tenant": zero}).status,
        empty.send_json("/jobs/hello/skip", {"schedule": zero, "reason": zero}).status,
        empty.send_json("/jobs/hello/skip", {"reason": zero}).status,
        empty.send_json(f"/jobs/{zero}/run").status,
        empty.send_json("/jobs/hello/resume", {"tenant": zero}).status,
        empty.ask(f"/jobs/{zero}").status,
        empty.ask("/runs", query="tenant=%00&job=%00").status,
        empty.ask("/api/explain", query="job=%00&at=%00").status,
    ]

    assert [status for status in statuses if status >= 500] == [], statuses
