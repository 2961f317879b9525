from __future__ import annotations

from pathlib import Path

import pytest
from bots import TENANTS, job, write_jobs, write_tenants


def test_the_tenants_are_listed_with_their_zones(pinstripe, root: Path) -> None:
    write_jobs(root, sweep=job())
    write_tenants(root)

    listed = pinstripe("--project", str(root), "tenants")

    assert [line.split() for line in listed.stdout.splitlines()[2:4]] == [
        ["acme", "Acme", "Europe/Berlin"],
        ["beta", "Beta", "America/New_York"],
    ]


def test_a_project_without_tenants_is_told_where_to_name_them(pinstripe, root: Path) -> None:
    write_jobs(root, sweep=job())

    refused = pinstripe("--project", str(root), "tenants")

    assert refused.exit_code == 2
    assert "set [tenants] table, or write lib/tenants.py" in refused.stderr


def test_a_job_with_tenants_runs_by_hand_for_all_and_says_who_failed(pinstripe, root: Path) -> None:
    write_tenants(root)
    write_jobs(root, invoice=job("assert workspace.tenant.id != 'beta'", "multi_tenant=True"))

    ran = pinstripe("--project", str(root), "run-background-job", "invoice")

    assert ran.exit_code == 1
    assert "invoice: 2 succeeded, 1 failed" in ran.stdout
    assert "beta (Beta): run" in ran.stdout


def test_check_lists_where_the_rows_of_all_tenants_are_reached(pinstripe, root: Path) -> None:
    write_jobs(root, invoice=job("workspace.database.unscoped", "multi_tenant=True, timeout=60"))
    write_tenants(root, "def tenants(workspace):\n    return workspace.database.unscoped.shops.all()\n")
    (root / "lib/services").mkdir()
    (root / "lib/services/figures.py").write_text("def create(workspace):\n    return getattr(workspace, 'unscoped')\n")

    checked = pinstripe("--project", str(root), "check")

    assert checked.exit_code == 0
    told = checked.stdout.splitlines()
    start = told.index("reaches the rows of all tenants, which is worth a second look:")
    assert told[start + 1 : -1] == [
        "  lib/tenants.py:2: return workspace.database.unscoped.shops.all()",
        "  lib/background_jobs/invoice.py:7 (job invoice): workspace.database.unscoped",
        "  lib/services/figures.py:2 (service figures): return getattr(workspace, 'unscoped')",
    ]


def test_a_broken_file_hides_no_place_from_check(pinstripe, root: Path) -> None:
    write_jobs(root, invoice=job("workspace.database.unscoped"), broken="def run(:\n    database.unscoped\n")
    write_tenants(root, "def tenants(:\n")

    checked = pinstripe("--project", str(root), "check")

    assert checked.exit_code == 1
    assert [line.strip().partition(" ")[0] for line in checked.stdout.splitlines() if ".py:" in line] == [
        "lib/background_jobs/broken.py:1:",
        "lib/tenants.py:1:",
        "lib/background_jobs/invoice.py:7",
    ]


def test_check_says_nothing_of_it_in_a_project_without_tenants(pinstripe, root: Path) -> None:
    write_jobs(root, sweep=job("workspace.database.unscoped", "timeout=60"))

    assert "unscoped" not in pinstripe("--project", str(root), "check").stdout


