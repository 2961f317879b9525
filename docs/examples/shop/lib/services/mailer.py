"""The mailer: jobs reach it as `self.mailer`. Each run has its own, made when it is first asked for."""

import asyncio


class Mailer:
    def __init__(self, sender, logger):
        self.sender = sender
        self.logger = logger

    async def send(self, to, text):
        await asyncio.sleep(0.1)  # a real one would talk to a mail server
        self.logger.info("letter_sent", sender=self.sender, to=to, text=text)


def create(workspace):
    return Mailer(workspace.config.app["sender"], workspace.logger)
