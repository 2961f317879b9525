"""Login attempts, limited: five failed ones in a minute from one address, then it has to wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from math import ceil

from pinstripe_bot.clock import Clock

ALLOWED = 5

WINDOW_S = 60.0

REMEMBERED = 1000
"""How many addresses are remembered; beyond that the one that has tried least lately is forgotten."""


class Attempts:
    """Counts each attempt when it begins: a hundred at the same time are a hundred, not one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, address: str) -> int:
        """Seconds that this address has to wait; 0 where it may try now, which counts as failed until `succeed`."""
        now_s = self._clock.monotonic()
        begun = self._begun.setdefault(_block(address), deque(maxlen=ALLOWED))
        self._begun.move_to_end(_block(address))
        while begun and now_s - begun[0] >= WINDOW_S:
            begun.popleft()
        if len(begun) == ALLOWED:
            return max(1, ceil(begun[0] + WINDOW_S - now_s))
        begun.append(now_s)
        if len(self._begun) > REMEMBERED:
            self._begun.popitem(last=False)
        return 0

    def succeed(self, address: str) -> None:
        """Forget the failures of whoever has logged in."""
        self._begun.pop(_block(address), None)


def _block(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, all of which one machine may have."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return str(read) if read.version == 4 else str(ipaddress.ip_network((int(read), 64), strict=False))
