"""Step functions that a decorator records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, NoEpisodeError, OptionError, UnknownFieldError
from recorder.integrations.stepping import record_steps


class Walk:
    """State that is updated in place."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.v = np.zeros(5)

    def step(self, gain: float = 1.0) -> float:
        self.v += self.rng.normal(size=5) * gain
        return float(self.v.sum())


def test_each_call_is_a_row_of_what_the_callable_picks(exporter: DataExporter) -> None:
    walk, seen = Walk(), []
    step = record_steps(
        exporter, lambda _, walk, gain: {"neural_state": {"v": walk.v}, "behavior": {"gain": gain}}
    )(Walk.step)
    for _ in range(2):
        exporter.start_episode()
        for t in range(30):
            assert step(walk, gain=float(t)) == walk.v.sum()
            seen.append(walk.v.copy())
        exporter.end_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        for number in range(2):
            episode = experiment.get_episode(number)
            states, behavior = episode.get_neural_states(), episode.get_behavior()
            assert (states["v"] == seen[30 * number : 30 * (number + 1)]).all()
            assert states["timesteps"].tolist() == behavior["timesteps"].tolist() == list(range(30))
            assert (behavior["gain"] == np.arange(30.0)).all()


def test_a_result_that_is_a_mapping_is_logged_as_it_is(exporter: DataExporter) -> None:
    @record_steps(exporter)
    def step(t: int) -> dict[str, Any]:
        """Documented."""
        return {"timestep": 10 * t, "reward": t / 2}

    assert (step.__name__, step.__doc__) == ("step", "Documented.")
    exporter.start_episode()
    assert [step(t) for t in range(3)][2] == {"timestep": 20, "reward": 1.0}
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        rewards = experiment.get_episode(0).get_rewards()
    assert rewards["timesteps"].tolist() == [0, 10, 20]
    assert rewards["rewards"].tolist() == [0.0, 0.5, 1.0]


def test_what_is_refused_takes_no_timestep(exporter: DataExporter) -> None:
    step = record_steps(exporter)(lambda row: row)
    with pytest.raises(NoEpisodeError):
        step({"reward": 1.0})
    exporter.start_episode()
    with pytest.raises(InputError, match=r"step: expected a mapping.*got float.*what="):
        step(1.0)
    with pytest.raises(UnknownFieldError):
        step({"rewards": 1.0})
    step({"reward": 1.0})
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_rewards()["timesteps"].tolist() == [0]


def test_an_error_of_the_function_passes_and_nothing_is_logged(exporter: DataExporter) -> None:
    @record_steps(exporter)
    def step(divisor: int) -> dict[str, Any]:
        return {"reward": 1 / divisor}

    handle = exporter.start_episode()
    with pytest.raises(ZeroDivisionError):
        step(0)
    assert handle.timestep_count == 0


def test_functions_that_return_before_they_compute_are_refused(exporter: DataExporter) -> None:
    async def later() -> None: ...

    def many() -> Iterator[int]:
        yield 1

    for function in (later, many):
        with pytest.raises(OptionError, match="plain function"):
            record_steps(exporter)(function)


def test_results_that_are_yet_to_come_are_refused(exporter: DataExporter) -> None:
    async def later() -> None: ...

    async def many_later() -> AsyncIterator[int]:
        yield 1

    class Lazy:
        async def __call__(self) -> None: ...

    with pytest.raises(OptionError, match="plain function"):
        record_steps(exporter)(Lazy())
    handle = exporter.start_episode()
    loop = asyncio.new_event_loop()
    for lazy in (later, many_later, loop.create_future, lambda: (i for i in range(2))):
        step = record_steps(exporter, lambda _: {"reward": 1.0})(lambda lazy=lazy: lazy())
        with pytest.raises(InputError, match="step: expected a result that was computed"):
            step()
    loop.close()
    assert handle.timestep_count == 0


def test_keys_that_are_no_names_of_arguments_are_refused(exporter: DataExporter) -> None:
    step = record_steps(exporter)(lambda row: row)
    exporter.start_episode()
    for row in ({1: 2}, {"self": 2}, {"timestep": 0, None: 1}):
        with pytest.raises(InputError, match=r"step: expected a mapping|self"):
            step(row)
    with pytest.raises(UnknownFieldError):
        step({"rewards": 1.0})


def test_a_type_error_of_the_target_passes_as_it_is() -> None:
    class Broken:
        current_episode = None

        def log(self, *_: Any, **__: Any) -> None:
            raise TypeError("its own")

    with pytest.raises(TypeError, match=r"^its own$") as caught:
        record_steps(Broken())(lambda: {"reward": 1.0})()
    assert caught.value.__cause__ is None
