"""login-address and hash-password."""

from __future__ import annotations

import sys

import click

from pinstripe_bot.cli.invocation import Invocation, project_command
from pinstripe_bot.cli.tables import print_json
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.config import Config, load_config
from pinstripe_bot.errors import InvalidConfig
from pinstripe_bot.ledger_place import FOLDER
from pinstripe_bot.login_addresses import VALID_FOR, LoginAddresses, ServerNote, login_url, server_url
from pinstripe_bot.passwords import hash_password as hash_of


@project_command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def login_address(invocation: Invocation, as_json: bool) -> None:
    """Print an address that logs in to the console once.

    It is valid for 10 minutes, for the server of this project on this machine.
    """
    root = invocation.root()
    config = load_config(root).config
    folder = root / FOLDER
    server = ServerNote(folder).read() or server_url(config.server.addresses, is_protected=config.console.is_protected)
    clock = SystemClock()
    url = login_url(server, LoginAddresses(folder, clock).issue())
    if as_json:
        print_json({"address": url, "expires_at": clock.now() + VALID_FOR, "others": _other_ways(config)})
        return
    click.echo(url)
    click.echo("It logs in once, within 10 minutes.", err=True)
    if server.endswith(":0"):
        click.echo("server.host takes any free port: put the one of the server's start line in place of 0.", err=True)
    if ways := _other_ways(config):
        click.echo(f"Set as well, and always valid: {', '.join(ways)}.", err=True)


def _other_ways(config: Config) -> list[str]:
    """The settings that let people in without such an address."""
    console = config.console
    ways = {"password_hash": console.password_hash, "token": console.token, "proxy_header": console.proxy_header}
    return [f"console.{name}" for name, value in ways.items() if value]


@project_command()
def hash_password(_invocation: Invocation) -> None:
    """Print the hash of a password for the console.

    Asks for it twice on a terminal, and shows nothing of it; else reads one line of stdin.
    """
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise InvalidConfig("an empty password would let everybody in: give one, on the first line of stdin")
    click.echo(hash_of(password))
