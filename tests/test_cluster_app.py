from __future__ import annotations

import asyncio
from collections.abc import Callable

from bots import job

from pinstripe_bot.bot import Bot
from pinstripe_bot.cluster_app import connected_app
from pinstripe_bot.ledger_postgres import CLUSTER_SCHEMA, FROZEN_S, PostgresStore

MakeBot = Callable[..., Bot]

SETTINGS = """
    SELECT current_schema() AS schema, current_setting('idle_in_transaction_session_timeout') AS frozen,
           current_setting('synchronous_commit') AS waits
"""


def test_a_worker_that_stands_still_while_it_fetches_is_ended_by_the_server(make_carrying: MakeBot) -> None:
    bot = make_carrying(sweep=job())
    assert isinstance(bot.ledger.store, PostgresStore)

    told = asyncio.run(asked(bot.ledger.store))

    assert told == {"schema": CLUSTER_SCHEMA, "frozen": f"{FROZEN_S}s", "waits": "off"}


async def asked(store: PostgresStore) -> dict[str, object]:
    """How the sessions are in which carriers are fetched."""
    async with connected_app(store, lambda: True) as app:
        return await app.connector.execute_query_one_async(SETTINGS)
