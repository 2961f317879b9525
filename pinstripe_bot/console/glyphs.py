"""A shape for each state, small enough to stand before a word."""

from __future__ import annotations

from typing import Final

from pinstripe_bot.console.svg import escape

_DISC: Final = '<circle cx="8" cy="8" r="7"/>'
_RING: Final = '<circle class="h" cx="8" cy="8" r="6"/>'
_CORE: Final = '<circle cx="8" cy="8" r="2.2"/>'
_BROKEN_DISC: Final = '<path d="M6.6 1.2A7 7 0 0 0 5 14.3L7.2 9 5 7.5zM9.4 14.8A7 7 0 0 0 11 1.7L8.8 7 11 8.5z"/>'
_TWO_BARS: Final = "".join(f'<rect x="{x}" y="2" width="4" height="12" rx="1"/>' for x in ("2.5", "9.5"))

_SHAPES: Final = {
    "succeeded": _DISC + '<path class="k" d="M4.8 8.3 7 10.5l4.2-4.8"/>',
    "failed": '<rect x="1" y="1" width="14" height="14" rx="2.5"/><path class="k" d="m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6"/>',
    "timed_out": '<path d="M2.5.8h11v2.4L9.4 8l4.1 4.8v2.4h-11v-2.4L6.6 8 2.5 3.2z"/>',
    "interrupted": _BROKEN_DISC,
    "running": f'<g class="spin"><path class="h" d="M8 1.8A6.2 6.2 0 1 1 1.8 8"/></g>{_CORE}',
    "queued": f'<circle class="h" cx="8" cy="8" r="6.2"/>{_CORE}',
    "skipped": _RING + '<path class="h" d="M5.5 8h5"/>',
    "missed": '<path class="h" d="M8 1.4 14.6 8 8 14.6 1.4 8z"/>',
    "cancelled": _DISC + '<path class="k" d="M4.8 8h6.4"/>',
    "late": '<circle class="h" cx="8" cy="8" r="6.2"/><path class="h" d="M8 4.6V8l2.4 1.6"/>',
    "paused": _TWO_BARS,
    "broken": '<path d="M8 .8 15.6 14.6H.4z"/><path class="k" d="M8 6v3.6M8 12.2v.1"/>',
}


def state_words(state: str) -> str:
    """A state as a sentence says it: `timed out`."""
    return state.replace("_", " ")


def glyph(state: str, label: str | None = None) -> str:
    """The shape of a state, named by `label` or by the state; hidden where the word stands beside it: `label=""`."""
    spoken = state_words(state) if label is None else label
    named = f'role="img" aria-label="{escape(spoken)}"' if spoken else 'aria-hidden="true"'
    shape = _SHAPES.get(state, _DISC)  # a state of a later version is drawn, without a shape of its own
    return f'<svg class="g g-{escape(state)}" viewBox="0 0 16 16" {named}>{shape}</svg>'
