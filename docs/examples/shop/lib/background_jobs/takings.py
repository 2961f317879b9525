from datetime import timedelta

from pinstripe_bot import BackgroundJob


class NoGoal(Exception):
    """Nobody has said what a shop is to take in a day."""


class Takings(BackgroundJob):
    """Holds what each shop took in the last day against its goal: a run for every shop, and one of them fails."""

    multi_tenant = True

    @classmethod
    def meta(cls):
        cls.schedule("30 * * * * *")

    def run(self):
        if self.tenant.goal_cents is None:
            raise NoGoal(f"the shop in {self.tenant.name} has no goal: fill in goal_cents")
        a_day_ago = self.due_at - timedelta(days=1)
        orders = self.database.orders.where(ordered_at_ge=a_day_ago)  # of this shop alone: nobody has to filter
        percent = 100 * sum(order.cents for order in orders) // self.tenant.goal_cents
        self.logger.info("goal_compared", shop=self.tenant.name, percent=percent)
