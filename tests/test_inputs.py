"""Whatever a user passes is stored exactly as it came, or refused with a typed error before anything is.

One table, ``ROWS``. A row is a list of tries; each is one public call and either the value that must come
back or the error that must be raised. Every row runs against every kind of exporter. Between the tries good
steps are logged, and at the end exactly the good steps and the stored values are in the file.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import EpisodeData, ExperimentLoader
from recorder import DataExporter, FlightrecError, StandardDataExporter, hotpath
from tests.apart import run_apart
from tests.comparing import assert_same
from tests.input_rows import VALUES, Refused, Row, Try
from tests.input_sides import CALLS

ROWS = [*VALUES, *CALLS]
APART = [row for row in ROWS if row.needs == "jax"]
KINDS = ("caller", "thread", "batch", "standard")


def open_exporter(kind: str, folder: Path, **options: Any) -> Any:
    if kind == "standard":
        return StandardDataExporter("run", folder, 1, **options)
    return DataExporter("run", folder, 1, ring_bytes=1 << 20, async_write=kind == "thread", **options)


@dataclass
class Steps:
    """Logs good steps, and knows which there are."""

    exporter: Any
    kind: str
    steps: list[int]

    def good(self) -> None:
        """One more."""
        step = 100 + len(self.steps)
        self.log(step, behavior={"x": float(step)}, reward=float(step))
        self.steps.append(step)

    def log(self, step: int, **given: Any) -> None:
        """By the way of this kind."""
        if self.kind != "batch" or given.keys() - {"neural_state", "spikes", "behavior", "reward"}:
            self.exporter.log(step, **given)
            return
        column = {
            k: {n: twice(v) for n, v in v.items()} if type(v) is dict else twice(v) for k, v in given.items()
        }
        self.exporter.log_batch([step], **column)


def twice(value: Any) -> Any:
    """A value as the column of a batch of one step, without NumPy's help where it would change it."""
    if type(value) is np.ndarray and value.ndim < 64:
        return value[None]
    if hasattr(value, "detach") or type(value).__module__.startswith("jax"):
        return value[None]
    return [value]


WAYS = [("caller", hotpath.COMPILED), *((kind, hotpath.PYTHON) for kind in KINDS)]


@pytest.mark.parametrize(("kind", "path"), WAYS)
@pytest.mark.parametrize("row", [row for row in ROWS if row not in APART], ids=lambda row: row.name)
def test_inputs(tmp_path: Path, row: Row, kind: str, path: str, use_hot_path: Callable[[str], None]) -> None:
    if row.needs:
        pytest.importorskip(row.needs)
    if kind not in row.kinds:
        pytest.skip("no such call")
    use_hot_path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(row, open_exporter(kind, tmp_path, **row.options), kind)


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_inputs_of_jax(tmp_path: Path, each_hot_path: str) -> None:
    run_apart(__name__, "inputs_of_jax", tmp_path, each_hot_path)


def inputs_of_jax(folder: str, path: str) -> None:
    """Every row and way, in a process of its own, whose environment chose the path."""
    warnings.simplefilter("ignore")
    kinds = [kind for kind, taken in WAYS if taken == path]
    for number, (row, kind) in enumerate(product(APART, kinds)):
        if kind in row.kinds:
            print(f"{row.name}, {kind}", file=sys.stderr)
            run(row, open_exporter(kind, Path(folder) / str(number), **row.options), kind)


def run(row: Row, exporter: Any, kind: str) -> None:
    steps = Steps(exporter, kind, [])
    stored: list[tuple[Try, Any]] = []
    exporter.start_episode()
    steps.good()
    for attempt in row.tries(len(steps.steps)):
        value = row.make() if row.make else None
        if isinstance(attempt.expected, Refused):
            with pytest.raises(attempt.expected.kind) as caught:
                attempt.call(steps, value)
            assert isinstance(caught.value, FlightrecError)
            for piece in attempt.expected.pieces:
                assert piece in str(caught.value)
        else:
            attempt.call(steps, value)
            stored.append((attempt, attempt.expected))
            scribble(value)
        if exporter.current_episode is not None and exporter.current_episode.episode_id == 0:
            steps.good()
    exporter.close()
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.status == "completed"
        for attempt, expected in stored:
            found = attempt.read(loader)
            assert_same(found, expected(found) if callable(expected) else expected)
        taken = [attempt for attempt, _ in stored if attempt.step is not None]
        check_steps(loader.get_episode(0), steps.steps, taken)


def check_steps(episode: EpisodeData, good: list[int], taken: list[Try]) -> None:
    """The good steps and those of calls that were taken, and no stream or event of one that was refused."""
    wanted = sorted([*good, *(attempt.step for attempt in taken)])
    x, rewards = episode.stream("behavior/x"), episode.get_rewards()
    assert sorted(x.timesteps.tolist()) == sorted(rewards["timesteps"].tolist()) == wanted
    for times, values in ((x.timesteps, x.read()), (rewards["timesteps"], rewards["rewards"])):
        own = np.isin(times, good)
        assert_same(values[own], np.array(good, float))
        assert_same(times[own], np.array(good))
    streams = {attempt.stream for attempt in taken}
    assert set(episode.streams) == {"behavior/x"} | {name for name in streams if "/" in name}
    assert bool(len(episode.spike_timesteps())) == ("spikes" in streams)
    assert bool(episode.get_weight_changes()) == ("weight_changes" in streams)
    assert bool(list(episode.iter_events())) == ("events" in streams)


def scribble(value: Any) -> None:
    """Arrays are copied at the call: what happens to them later changes nothing."""
    with contextlib.suppress(TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError):
        value[...] = 0
