"""A tenant: one of those whose data a project keeps apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pinstripe_bot.errors import InvalidTenant

TenantId = int | str | UUID

LONGEST_KEY = 200
"""Characters of the longest id: it stands in the ledger, in logs and on the command line."""


def without_scale(value: Any) -> Any:
    """A whole number in a column for others, which gives it as a Decimal, as an int; anything else as it is."""
    is_whole = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    return int(value) if is_whole else value


@dataclass(frozen=True, init=False, slots=True)
class Tenant:
    """One tenant: its id as the project's database has it, a name for people, the zone where it lives.

    What else is known of it are attributes: `Tenant(7, "Acme", plan="gold").plan`. Equal by id.
    """

    id: TenantId
    name: str
    timezone: str | None
    attributes: Mapping[str, Any]

    def __init__(self, id: TenantId, name: str = "", timezone: str | None = None, **attributes: Any) -> None:
        """Raise InvalidTenant for an id that cannot be told from another one's, or that nobody could write."""
        key_of(id)
        for field, value in (("id", id), ("name", name or ""), ("timezone", timezone or None)):
            object.__setattr__(self, field, value)
        object.__setattr__(self, "attributes", MappingProxyType(attributes))

    @property
    def key(self) -> str:
        """Its id as text: in the ledger, in logs and on the command line."""
        return str(self.id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.attributes:
            known = ", ".join(["id", "name", "timezone", *self.attributes])
            raise AttributeError(f"a tenant has no {name!r}: it has {known}")
        return self.attributes[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tenant) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def key_of(id: TenantId) -> str:
    """The id of a tenant as text. Raises InvalidTenant for what cannot be one."""
    if isinstance(id, bool) or not isinstance(id, int | str | UUID):
        raise InvalidTenant(f"{id!r} is not the id of a tenant: give an int, a str or a UUID")
    key = str(id)
    if not key or key != key.strip() or not key.isprintable() or len(key) > LONGEST_KEY:
        raise InvalidTenant(
            f"{key[:LONGEST_KEY]!r} is not the id of a tenant: give 1 to {LONGEST_KEY} characters that can be"
            " printed, without blanks around them"
        )
    return key
