"""tenants."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import Any

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import print_json, print_table
from pinstripe_bot.config import wants_colors
from pinstripe_bot.errors import InvalidProject
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.project import Project
from pinstripe_bot.scripting import reading_workspace
from pinstripe_bot.tenant import Tenant
from pinstripe_bot.tenant_homes import told_where_it_fails
from pinstripe_bot.workspace import Workspace


@project_command()
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tenants(invocation: Invocation, limit: int, as_json: bool) -> None:
    """List the project's tenants.

    Id, name, and the zone where each lives, from the table that the settings name, or from lib/tenants.py.
    """
    project = invocation.load_project()
    configure_logs(project.config.logs.format, project.config.logs.level, colors=wants_colors())
    with reading_workspace(project) as workspace:
        found = _read(project, workspace, limit + 1)
    shown = found[:limit]
    if as_json:
        print_json([_as_json(tenant) for tenant in shown])
    elif shown:
        own = project.config.timezone
        rows = [[tenant.key, tenant.name, tenant.timezone or f"{own} (the project's)"] for tenant in shown]
        print_table(["id", "name", "timezone"], rows, wraps="name")
    else:
        click.echo("There is no tenant.")
    if len(found) > limit:
        click.echo(f"There are more: --limit N shows more than {limit}.", err=True)


def _read(project: Project, workspace: Workspace, most: int) -> list[Tenant]:
    listed = project.tenants
    if listed is None:
        raise InvalidProject("the project names no tenants: set [tenants] table, or write lib/tenants.py")
    with told_where_it_fails(project), contextlib.closing(listed.each(workspace)) as each:
        return list(islice(each, most))


def _as_json(tenant: Tenant) -> dict[str, Any]:
    return {"id": tenant.key, "name": tenant.name, "timezone": tenant.timezone}
