"""Everything that the public readers say about a recording: digests of values, or the error they raised."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from loaders import ExperimentLoader, quick_load
from recorder.errors import FlightrecError
from recorder.h5.summary import summarize
from recorder.h5.verify import verify

Answers = dict[str, tuple[str, str]]
"""By call: ``("value", digest)``, ``("error", message)`` for errors we stand for, ``("fault", traceback)``.

``("hungry", message)`` is an error after an attempt to allocate what there is no memory for.
"""

NO_MEMORY = "not enough memory"

_EPISODE = (
    "status", "streams", "n_neurons", "get_metadata", "get_neural_states", "get_behavior", "get_spikes",
    "get_spikes_as_events", "get_spike_raster", "get_spike_matrix", "spike_timesteps", "get_rewards",
    "get_reward_runs", "get_weight_changes", "get_weight_matrix", "get_events", "iter_events",
    "list_static_data", "get_final_state", "__repr__",
)  # fmt: skip
_LOADER = (
    "attributes", "status", "get_metadata", "get_config", "get_runtime_info", "get_git_info",
    "get_code_snapshot", "get_network_structure", "get_initial_weights", "get_all_summaries",
    "get_all_checkpoints",
)  # fmt: skip
_STREAM = ("dtype", "shape", "timesteps", "read", "__len__")


def probe(path: Path) -> Answers:
    """Call every public reading method, and verify."""
    answers: Answers = {}

    def ask(name: str, call: Callable[[], Any]) -> Any:
        try:
            value = call()
            answers[name] = ("value", digest(value))
        except (FlightrecError, OSError) as error:
            text = str(error)
            kind = "error" if text.strip() and NO_MEMORY not in text else "hungry"
            answers[name] = (kind, f"{type(error).__name__}: {text}")
        except Exception:
            answers[name] = _fault()
        else:
            return value
        return None

    ask("verify", lambda: sorted(map(str, verify(path))))
    ask("summarize", lambda: summarize(path).status)
    loader = ask("open", lambda: ExperimentLoader(path))
    if loader is not None:
        with loader:
            _ask_loader(loader, ask)
    ask("quick_load", lambda: quick_load(path, _first(path)))
    return answers


def _first(path: Path) -> int:
    with ExperimentLoader(path) as loader:
        return min(loader.list_episodes(), default=0)


def _ask_loader(loader: Any, ask: Callable[[str, Callable[[], Any]], Any]) -> None:
    def member(thing: Any, name: str, *arguments: Any) -> Any:
        found = getattr(thing, name)
        found = found(*arguments) if callable(found) else found
        return list(found) if name == "iter_events" else found

    for name in _LOADER:
        ask(name, lambda name=name: member(loader, name))
    ask("episodes", lambda: list(loader.episodes))
    ask("str", lambda: str(loader) and None)  # the path in it differs
    ask("repr", lambda: repr(loader) and None)
    for number in ask("list_episodes", loader.list_episodes) or ():
        ask(f"{number}/summary", lambda number=number: loader.get_episode_summary(number))
        episode = ask(f"{number}", lambda number=number: loader.get_episode(number))
        if episode is None:
            continue
        for name in _EPISODE:
            ask(f"{number}/{name}", lambda name=name, episode=episode: member(episode, name))
        ask(f"{number}/some spikes", lambda episode=episode: episode.get_spikes(3, 9, neurons=[0]))
        for name in ask(f"{number}/list_static_data", episode.list_static_data) or ():
            ask(f"{number}/{name}", lambda name=name, episode=episode: episode.get_static_data(name))
        for name in ask(f"{number}/streams", lambda episode=episode: episode.streams) or ():
            stream = ask(f"{number}/{name}", lambda name=name, episode=episode: episode.stream(name))
            for part in _STREAM if stream is not None else ():
                ask(f"{number}/{name}.{part}", lambda part=part, stream=stream: member(stream, part))


def digest(value: Any) -> str:
    """Equal for values that are equal in type and every bit."""
    state = hashlib.blake2b(digest_size=12)
    _feed(state, value)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    state.update(type(value).__name__.encode())
    if isinstance(value, Mapping):
        for key in value:
            _feed(state, key)
            _feed(state, value[key])
    elif isinstance(value, list | tuple):
        state.update(str(len(value)).encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        state.update(f"{value.dtype}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.ndarray):
        _feed(state, [value.shape, value.tolist()])
    elif hasattr(value, "tocoo"):
        whole = value.tocoo()
        _feed(state, [whole.shape, whole.row, whole.col, whole.data])
    elif isinstance(value, set | frozenset):
        _feed(state, sorted(map(repr, value)))
    elif not hasattr(value, "_recording"):  # handles say where their file is
        state.update(repr(value).encode("utf-8", "surrogatepass"))


def _fault() -> tuple[str, str]:
    return "fault", traceback.format_exc()
