"""A job's error, as the ledger and the log tell it: from the author's first frame on."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

from pinstripe_bot.occurrence import RunError


def describe_error(error: BaseException, root: Path) -> RunError:
    """Type, message, place and traceback of `error`, from the first frame of the project's own code on."""
    trace = _author_trace(error.__traceback__, root) or error.__traceback__
    lines = traceback.format_exception(type(error), error, trace)
    return RunError(
        type=type(error).__name__,
        message=str(error),
        place=_place(trace, root),
        traceback="".join(lines).rstrip("\n"),
    )


def _author_trace(trace: TracebackType | None, root: Path) -> TracebackType | None:
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(f"{root}{os.sep}"):
        trace = trace.tb_next
    return trace


def _place(trace: TracebackType | None, root: Path) -> str:
    """The innermost line in the project's own code: "lib/background_jobs/flaky.py:12 in run"."""
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root)] or frames
    if not own:
        return ""
    path = Path(own[-1].filename)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown}:{own[-1].lineno} in {own[-1].name}"
