"""What a statement leaves on its connection, where the next run would find it."""

from __future__ import annotations

import re

_INNOCENT = re.compile(
    r"[\s(]*(?:select|insert|update|delete|with|values|table|merge|replace|truncate|analyze|explain|show|lock|begin"
    r"|savepoint|release|rollback|set\s+(?:local|transaction|constraints)|pragma\s+[\w.\"]*(?:info|list)\b)\b",
    re.IGNORECASE,
)
_BY_THE_WAY = re.compile(
    r"\binto\s+(?:local\s+|global\s+)?(?:temp\b|temporary\b|\"?pg_temp)"
    r"|\b(?:set_config|pg_(?:try_)?advisory_lock(?:_shared)?|dblink_connect\w*|load_extension)\s*\("
    r"|;\s*\S",  # another statement behind it
    re.IGNORECASE,
)


def outlives_transaction(statement: str) -> bool:
    """Whether a statement may leave a setting, a temporary table or a lock on its connection. In doubt it does."""
    return _INNOCENT.match(statement) is None or _BY_THE_WAY.search(statement) is not None
