"""The scripts that have made the tables of a cluster, noted beside them, so that newer ones are applied once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pinstripe_bot.ledger_postgres import CLUSTER_SCHEMA
from pinstripe_bot.ledger_sql import both, execute, listed, rows_of, to_json, values_of
from pinstripe_bot.ledger_store import LedgerStore

HAS_TABLE = both(f"SELECT to_regclass('{CLUSTER_SCHEMA}.installed') IS NOT NULL")

INSTALLED = both(f"SELECT {{rows}} FROM {CLUSTER_SCHEMA}.installed", rows=listed("script", "version"))

NOTE = both(
    f"INSERT INTO {CLUSTER_SCHEMA}.installed (script, version) SELECT name, :version FROM {{names}} AS given (name)",
    names=values_of("names", "text"),
)

HAS_SCHEMA = both(f"SELECT to_regnamespace('{CLUSTER_SCHEMA}') IS NOT NULL")

MAKE_SCHEMA = f"CREATE SCHEMA {CLUSTER_SCHEMA}"

MAKE_TABLE = f"""
    CREATE TABLE {CLUSTER_SCHEMA}.installed (
        script text PRIMARY KEY, version text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


@dataclass(frozen=True, slots=True)
class Script:
    """SQL of a library, the scripts that it stands for, and the library's version."""

    text: str
    names: tuple[str, ...]
    version: str


def installed(connection: Connection) -> dict[str, str] | None:
    """{script: the version of the library that brought it}; None where there is no cluster."""
    if not execute(connection, HAS_TABLE).scalar_one():
        return None
    return dict(rows_of(connection, INSTALLED))


def run_script(store: LedgerStore, script: Script, *, is_first: bool) -> bool:
    """Run a script in the schema of the cluster, in one transaction, and note that it has run.

    False where somebody else has run it meanwhile: whoever writes looks once more, as the only one. A schema that an
    administrator has made for a user who may make none is used.
    """
    with store.writing() as connection:
        known = installed(connection)
        if known is not None and (is_first or known.keys() >= set(script.names)):
            return False
        if known is None:
            if not execute(connection, HAS_SCHEMA).scalar_one():
                connection.exec_driver_sql(MAKE_SCHEMA)
            connection.exec_driver_sql(MAKE_TABLE, execution_options={"no_parameters": True})
        connection.exec_driver_sql(f"SET LOCAL search_path = {CLUSTER_SCHEMA}")
        connection.exec_driver_sql(script.text, execution_options={"no_parameters": True})
        execute(connection, NOTE, names=to_json(list(script.names)), version=script.version)
        return True
