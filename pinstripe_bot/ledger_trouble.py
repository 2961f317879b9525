"""The trouble with the ledger: whether it answers, said once when it is lost and once when it is found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from pinstripe_bot.errors import LedgerUnavailable

log = structlog.get_logger("pinstripe")


class LedgerTrouble:
    """Why the ledger does not answer, by who asked it: the claim, the starts, the outcomes, the heartbeat, the look.

    It is found when all who could not be answered have been: a look that reads says nothing of a disk that is full.
    """

    def __init__(self) -> None:
        self._errors: dict[str, str] = {}
        self._turn = threading.Lock()

    @property
    def error(self) -> str | None:
        """Why, as it was told last; None while all is well. Takes no lock."""
        return next(iter(list(self._errors.values())), None)

    @contextmanager
    def noted(self, asker: str) -> Iterator[None]:
        """What the block has to say: no trouble, or a LedgerUnavailable, which ends here."""
        try:
            yield
        except LedgerUnavailable as error:
            self.note(asker, str(error))
        else:
            self.note(asker, None)

    def note(self, asker: str, error: str | None) -> None:
        """`asker` had this error, or none; from any thread."""
        if error is None and asker not in self._errors:
            return
        with self._turn:
            was_well = not self._errors
            if error is not None:
                self._errors[asker] = error
            else:
                self._errors.pop(asker, None)
            is_well = not self._errors
        if was_well and not is_well:
            log.error("ledger_lost", error=error)
        elif is_well and not was_well:
            log.info("ledger_found")
