"""A cluster of three bots and three workers, hurt at random: every instant is decided once, nothing lost or doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bots import write_tenants
from chaos import Site, embedded_postgres, job_file
from click.testing import CliRunner
from fleet import Fleet, Misfortunes, fleet_of
from judge import finished_twice, judge
from processes import soaking

from pinstripe_bot.cli import main

SECONDS = soaking(30.0, 600.0)
LEASE_S = 2.0
OF_EACH = 3
SETTINGS = f'dispatcher = "cluster"\nworkers = 4\nledger.lease = "{LEASE_S:.0f}s"\nlogs.level = "debug"'
MISTAKES = ("tick_failed", "poll_failed", "report_failed", "worker_failed", "schedule_quarantined", "Task exception")
"""What nobody may have to say."""
TOLD = ("carriers_mended", "cluster_lost", "bot_presumed_dead", "outcome_refused", "ledger_lost", "fork_server_died")

JOBS = {
    "short": job_file('overlap="allow"', "pass"),
    "elsewhere": job_file('overlap="allow", queue="mail"', "time.sleep(random.uniform(0, 0.2))"),
    "slow": job_file("", "time.sleep(random.uniform(0.3, 1.2))"),
    "long": job_file("", "time.sleep(random.uniform(3, 7))"),  # its worker may lose its connection meanwhile
    "in_turn": job_file('overlap="queue"', "time.sleep(random.uniform(0.3, 1.2))"),
    "catching_up": job_file('catch_up="all", queue="mail"', "time.sleep(0.02)"),
    "tried_again": job_file('on_interrupt="retry"', "time.sleep(random.uniform(0.3, 1.2))"),
    "tried_again_at_once": job_file('on_interrupt="retry", overlap="allow"', "await asyncio.sleep(random.random())"),
    "failing": job_file('retries=2, backoff=("100ms", "300ms")', 'assert random.random() > 0.5, "on purpose"'),
    "apart": job_file('isolation="process", overlap="allow"', "time.sleep(random.uniform(0, 0.5))"),
    "apart_and_tried_again": job_file(
        'isolation="process", on_interrupt="retry", retries=3, backoff="100ms"', "time.sleep(random.uniform(0, 0.8))"
    ),
    "for_tenants": job_file('multi_tenant=True, tenant_concurrency=2, on_interrupt="retry"', "time.sleep(0.05)"),
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A cluster's project, and its database, which may be hurt."""
    with embedded_postgres() as url:
        write_tenants(tmp_path)
        site = Site(tmp_path, JOBS, url, SETTINGS)
        done = CliRunner().invoke(main, ["init-cluster", "--project", str(tmp_path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        yield site, url


def let_it_end(site: Site, fleet: Fleet) -> None:
    """Bring everybody back, see that all goes on, and let what is open come to its end."""
    site.wait_for_ledger()
    fleet.wait_until_started()
    try:
        site.come_to_rest()
    except AssertionError as error:
        error.add_note(f"carriers: {carriers(site)}; of these workers: {heard(site)}")
        raise
    site.wait_until_buried(but=len(fleet.members))


def carriers(site: Site) -> list[tuple[object, ...]]:
    jobs = "SELECT id, queue_name, status, args, attempts, worker_id FROM pinstripe_cluster.procrastinate_jobs"
    return site.rows(f"{jobs} ORDER BY id LIMIT 100")


def heard(site: Site) -> list[tuple[object, ...]]:
    """(number, seconds since it was last heard) of each worker, as Procrastinate knows them."""
    ago = "extract(epoch FROM clock_timestamp() - last_heartbeat)"
    return site.rows(f"SELECT id, {ago} FROM pinstripe_cluster.procrastinate_workers ORDER BY id")


def without_a_run_each(site: Site) -> list[tuple[object, ...]]:
    """The occurrences of which a tenant has no run, or two."""
    runs = "SELECT occurrence_id, array_agg(tenant ORDER BY tenant) FROM runs WHERE job = 'for_tenants' GROUP BY 1"
    return site.rows(f"SELECT * FROM ({runs}) AS runs (occurrence, tenants) WHERE tenants <> '{{acme,beta,coro}}'")


@pytest.mark.timeout(soaking(180, 900))
def test_a_cluster_that_is_hurt_at_random_loses_nothing_doubles_nothing_and_decides_every_instant_once(
    tmp_path: Path, site: tuple[Site, str]
) -> None:
    place, url = site
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    with fleet_of(tmp_path, of_each=OF_EACH) as fleet:
        misfortunes = Misfortunes(fleet, url, random.Random(seed), lease_s=LEASE_S)
        fleet.wait_until_started()
        misfortunes.befall(SECONDS)
        let_it_end(place, fleet)

        codes = fleet.stop()

        said = fleet.grep(*TOLD, *MISTAKES)
        hit = ", ".join(f"{count} {what}" for what, count in sorted(misfortunes.counts.items()))
        told = f"seed {seed}: {hit} in {SECONDS:.0f} s; {finished_twice(place)} double finishes; logs: {dict(said)}"
        print(told)
        assert set(codes.values()) == {0}, f"{told}; exit codes {codes}"
    print(judge(place, told))
    assert not without_a_run_each(place), told
    assert not any(said[mistake] for mistake in MISTAKES), told
