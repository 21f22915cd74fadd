"""A recording at a glance, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loaders.summary import align
from recorder.errors import ReadError
from recorder.format.layout import CHECKPOINTS, EVENTS, NETWORK, REWARDS, SPIKES, WEIGHT_CHANGES, WEIGHTS
from recorder.h5.source import attributes, child_group, names

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

_EPISODES = 20
_WIDTH = 100


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
    lines = [f"{facts.get('experiment_name', loader.h5_path.stem)}  ({loader.h5_path})"]
    lines += align([[f"  {name}", text] for name, text in _facts(loader, facts) if text])
    ids = loader.list_episodes()
    lines.append(f"  {len(ids):,} episode{'' if len(ids) == 1 else 's'}" + (":" if ids else ""))
    shown = ids if len(ids) <= _EPISODES else [*ids[: _EPISODES // 2], *ids[-_EPISODES // 2 :]]
    rows = [_episode(loader, episode_id) for episode_id in shown]
    if rows:
        table = align([["    id", "status", "steps", "spikes", "reward", "streams"], *rows])
        if len(shown) < len(ids):
            table.insert(1 + _EPISODES // 2, f"    … {len(ids) - len(shown):,} more …")
        lines += table
    return "\n".join(lines)


def _facts(loader: ExperimentLoader, facts: dict[str, Any]) -> list[tuple[str, str]]:
    kind = f"{facts['format']} {facts.get('format_version')}" if "format" in facts else "original system"
    when = " to ".join(str(facts[name]) for name in ("start_time", "end_time") if name in facts)
    rate, compression = facts.get("neural_sampling_rate"), facts.get("compression")
    return [
        ("format", ", ".join([kind, *([str(facts["exporter"])] if "exporter" in facts else [])])),
        ("status", str(facts.get("status", ""))),
        ("recorded", when),
        ("size", f"{_bytes(loader.h5_path.stat().st_size)}, compression {compression or 'unknown'}"),
        (
            "neural states",
            "" if rate is None else f"sampled every {rate} timesteps" if rate != 1 else "every step",
        ),
        ("config", _safely(lambda: _listed(loader.get_config()))),
        ("network", _safely(lambda: _network(loader, facts))),
        ("checkpoints", _safely(lambda: _listed(_names(loader, CHECKPOINTS)))),
    ]


def _episode(loader: ExperimentLoader, episode_id: int) -> list[str]:
    try:
        episode = loader.get_episode(episode_id)
        facts = episode.get_metadata()
        streams = [_stream(episode.stream(name)) for name in episode.streams]
        stored = episode._stored()
        streams += [group for group in (SPIKES, REWARDS, WEIGHT_CHANGES) if stored.keys(group)]
        streams += [EVENTS] if stored.keys(EVENTS) or stored.groups(EVENTS) else []
        streams += episode.list_static_data()
    except ReadError as error:
        return [f"    {episode_id}", "damaged", "", "", "", str(error)[:_WIDTH]]
    status = str(facts.get("status", ""))
    if status == "completed" and facts.get("success") is not None:
        status += ", success" if facts["success"] else ", no success"
    numbers = [facts.get(f"total_{what}") for what in ("timesteps", "spikes", "reward")]
    return [f"    {episode_id}", status, *map(_number, numbers), _joined(streams)]


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _stream(stream: Any) -> str:
    rows, *rest = stream.shape
    return f"{stream.name} {'×'.join(f'{n:,}' for n in (rows, *rest))} {stream.dtype}"


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
    return ", ".join(parts) or "saved"


def _names(loader: ExperimentLoader, group: str) -> list[str]:
    found = child_group(loader.h5_file, group)
    return [] if found is None else names(found)


def _safely(text: Any) -> str:
    try:
        return str(text())
    except ReadError as error:
        return f"damaged: {error}"[:_WIDTH]


def _listed(names: Any) -> str:
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
