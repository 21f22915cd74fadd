"""What stands above the plots, and what a user writes into the fields."""

from __future__ import annotations

from html import escape

from loaders.dashboard.view import Seen
from loaders.live.status import LiveStatus

_COLORS = {
    "running": "#2e7d32",
    "completed": "#1565c0",
    "recovered": "#8e5a00",
    "interrupted": "#8e5a00",
    "killed": "#c62828",
}
_MEANINGS = {
    "interrupted": "an exception ended it; everything that was logged is here",
    "recovered": "its program was killed; everything that was logged is here",
    "killed": "its program is gone",
}
MOST_NEURONS = 8


def facts(seen: Seen, *, following: bool) -> str:
    """A line or two of HTML: state, steps, rate, episode, lag, sizes, and what is wrong."""
    parts = [] if seen.status is None else [_line(seen.status, following=following)]
    if seen.problem:
        parts.append(f'<div role="alert" style="color:#c62828">{escape(seen.problem)}</div>')
    elif not seen.entries:
        parts.append("<div>no recordings here yet</div>")
    return "".join(parts)


def neurons_of(text: str, count: int | None) -> tuple[int, ...]:
    """Neurons as a user writes them, ``"0-2, 17"``, at most as many as are drawn; others are left out."""
    found: list[int] = []
    for part in text.replace(";", ",").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            continue
        low = int(first)
        found += range(low, min(int(last) if dash else low, low + MOST_NEURONS) + 1)
    known = [number for number in dict.fromkeys(found) if count is None or number < count]
    return tuple(known[:MOST_NEURONS])


def written(start: int, stop: int) -> tuple[int, int]:
    """A window of at least one timestep."""
    return start, max(start + 1, stop)


def _line(status: LiveStatus, *, following: bool) -> str:
    color = _COLORS.get(status.state, "#555555")
    state = escape(status.state or "unknown")
    style = f"background:{color};color:white;border-radius:4px;padding:1px 8px"
    badge = f'<span class="state" style="{style}">{state}</span>'
    texts = [f"<b>{escape(status.name)}</b>", badge]
    texts.append(f"{status.steps:,} steps")
    if status.rate is not None:
        texts.append(f"{status.rate:,.0f} a second")
    texts.append(f"{status.episodes:,} episode{'' if status.episodes == 1 else 's'}")
    if status.alive:
        texts.append(
            f"process {status.pid} on {escape(str(status.host))} since {status.since:%Y-%m-%d %H:%M:%S}"
        )
        lag = "" if status.lag is None else f", {status.lag:.2g} s"
        texts.append(f"{status.lag_steps:,} steps not in the file yet{lag}")
    else:
        meaning = _MEANINGS.get(status.state)
        texts += [meaning] if meaning else []
        texts.append(f"last changed {status.since:%Y-%m-%d %H:%M:%S}")
    texts.append(f"{status.file_bytes / 1e6:,.1f} MB")
    if status.alive and not following:
        texts.append("paused: it is recorded all the same")
    return " · ".join(texts)
