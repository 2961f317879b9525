"""The homes of tenants: in which zone each of a project's tenants lives, as all of them say it now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import CannotListTenants, PinstripeError
from pinstripe_bot.failure import describe_error
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule, in_zones
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.tenants import groups_of, home_of
from pinstripe_bot.workspace import Workspace


class TenantHomes:
    """Asks tenants where they live, and notes in the ledger who has moved.

    `workspace` gives one without a run, for reading tenants in.
    """

    def __init__(self, project: Project, ledger: Ledger, clock: Clock, workspace: Callable[[], Workspace]) -> None:
        self._project = project
        self._ledger = ledger
        self._clock = clock
        self.workspace = workspace

    def of(self, tenants: Iterable[Tenant]) -> dict[str, str]:
        """{tenant: its zone}; the project's where a tenant has none that is known."""
        return {tenant.key: home_of(tenant, self._project.config.timezone) for tenant in tenants}

    def read_zones(self) -> dict[str, int | None]:
        """Ask all tenants where they live, note who has moved, and return the zones in use.

        {zone: the second after which the first of those lived there that have moved lately, or None}.
        """
        tenants = self._project.tenants
        if tenants is None:
            return {}
        lived_in: set[str] = set()
        with self.workspace() as workspace, contextlib.closing(tenants.each(workspace)) as each:
            for group in groups_of(each):
                homes = self.of(group)
                lived_in.update(homes.values())
                self._ledger.fan_out.note_homes(homes, self._clock.now())
        return dict.fromkeys(lived_in) | self._ledger.fan_out.zones_of_movers(self._clock.now())

    def in_zones(self, declared: Sequence[Schedule]) -> list[Schedule]:
        """These schedules as they are planned: those that are due where each tenant lives once for each zone in use."""
        in_use = self.read_zones() if any(one.in_tenant_zone for one in declared) else {}
        return in_zones(declared, lambda _: in_use)


@contextlib.contextmanager
def told_where_it_fails(project: Project) -> Iterator[None]:
    """Raise CannotListTenants, which says where, for whatever the project's own code raises while it gives tenants."""
    try:
        yield
    except PinstripeError:
        raise
    except (Exception, SystemExit) as error:
        failed = describe_error(error, project.root)
        raise CannotListTenants(
            f"the tenants cannot be listed: {failed.type}: {failed.message} ({failed.place})"
        ) from error
