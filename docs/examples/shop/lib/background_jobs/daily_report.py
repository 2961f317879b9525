from pinstripe_bot import BackgroundJob


class DailyReport(BackgroundJob):
    """Mails what was ordered since the report before."""

    @classmethod
    def meta(cls):
        cls.schedule("0 7 * * *", params={"to": "owner@shop.example"})
        cls.schedule("0 18 * * mon-fri", timezone="America/New_York", params={"to": "partner@shop.example"})

    async def run(self, *, to: str = "owner@shop.example"):
        since, until = self.window
        orders = self.database.orders.where(ordered_at_ge=since, ordered_at_lt=until).all()
        total = sum(order.cents for order in orders) / 100
        await self.mailer.send(to, f"{len(orders)} orders since {since:%d %B, %H:%M}: {total:,.2f} EUR")
