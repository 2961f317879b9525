"""The addresses of the pages."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinstripe_bot.console.addresses import to, to_job, to_run, with_query

ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_a_page_has_its_address() -> None:
    assert to() == "/_pinstripe/"
    assert to("runs") == "/_pinstripe/runs"


def test_what_is_asked_for_is_a_query_and_nothing_is_left_out() -> None:
    assert to("runs", state="failed", job=None, tenant="", page=0) == "/_pinstripe/runs?state=failed&page=0"


def test_a_job_and_a_run_have_pages_and_addresses_of_acts() -> None:
    assert to_job("sweep") == "/_pinstripe/jobs/sweep"
    assert to_job("reports/daily", "pause") == "/_pinstripe/jobs/reports/daily/pause"
    assert to_run(10**18, "cancel") == f"/_pinstripe/runs/{10**18}/cancel"


def test_a_query_is_changed_without_its_page() -> None:
    query = {"state": "failed", "job": "sweep"}

    assert with_query("runs", query, state="late") == "/_pinstripe/runs?state=late&job=sweep"
    assert with_query("runs", query, state=None, job="") == "/_pinstripe/runs"
    assert query == {"state": "failed", "job": "sweep"}


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%2Fb", "a b", "<b>", '"', "\u202e", "a\nb"])
def test_no_name_leaves_the_path(name: str) -> None:
    parts = urlsplit(to_job(name))

    assert (parts.query, parts.fragment) == ("", "")
    assert unquote(parts.path) == f"/_pinstripe/jobs/{name}"
    assert not set('<>"\n ') & set(to_job(name))


@given(ODD)
def test_a_value_comes_back_as_it_was_asked_for(value: str) -> None:
    address = to("runs", tenant=value)

    assert parse_qs(urlsplit(address).query, keep_blank_values=True) == {"tenant": [value]}
