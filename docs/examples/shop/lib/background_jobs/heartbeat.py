from pinstripe_bot import background_job


@background_job("*/5 * * * * *")  # six fields: the first one is the seconds
def heartbeat(workspace):
    """A visitor comes every five seconds, and orders something in one of the shops."""
    user_id = workspace.run_id % workspace.database.users.count() + 1
    shop_id = workspace.run_id % workspace.database.shops.count() + 1
    now = workspace.clock.now()
    with workspace.database.transaction():
        workspace.database.sessions.insert(user_id=user_id, last_accessed_at=now)
        workspace.database.orders.insert(user_id=user_id, shop_id=shop_id, cents=1995, ordered_at=now)
