"""The reasons of the ledger, as a person reads them."""

from __future__ import annotations

from typing import Final

from pinstripe_bot.occurrence import Reason

REASON_WORDS: Final = {
    Reason.OVERLAP: "the run before it was still waiting or running",
    Reason.SAME_INSTANT: "another schedule of the job ran it at the same instant",
    Reason.COALESCED: "a newer instant took its place",
    Reason.TOO_LATE: "it was too late to run it",
    Reason.SHUTDOWN: "its bot had to stop",
    Reason.BOT_DIED: "its bot died",
    Reason.JOB_REMOVED: "the job is no longer in the project",
    Reason.PAUSED: "the job was paused",
    Reason.BOT_DOWN: "no bot was running",
    Reason.CLOCK_JUMP: "the clock jumped ahead",
    Reason.EDITED: "its schedule was edited before a bot decided it",
    Reason.REMOVED: "its schedule was removed before a bot decided it",
    Reason.NOT_LISTED: "the job's tenants could not be listed",
    Reason.SKIP_ASKED: "somebody asked to skip it",
    Reason.TIMEOUT: "it took longer than its timeout",
    Reason.CANCELLED: "somebody told it to end",
}
"""Each finishes a sentence that ends in "because"."""


def tenant_reason_in_words(reason: Reason | None) -> str:
    """The same, for the run of one tenant."""
    return "the tenant was paused" if reason is Reason.PAUSED else reason_in_words(reason)


def reason_in_words(reason: Reason | None, *, is_for_tenants: bool = False) -> str:
    """What finishes "because"; empty where there is no reason.

    An instant that is for tenants, and not the run of one of them, is compared by its listing.
    """
    if is_for_tenants and reason is Reason.OVERLAP:
        return "the tenants of an instant before it were still to be listed"
    return "" if reason is None else REASON_WORDS[reason]
