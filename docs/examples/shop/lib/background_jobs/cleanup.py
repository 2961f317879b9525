from datetime import timedelta

from pinstripe_bot import BackgroundJob


class Cleanup(BackgroundJob):
    """Deletes the sessions that nobody has used for a minute."""

    @classmethod
    def meta(cls):
        cls.schedule("* * * * *")

    def run(self):
        a_minute_ago = self.due_at - timedelta(minutes=1)
        deleted = self.database.sessions.where(last_accessed_at_lt=a_minute_ago).delete()
        self.logger.info("sessions_deleted", sessions=deleted)
