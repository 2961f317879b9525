"""Where a request comes from and under which name it came: told by the connection, and by proxies that are believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from pinstripe_bot.console_settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_address(written: str) -> Address | None:
    """An IP address; one of IPv4 inside IPv6 counts as the former."""
    try:
        address = ipaddress.ip_address(written.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def local_address(scope: Scope) -> Address | None:
    """The address of this machine that the connection came to."""
    server = scope.get("server")
    return read_address(str(server[0])) if server else None


def is_local(scope: Scope) -> bool:
    """Whether the connection came to an address that only this machine reaches."""
    address = local_address(scope)
    return address is not None and address.is_loopback


def is_from(scope: Scope, networks: Sequence[Network]) -> bool:
    """Whether the connection itself comes from one of these."""
    client = scope.get("client")
    address = read_address(str(client[0])) if client else None
    return address is not None and _is_in(address, networks)


def client_of(scope: Scope, proxies: Sequence[Network]) -> str:
    """The address that asks: the connection's, or where a known proxy says whom it asks for, that one's."""
    client = scope.get("client")
    peer = str(client[0]) if client else "unknown"
    if not is_from(scope, proxies):
        return peer
    # From the right, where our own proxy has written; what a stranger sent along stands before that.
    hops = [hop for value in Headers(scope=scope).getlist("x-forwarded-for") for hop in value.split(",")]
    for hop in reversed(hops):
        address = read_address(hop)
        if address is None:
            return peer
        if not _is_in(address, proxies):
            return str(address)
    return peer


def is_https(scope: Scope, proxies: Sequence[Network]) -> bool:
    """Whether the browser asked by https."""
    if scope.get("scheme") == "https":
        return True
    return is_from(scope, proxies) and Headers(scope=scope).getlist("x-forwarded-proto") == ["https"]


def host_of(scope: Scope) -> str | None:
    """The name that the browser believes to be at, without port; None unless there is exactly one."""
    written = Headers(scope=scope).getlist("host")
    return _name(written[0]) if len(written) == 1 else None


def is_host_allowed(scope: Scope, hosts: Sequence[str]) -> bool:
    """Whether the request came under a name of ours: a foreign page can only have led it here under one of its own."""
    host = host_of(scope)
    if not host:
        return False
    if host == "localhost" or host in {_canonical(allowed) for allowed in hosts}:
        return True
    address = read_address(host)
    ours = [*map(read_address, ("127.0.0.1", "::1", *hosts)), local_address(scope)]
    return address is not None and address in ours


def is_same_site(scope: Scope) -> bool:
    """Whether a page of ours sent the request: by `Sec-Fetch-Site`, or in older browsers by `Origin`.

    A browser sends neither `Sec-Fetch-Site` to plain http elsewhere; then its `Origin` is compared with `Host`.
    """
    headers = Headers(scope=scope)
    fetched, origins, hosts = (headers.getlist(name) for name in ("sec-fetch-site", "origin", "host"))
    if fetched:
        return fetched == ["same-origin"]
    if len(origins) != 1 or len(hosts) != 1:
        return False
    scheme, _, rest = origins[0].partition("://")
    return scheme in ("http", "https") and rest.lower() == hosts[0].strip().lower()


def _name(written: str) -> str | None:
    """A Host header as a bare name: "Console.Example.:3000" gives "console.example"."""
    try:
        split = urlsplit(f"//{written.strip()}")
        _ = split.port  # raises where it is none
    except ValueError:
        return None
    if split.netloc != written.strip() or "@" in split.netloc or not split.hostname:
        return None
    return _canonical(split.hostname)


def _canonical(host: str) -> str:
    return host.lower().removesuffix(".")


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