def test_check_says_where_each_run_would_list_all_tenants(pinstripe, root: Path) -> None:
    write_jobs(root, invoice=job("return 1", "multi_tenant=True, timeout=60"))
    told = "lib/tenants.py has no tenant(workspace, id)"

    write_tenants(root)
    without = pinstripe("--project", str(root), "check")
    write_tenants(root, "def tenants(workspace):\n    yield from ()\n\ndef tenant(workspace, id):\n    return None\n")
    with_it = pinstripe("--project", str(root), "check")

    assert (without.exit_code, told in without.stdout, told in with_it.stdout) == (0, True, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["invoice", "--tenant", "acne"], "there is no tenant 'acne': `pinstripe tenants` lists them"),
        (["--all", "--tenant", "acne"], "there is no tenant 'acne'"),
        (["sweep", "--tenant", "acme"], "the job 'sweep' has no tenants: leave --tenant out"),
    ],
)
def test_nobody_is_paused_that_is_no_tenant(pinstripe, root: Path, arguments: list[str], told: str) -> None:
    write_tenants(root)
    write_jobs(root, invoice=job("return 1", "'0 9 * * *', multi_tenant=True"), sweep=job())

    refused = pinstripe("--project", str(root), "pause", *arguments)

    assert refused.exit_code != 0
    assert told in refused.stderr
    assert not (root / ".pinstripe/ledger.db").exists()


def test_one_is_paused_also_where_the_tenants_cannot_be_read(pinstripe, root: Path) -> None:
    write_tenants(root, "def tenants(workspace):\n    raise ConnectionError('no answer')\n")
    write_jobs(root, invoice=job("return 1", "'0 9 * * *', multi_tenant=True"))

    paused = pinstripe("--project", str(root), "pause", "invoice", "--tenant", "acme")

    assert paused.exit_code == 0, paused.stderr
    assert "invoice is paused for the tenant acme" in paused.stdout


@pytest.mark.parametrize("command", ["pause", "resume", "run-background-job", "explain", "backfill"])
def test_an_empty_id_is_nobodys_and_does_not_mean_everybody(pinstripe, root: Path, command: str) -> None:
    write_tenants(root)
    write_jobs(root, invoice=job("return 1", "'0 9 * * *', multi_tenant=True"))
    spans = {"explain": ["2026-01-01 09:00"], "backfill": ["--from", "2026-01-01", "--to", "2026-01-03"]}
    pinstripe("--project", str(root), "pause", "invoice")

    refused = pinstripe("--project", str(root), command, "invoice", *spans.get(command, []), "--tenant", "")
    resumed = pinstripe("--project", str(root), "resume", "invoice")

    assert refused.exit_code == 2
    assert "'' is not the id of a tenant: give 1 to 200 characters" in refused.stderr
    assert "invoice is resumed" in resumed.stdout


BROKEN_TENANTS = "def tenants(workspace):\n    yield from ()\n    raise {error}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["tenants"],
        ["run-background-job", "invoice"],
        ["run-background-job", "invoice", "--tenant", "acme"],
        ["backfill", "invoice", "--from", "2026-03-28T00:00", "--to", "2026-03-28T00:05"],
    ],
)
@pytest.mark.parametrize("error", ["RuntimeError('no answer')", "SystemExit('no answer')"])
def test_tenants_that_cannot_be_listed_are_told_in_one_sentence(
    pinstripe, root: Path, arguments: list[str], error: str
) -> None:
    write_tenants(root, BROKEN_TENANTS.format(error=error))
    write_jobs(root, invoice=job("return None", "'* * * * *', multi_tenant=True"))

    refused = pinstripe("--project", str(root), *arguments)

    told = f"{error.partition('(')[0]}: no answer (lib/tenants.py:3 in tenants)"
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1] == f"pinstripe: the tenants cannot be listed: {told}"
    assert refused.stdout == ""
    assert isinstance(refused.exception, SystemExit)


@pytest.mark.parametrize(
    ("tenants", "options", "told"),
    [
        (TENANTS, ", tenants_filter=lambda tenants: None", "tenants_filter returned None, and no tenants"),
        ("def tenants(workspace):\n    return 5", "", "lib/tenants.py: tenants returned 5, and no tenants"),
    ],
)
def test_the_function_that_returns_no_tenants_is_named(
    pinstripe, root: Path, tenants: str, options: str, told: str
) -> None:
    write_tenants(root, tenants)
    write_jobs(root, invoice=job("return None", f"multi_tenant=True{options}"))

    refused = pinstripe("--project", str(root), "run-background-job", "invoice")

    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1] == f"pinstripe: {told}: let it return or yield them"
