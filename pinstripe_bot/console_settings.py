"""The settings of the web console: who may use it, and under which names it is reached."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

import msgspec

from pinstripe_bot.passwords import check_hash
from pinstripe_bot.settings import setting

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE | re.ASCII)


def check_hosts(hosts: tuple[str, ...]) -> None:
    """Raise ValueError for what is no host name and no IP address."""
    for host in hosts:
        if not _HOST_NAME.fullmatch(host.removesuffix(".")) and not _is_address(host):
            raise ValueError(f'{host!r} is no name of a host: write "console.example.com", without http:// and port')


def networks_of(addresses: tuple[str, ...]) -> tuple[Network, ...]:
    """Read ("10.0.0.7", "10.1.0.0/16"). Raises ValueError, with the one that is neither address nor network."""
    networks = []
    for address in addresses:
        try:
            networks.append(ipaddress.ip_network(address))
        except ValueError as error:
            raise ValueError(
                f'{address!r} is no IP address and no network ({error}): write "10.0.0.7" or "10.1.0.0/16"'
            ) from error
    return tuple(networks)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class ConsoleConfig(msgspec.Struct, frozen=True):
    """Who may use the web console. With none of these it is open on this machine only, by a one-time address."""

    password_hash: Annotated[str | None, setting("what `pinstripe hash-password` prints", check=check_hash)] = None
    token: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^[!-~]{16,200}$")] | None,
        setting("a random text of 16 to 200 letters, digits and signs without blanks"),
    ] = None
    hosts: Annotated[
        tuple[str, ...], setting('a list of names such as ["console.example.com"]', check=check_hosts)
    ] = ()
    proxy_header: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,100}$")] | None,
        setting('the name of a header such as "X-Forwarded-User"'),
    ] = None
    proxy_addresses: Annotated[
        tuple[str, ...], setting('a list of addresses and networks such as ["10.0.0.7"]', check=networks_of)
    ] = ()
    read_only: Annotated[bool, setting("true or false")] = False

    @property
    def is_protected(self) -> bool:
        """Whether people can be told apart from strangers on an address that is not this machine's own."""
        return bool(self.password_hash or self.token or self.proxy_header)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """`proxy_addresses`, read."""
        return networks_of(self.proxy_addresses)


def contradiction(console: ConsoleConfig) -> str | None:
    """What is wrong with the settings together; None where nothing is."""
    if console.proxy_header and not console.proxy_addresses:
        return (
            f"console.proxy_header = {console.proxy_header!r} without console.proxy_addresses would let anybody name"
            " anybody: write the addresses of the proxy that sets it"
        )
    return None
