"""A recording at a glance, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loaders.accounts import account_line
from loaders.summary import align
from recorder.errors import ReadError
from recorder.format.layout import (
    CHECKPOINTS,
    EPISODE_GROUPS,
    EVENTS,
    NETWORK,
    REWARDS,
    SPIKES,
    WEIGHT_CHANGES,
    WEIGHTS,
)
from recorder.format.printable import printable
from recorder.h5.source import attributes, child_group, names

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

_EPISODES = 20
_WIDTH = 100
_TOTALS = ("timesteps", "spikes", "reward", "weight_changes", "events")
_COLUMNS = ["    id", "status", "success", "steps", "spikes", "reward", "weight changes", "events"]


def describe(loader: ExperimentLoader) -> str:
    """What is inside: name, status, when, size, config, network, episodes and their streams.

    Reads attributes and shapes only, so it takes no longer for a long recording. What is damaged is
    named in its place instead of raised, so that one can look into a broken file.

    Raises
    ------
    ClosedError
        The loader is closed.
    """
    return loader._recording.steady(lambda: _described(loader))


def _described(loader: ExperimentLoader) -> str:
    facts = loader.attributes
    lines = [printable(f"{facts.get('experiment_name', loader.h5_path.stem)}  ({loader._shown})")]
    lines += align([[f"  {name}", text] for name, text in _facts(loader, facts) if text])
    ids = loader.list_episodes()
    lines.append(f"  {len(ids):,} episode{'' if len(ids) == 1 else 's'}" + (":" if ids else ""))
    shown = ids if len(ids) <= _EPISODES else [*ids[: _EPISODES // 2], *ids[-_EPISODES // 2 :]]
    rows, found = [], _Streams()
    for episode_id in shown:
        try:
            rows.append(_episode(loader.get_episode(episode_id), found))
        except ReadError as error:
            rows.append([f"    {episode_id}", f"damaged: {error}"[:_WIDTH], *[""] * (len(_COLUMNS) - 2)])
    if rows:
        table = align([_COLUMNS, *rows])
        if len(shown) < len(ids):
            table.insert(1 + _EPISODES // 2, f"    … {len(ids) - len(shown):,} more …")
        lines += table
    if found.rows:
        lines.append("  streams" + (" of these episodes:" if len(shown) < len(ids) else ":"))
        lines += found.lines(len(shown))
    return "\n".join(lines)


def _facts(loader: ExperimentLoader, facts: dict[str, Any]) -> list[tuple[str, str]]:
    kind = f"{facts['format']} {facts.get('format_version')}" if "format" in facts else "original system"
    compression = facts.get("compression")
    return [
        ("format", ", ".join([kind, *([f"{facts['exporter']} exporter"] if "exporter" in facts else [])])),
        ("status", str(facts.get("status", ""))),
        ("steps", account_line(facts)),
        ("recorded", _when(facts.get("start_time"), facts.get("end_time"))),
        ("resumed", _safely(lambda: _resumed(loader))),
        ("size", f"{_bytes(loader.h5_path.stat().st_size)}, compression {compression or 'unknown'}"),
        ("sampling", _sampling(facts.get("neural_sampling_rate"))),
        ("config", _safely(lambda: _listed(loader.get_config()))),
        ("network", _safely(lambda: _network(loader, facts))),
        ("checkpoints", _safely(lambda: _listed(_names(loader, CHECKPOINTS)))),
    ]


def _resumed(loader: ExperimentLoader) -> str:
    times = [str(entry["time"])[:19].replace("T", " ") for entry in loader.get_resumptions()]
    return _listed(times)


def _when(start: Any, end: Any) -> str:
    """Start and duration, in seconds until an hour; what is no time as it stands."""
    try:
        begin = datetime.fromisoformat(str(start))
        lasted = (datetime.fromisoformat(str(end)) - begin).total_seconds()
    except (ValueError, TypeError):
        return " to ".join(str(time) for time in (start, end) if time is not None)
    took = f"{lasted:.1f} s" if lasted < 600 else f"{lasted / 60:.0f} min" if lasted < 36_000 else ""
    return f"{begin:%Y-%m-%d %H:%M:%S}, " + (f"took {took}" if took else f"took {lasted / 3600:.0f} h")


def _sampling(rate: Any) -> str:
    """How often rows of neural state were kept."""
    if isinstance(rate, Mapping):
        return "neural states: " + _listed(f"{key} every {n} timesteps" for key, n in rate.items())
    if rate is None:
        return ""
    return "neural states every timestep" if rate == 1 else f"neural states every {rate} timesteps"


def _episode(episode: EpisodeData, found: _Streams) -> list[str]:
    facts = episode.get_metadata()
    found.add(episode)
    success = facts.get("success")
    return [
        f"    {episode.episode_id}",
        str(facts.get("status", "")),
        "" if success is None or facts.get("status") == "running" else "yes" if success else "no",
        *(_number(facts.get(f"total_{what}")) for what in _TOTALS),
    ]


class _Streams:
    """What the streams of several episodes have in common: a line each."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[int | None]] = {}

    def add(self, episode: EpisodeData) -> None:
        """Take note of the streams of an episode."""
        stored = episode._stored()
        for name in episode.streams:
            stream = episode.stream(name)
            rows, *rest = stream.shape
            form = " × ".join(f"{n:,}" for n in rest)
            self._add(name, f"{form and f'× {form} '}{stream.dtype}", rows)
        if stored.keys(SPIKES):
            self._add(SPIKES, f"of {_number(episode.n_neurons)} neurons", None)
        for group in (REWARDS, WEIGHT_CHANGES):
            if stored.keys(group):
                self._add(group, "", None)
        if stored.keys(EVENTS) or stored.groups(EVENTS):
            self._add(EVENTS, "", None)
        for name in episode.list_static_data():
            self._add(name, "static", None)

    def _add(self, name: str, form: str, rows: int | None) -> None:
        self.rows.setdefault((name, form), []).append(rows)

    def lines(self, episodes: int) -> list[str]:
        """The lines, and for a stream that not all of the ``episodes`` have, how many do."""
        cells = []
        order = {group: number for number, group in enumerate(EPISODE_GROUPS)}
        for (name, form), counts in sorted(
            self.rows.items(), key=lambda item: order.get(item[0][0].partition("/")[0], len(order))
        ):
            known = [count for count in counts if count is not None]
            low, high = min(known, default=0), max(known, default=0)
            rows = "" if not known else f"{low:,}" if low == high else f"{low:,}–{high:,}"
            some = "" if len(counts) == episodes else f"in {len(counts)} of {episodes} episodes"
            cells.append([f"    {name}", rows and f"{rows} rows", form, some])
        return align([["", "", "", ""], *cells])[1:]


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _network(loader: ExperimentLoader, facts: dict[str, Any]) -> str:
    network = child_group(loader.h5_file, NETWORK)
    if network is None:
        return ""
    parts = [
        f"{_number(facts[f'n_{what}'])} {what}" for what in ("neurons", "connections") if f"n_{what}" in facts
    ]
    group = child_group(network, WEIGHTS)
    if group is not None:
        weights = attributes(group)
        shape = weights.get("shape", ())
        parts.append(
            f"weights {weights.get('format')}" + (f" {'×'.join(map(str, shape))}" if len(shape) else "")
        )
    groups = (child_group(network, name) for name in names(network))
    saved = any(part is not None and names(part) for part in groups)
    return ", ".join(parts) or ("saved" if saved else "")


def _names(loader: ExperimentLoader, group: str) -> list[str]:
    found = child_group(loader.h5_file, group)
    return [] if found is None else names(found)


def _safely(text: Any) -> str:
    try:
        return str(text())
    except ReadError as error:
        return f"damaged: {error}"[:_WIDTH]


def _listed(names: Iterable[Any]) -> str:
    return _joined([str(name) for name in names])


def _joined(names: list[str]) -> str:
    text = ""
    for number, name in enumerate(names):
        longer = f"{text}, {name}" if text else name
        if len(longer) > _WIDTH and text:
            return f"{text}, … {len(names) - number} more"
        text = longer
    return text


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
