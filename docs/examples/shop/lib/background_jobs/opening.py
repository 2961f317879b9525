from pinstripe_bot import BackgroundJob


class Opening(BackgroundJob):
    """Mails each shop what was ordered since it opened last, at nine in the morning where that shop is."""

    multi_tenant = True

    @classmethod
    def meta(cls):
        cls.schedule("0 9 * * *", timezone="tenant")

    async def run(self):
        since, until = self.window
        ours = self.database.orders.where(ordered_at_ge=since, ordered_at_lt=until).count()
        # Whoever compares needs the orders of all shops: the word says so, and `pinstripe check` lists where it stands.
        everyone = self.database.unscoped.orders
        theirs = everyone.where(ordered_at_ge=since, ordered_at_lt=until).count()
        await self.mailer.send(
            f"{self.tenant.name.lower()}@shop.example", f"{ours} of the {theirs} new orders are yours"
        )
