"""Python runs this file before the first job: so the shop has its database, whichever command comes first."""

from shop.database import ensure

ensure()
