"""Sizes of memory as people write them: "256MB", "1.5GB", 268435456."""

from __future__ import annotations

import re

from pinstripe_bot.errors import InvalidJob

_UNITS = {
    **{"": 1, "B": 1},
    **{"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}
_SIZE = re.compile(rf"(?P<number>[0-9]{{1,15}}(?:\.[0-9]{{1,9}})?)\s*(?P<unit>{'|'.join(_UNITS)})")

_LEAST = 10**6
_MOST = 10**15  # a limit for a process must fit 63 bits


def parse_size(value: object) -> int:
    """Read bytes (268435456, "268435456") or a number with its unit ("256MB", "1.5 GiB") as bytes.

    Raises InvalidJob for anything else, and for less than 1 MB or more than 1000 TB.
    """
    size = _read(value)
    if size is None:
        raise InvalidJob(f'{value!r} is not a size: write bytes, or a number with its unit such as "256MB" or "1.5GiB"')
    if not _LEAST <= size <= _MOST:
        raise InvalidJob(f"{value!r} is not a size that can be kept to: write one from 1MB to 1000TB")
    return int(size)


def format_size(size: int) -> str:
    """Bytes as an author writes them, in the largest unit that tells them in full: "300MB", "512MiB"."""
    unit = max((unit for unit, factor in _UNITS.items() if unit and size % factor == 0), key=_UNITS.__getitem__)
    return f"{size // _UNITS[unit]}{unit}"


def _read(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if value == value else None  # only NaN differs from itself
    size = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(size["number"]) * _UNITS[size["unit"]] if size else None
