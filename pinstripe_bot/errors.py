"""Every error that Pinstripe raises on purpose; each message says what was wrong, with which value, and what to do."""

from __future__ import annotations

from typing import Any


class PinstripeError(Exception):
    """The root of all errors of this package; `exit_code` is what a command ends with."""

    exit_code = 2


class InvalidSchedule(PinstripeError, ValueError):
    """A cron expression, a zone or a schedule's option that cannot be used."""


class InvalidJob(PinstripeError):
    """A job that is written in a way that cannot be run."""


class InvalidParams(PinstripeError, ValueError):
    """Parameters that do not fit the signature of a job's `run`."""


class InvalidConfig(PinstripeError):
    """Settings that are unknown or have a wrong value; the message lists all of them."""


class InvalidProject(PinstripeError):
    """A folder that is no project, or a project that was asked to be whole and is not."""


class BrokenFile(PinstripeError):
    """A file of the project that cannot be imported: `path`, relative to the project, and `line` say where."""

    def __init__(self, path: str, line: int | None, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class UnknownJob(PinstripeError):
    """No job has this name; the message names the close ones."""

    exit_code = 5


class InvalidTenant(PinstripeError, ValueError):
    """A tenant that cannot be told from others, or tenants that cannot be listed as the project says."""


class UnknownTenant(PinstripeError):
    """The project has no tenant of this id."""

    exit_code = 5


class CannotListTenants(PinstripeError):
    """The project's own code failed where its tenants were asked for; the cause is its error."""

    exit_code = 1


class UnknownRun(PinstripeError):
    """The ledger has no run of this number."""

    exit_code = 5


class UnknownService(PinstripeError, AttributeError):
    """A workspace has no such service; the message names the known ones."""


class WorkspaceError(PinstripeError):
    """A workspace was asked for something that it has not, or has no more."""


class DatabaseError(PinstripeError):
    """The project's database was asked for something that it cannot give."""


class UnknownTable(DatabaseError, AttributeError):
    """No table has this name; the message names the close ones. An AttributeError, so that `hasattr` works."""


class UnscopedStatement(DatabaseError, AttributeError):
    """A tenant's workspace was asked for a statement of any kind. An AttributeError, so that `hasattr` works."""


class LedgerError(PinstripeError):
    """The ledger cannot be used: it is foreign, newer, or held in a way that forbids it."""

    exit_code = 4


class LedgerUnavailable(LedgerError):
    """The ledger did not answer; nothing was decided, and the same question may be asked again."""


class LedgerDamaged(LedgerUnavailable):
    """The ledger's file is damaged; the message says how to begin a new one."""


class CannotServe(PinstripeError):
    """The server cannot listen, cannot load the project's application, or cannot keep the console's logins."""

    exit_code = 3


class WouldWait(PinstripeError):
    """A run was asked for in a place where its caller would wait for itself."""


class RunFailed(PinstripeError):
    """A job that another job called did not succeed; `run` is its record, the cause is the job's own error."""

    exit_code = 1

    def __init__(self, message: str, run: Any) -> None:
        super().__init__(message)
        self.run = run


class RunCancelled(BaseException):
    """Raised inside a run that has been told to end; a BaseException, so that `except Exception` lets it through."""
