"""What the jobs of the example shop have printed and raised."""

from __future__ import annotations

from pinstripe_bot.occurrence import RunError

_DIM, _GREEN, _RED, _YELLOW, _CYAN, _PINK, _BOLD, _END = (
    f"\x1b[{code}m" for code in ("2", "32", "1;31", "33", "36", "35", "1", "0")
)


def _logged(clock: str, level: str, event: str, **facts: object) -> str:
    colour = {"info": _GREEN, "warn": _YELLOW, "error": "\x1b[41m"}[level]
    told = " ".join(f"{_CYAN}{name}{_END}={_PINK}{value}{_END}" for name, value in facts.items())
    return f"{_DIM}{clock}{_END} {colour}{level:<5}{_END} {_BOLD}{event:<22}{_END} {told}"


def _bar(done: int, total: int) -> str:
    full = round(20 * done / total)
    return f"  {_GREEN}{'█' * full}{_END}{_DIM}{'░' * (20 - full)}{_END} {done:>3}/{total}"


_BEGIN = (
    _logged("02:34:42", "info", "invoices selected", tenant="nordlicht", day="2026-10-21", count=214),
    _logged("02:34:45", "info", "numbers reserved", first="2026-81377", last="2026-81590"),
    f"rendering 214 documents with {_BOLD}zugferd 2.3{_END}",
)

OUTPUT = {
    "failed": "\n".join(
        (
            *_BEGIN,
            _bar(53, 214),
            _bar(118, 214),
            _logged("02:35:43", "warn", "customer has no vat id", customer=10442, sent="as private"),
            _bar(214, 214),
            _logged("02:35:54", "info", "sending", host="mail.nordlicht.example"),
            _logged("02:36:09", "warn", "slow answer", after="14.6 s"),
            _logged("02:36:18", "error", "connection lost", sent=131, left=83),
            f"{_RED}Connection unexpectedly closed{_END} after 131 of 214 invoices",
        )
    ),
    "issue-invoices": "\n".join((*_BEGIN, _bar(214, 214), f"{_GREEN}214 invoices sent{_END}")),
    "purge-old-sessions": "deleted 18 sessions",
    "refresh-exchange-rates": "31 rates of the European Central Bank",
}

FIRST_TRY = "\n".join((*_BEGIN, _logged("02:31:41", "error", "connection lost", sent=0, left=214)))

RUNNING = {
    "reindex-catalogue": "44,120 products\nwriting segment 31 of 44",
    "fetch-carrier-tracking": "460 parcels on their way",
}

TIMED_OUT = "12.4 million orders\nepoch 1 of 3, loss 0.412\nepoch 2 of 3, loss 0.388"

FAILED_INVOICES = "smtplib.SMTPServerDisconnected: Connection unexpectedly closed"

_TRACEBACK = """\
Traceback (most recent call last):
  File "lib/background_jobs/issue_invoices.py", line 25, in run
    self.mailer.send(invoice)
  File "lib/services/mailer.py", line 31, in send
    smtp.send_message(message)
    ~~~~~~~~~~~~~~~~~^^^^^^^^^
  File "/usr/lib/python3.13/smtplib.py", line 986, in send_message
    return self.sendmail(from_addr, to_addrs, flatmsg, mail_options,
                         rcpt_options)
  File "/usr/lib/python3.13/smtplib.py", line 408, in getreply
    raise SMTPServerDisconnected("Connection unexpectedly closed")
smtplib.SMTPServerDisconnected: Connection unexpectedly closed
"""


def error_of(told: str, job: str) -> RunError:
    """An error of a job, as its run keeps it."""
    kind, _, message = told.partition(": ")
    file = f"lib/background_jobs/{job.replace('-', '_')}.py"
    short = f'Traceback (most recent call last):\n  File "{file}", line 19, in run\n    self.work()\n{told}\n'
    traceback = _TRACEBACK if told == FAILED_INVOICES else short
    return RunError(kind.rpartition(".")[2], message, f"{file}:25 in run", traceback)
