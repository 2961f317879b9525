"""A job's error, as the ledger and the log tell it: from the author's first frame on."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from traceback import FrameSummary
from types import FrameType, TracebackType

from pinstripe_bot.logs import PRIVATE_MODULE
from pinstripe_bot.occurrence import RunError

_OURS = Path(__file__).parent
_NOT_THE_AUTHORS = (_OURS, Path(os.__file__).parent)
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_ON_THE_WAY = (_OURS, Path(asyncio.__file__).parent)
"""Whose code stands between a worker thread and a job."""


def describe_error(error: BaseException, root: Path) -> RunError:
    """Type, message, place and traceback of `error`, from the first frame of the project's own code on."""
    trace = _author_trace(error.__traceback__, root) or _outer_trace(error.__traceback__) or error.__traceback__
    told = traceback.TracebackException(type(error), error, trace)
    return RunError(
        type=type(error).__name__,
        message=str(told),
        place=_place(trace, root),
        traceback=PRIVATE_MODULE.sub("", "".join(told.format()).rstrip("\n")),
    )


def describe_stack(frame: FrameType | None, root: Path) -> tuple[str, str]:
    """(place, stack) of a thread that is at `frame`, told as the place and the traceback of an error are."""
    frames = [] if frame is None else list(traceback.extract_stack(frame))
    first = _first(frames, lambda each: _is_authors(each.filename, root))
    if first is None:
        first = _first(frames, lambda each: not _is_below(Path(each.filename), *_NOT_THE_AUTHORS))
    told = frames[first or 0 :]
    return _place_in(told, root), PRIVATE_MODULE.sub("", "".join(traceback.format_list(told)).rstrip("\n"))


def _first(frames: list[FrameSummary], is_it: Callable[[FrameSummary], bool]) -> int | None:
    return next((index for index, frame in enumerate(frames) if is_it(frame)), None)


def _author_trace(trace: TracebackType | None, root: Path) -> TracebackType | None:
    while trace is not None and not _is_authors(trace.tb_frame.f_code.co_filename, root):
        trace = trace.tb_next
    return trace


def _outer_trace(trace: TracebackType | None) -> TracebackType | None:
    """Without our own first frames: the author's code may lie outside the project's root."""
    while trace is not None and _is_below(Path(trace.tb_frame.f_code.co_filename), *_ON_THE_WAY):
        trace = trace.tb_next
    return trace


def _is_authors(filename: str, root: Path) -> bool:
    """Whether the file is the project's own, and not of a virtual environment that lies in its folder."""
    path = Path(filename)
    return _is_below(path, root) and not _is_below(path, *_NOT_THE_AUTHORS) and _INSTALLED.isdisjoint(path.parts)


def _is_below(path: Path, *folders: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _place(trace: TracebackType | None, root: Path) -> str:
    return _place_in(list(traceback.extract_tb(trace)), root)


def _place_in(frames: list[FrameSummary], root: Path) -> str:
    """The innermost line in the project's own code: "lib/background_jobs/flaky.py:12 in run"."""
    own = [frame for frame in frames if _is_authors(frame.filename, root)] or frames
    if not own:
        return ""
    path = Path(own[-1].filename)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown}:{own[-1].lineno} in {own[-1].name}"
