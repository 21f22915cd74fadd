"""What is captured is what plain logging of those steps stores, and the episode says so."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader, LiveExperiment
from recorder import (
    ClosedError,
    DataExporter,
    InputError,
    NoEpisodeError,
    OptionError,
    RowTooLargeError,
    SpikeIndices,
    StandardDataExporter,
    StreamTypeError,
)
from recorder import repair as flightrec_repair
from recorder.integrations.stepping import record_steps
from recorder.integrations.triggered import Triggered
from tests.killed import as_killed

ROOT = Path(__file__).parents[2]
OPTIONS: dict[str, Any] = {"neural_sampling_rate": 1, "ring_bytes": 4 << 20}


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("captured", str(tmp_path), **OPTIONS) as exporter:
        yield exporter


def random_row(rng: np.random.Generator, step: int, *, indices: bool) -> dict[str, Any]:
    """Arguments of a call of log(), most of them there."""
    row: dict[str, Any] = {"timestep": 3 * step, "behavior": {"x": float(rng.normal())}}
    if rng.random() < 0.9:
        row["neural_state"] = {"v": rng.normal(size=7), "n": int(rng.integers(99))}
    if rng.random() < 0.8:
        fired = rng.random(7) < 0.3
        row["spikes"] = SpikeIndices(np.flatnonzero(fired), n_neurons=7) if indices else fired * 0.5
    if rng.random() < 0.7:
        row["behavior"] |= {"on": bool(rng.random() < 0.5), "l": [step, 2]}
    if rng.random() < 0.5:
        row["reward"] = float(rng.normal())
    if rng.random() < 0.1:
        row |= {"event_type": "seen", "data": {"at": rng.normal(size=2)}}
    if rng.random() < 0.1:
        row |= {"synapse_id": (1, step), "old_weight": 0.0, "new_weight": 1.0}
    return row


def captured_by(fires: list[bool], before: int, after: int) -> list[int]:
    """Which steps belong to a capture, said in the simplest way there is."""
    wanted = set()
    for step, fired in enumerate(fires):
        if fired:
            wanted |= set(range(max(0, step - before + 1), min(len(fires), step + after + 1)))
    return sorted(wanted)


def contents(episode: Any) -> dict[str, Any]:
    events = {kind: table for kind, table in episode.get_events().items() if "capture" not in kind}
    return {
        "states": episode.get_neural_states(),
        "behavior": episode.get_behavior(),
        "rewards": episode.get_rewards(),
        "spikes": episode.get_spikes(),
        "weights": episode.get_weight_changes(),
        "events": events,
        "n": episode.n_neurons,
        "total": episode.get_metadata()["total_timesteps"],
    }


MODES: list[dict[str, Any]] = [
    {},
    {"async_write": True},
    {"enable_swmr": True, "flush_interval": 1e-3},
    {"durability": "fsync", "flush_interval": 1e-3},
    {"compression": None, "async_write": True, "ring_bytes": 1 << 20},
]


@pytest.mark.parametrize("seed", range(15))
def test_a_capture_equals_plain_logging_of_its_steps(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = int(rng.integers(1, 12)), int(rng.integers(0, 12))
    plain = StandardDataExporter("plain", str(tmp_path), neural_sampling_rate=1)
    triggered = DataExporter("triggered", str(tmp_path), **(OPTIONS | MODES[seed % len(MODES)]))
    with plain, triggered:
        capture = Triggered(
            triggered, before, after, lambda behavior, **_: bool(behavior) and behavior["x"] > 1.8
        )
        for _ in range(2):
            plain.start_episode()
            capture.start_episode()
            rows = [random_row(rng, step, indices=seed % 2 == 0) for step in range(120)]
            asked = rng.random(120) < 0.01
            fires = [
                bool(a) or r.get("behavior", {}).get("x", 0) > 1.8 for a, r in zip(asked, rows, strict=True)
            ]
            for row, ask in zip(rows, asked, strict=True):
                capture.log(**row)
                if ask:
                    capture.trigger("asked")
            for step in captured_by(fires, before, after):
                plain.log(**rows[step])
            plain.end_episode()
            capture.end_episode()
    with ExperimentLoader(plain.output_dir) as theirs, ExperimentLoader(triggered.output_dir) as ours:
        for number in range(2):
            np.testing.assert_equal(contents(ours.get_episode(number)), contents(theirs.get_episode(number)))


def test_the_episode_says_what_was_captured_and_why(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=3, after=2, predicate=lambda reward, **_: reward == 7.0)
    capture.start_episode()
    for step in range(40):
        capture.log(step, reward=float(step))
        if step == 20:
            capture.trigger("by hand")
            assert capture.capturing
        if step == 21:
            capture.trigger()  # goes on until 23
        if step == 38:
            capture.trigger("late")
    assert capture.capturing
    capture.end_episode(success=True, summary={"a": 1})
    assert not capture.capturing
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_rewards()["timesteps"].tolist() == [*range(5, 10), *range(18, 24), *range(36, 40)]
        events = episode.get_events()
        assert experiment.get_episode_summary(0)["a"] == 1
    assert events["capture_armed"]["timesteps"].tolist() == [0]
    assert events["capture_armed"]["before"][0] == 3
    assert events["capture"]["timesteps"].tolist() == [7, 20, 38]
    assert list(events["capture"]["reason"]) == ["predicate", "by hand", "late"]
    assert list(events["capture"]["first"]) == [5, 18, 36]
    assert list(events["capture"]["steps"]) == [3, 3, 3]
    assert events["capture_end"]["timesteps"].tolist() == [9, 23, 39]
    assert list(events["capture_end"]["steps"]) == [5, 6, 4]


def test_an_episode_in_which_nothing_fires_has_no_steps(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=5, after=5)
    with pytest.raises(NoEpisodeError):
        capture.log(0, reward=1.0)
    with pytest.raises(NoEpisodeError):
        capture.trigger()
    for _ in range(2):
        capture.start_episode()
        for step in range(3):
            capture.log(step, reward=1.0)
        capture.end_episode()
    exporter.start_episode()
    capture.trigger("first")  # nothing is kept of the episodes before
    capture.log(50, reward=2.0)
    exporter.close()
    with pytest.raises(ClosedError):
        capture.log(51, reward=2.0)
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert [len(experiment.get_episode(n).get_rewards()) for n in range(2)] == [0, 0]
        assert list(experiment.get_episode(1).get_events()) == ["capture_armed"]
        assert experiment.get_episode(2).get_rewards()["timesteps"].tolist() == [50]


def test_a_long_wait_goes_round_the_ring_and_stores_nothing(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=10, after=3)
    capture.start_episode()
    v = np.empty(1000)
    for step in range(3000):
        v[:] = step  # what was given may be changed at once
        capture.log(step, neural_state={"v": v}, spikes=v % 2 > 0)
        if step == 2500:
            exporter.flush()
            assert exporter.current_episode.timestep_count == 0
            capture.trigger()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        v = experiment.get_episode(0).get_neural_states()
    assert (v["v"] == v["timesteps"][:, None]).all()
    assert v["timesteps"].tolist() == list(range(2491, 2504))


def test_what_a_recording_refuses_is_refused_when_it_comes(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=2, after=0)
    capture.start_episode()
    with pytest.raises(StreamTypeError):
        capture.log(0, behavior={"x": 1.0, "y": "text"})
    capture.log(0, behavior={"x": 1})  # the refused row fixed no type
    for wrong in (
        {"behavior": {"x": 1.5}},
        {"behavior": [1]},
        {"reward": "much"},
        {"event_type": "a list", "data": [1]},
        {"rewards": 1.0},
        {"timestep": 0.5},
    ):
        with pytest.raises(InputError):
            capture.log(**{"timestep": 1, **wrong})
    capture.log(2, behavior={"x": 2})
    capture.trigger()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_behavior()["x"].tolist() == [1, 2]


def test_what_a_recording_refuses_for_what_came_before_is_too(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=3, after=0)
    capture.start_episode()
    capture.log(0, reward=1.0, synapse_id=1, old_weight=0.0, new_weight=1.0)
    with pytest.raises(InputError, match="weight_changes"):
        capture.log(1, reward=1.0, synapse_id=1, old_weight=0.0, new_weight=1.0, eligibility=0.5)
    capture.log(2, reward=1.0)
    capture.trigger()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_rewards()["timesteps"].tolist() == [0, 2]
        assert len(experiment.get_episode(0).get_weight_changes()["timesteps"]) == 1


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_end_of_a_program_fires(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), DataExporter("ended", str(tmp_path), **OPTIONS) as exporter:
        capture = Triggered(exporter, before=5, after=100)
        capture.start_episode()
        for step in range(50):
            capture.log(step, reward=float(step))
        raise failure
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_rewards()["timesteps"].tolist() == [45, 46, 47, 48, 49]
        assert list(episode.get_events()["capture"]["reason"]) == [failure.__name__]
        assert episode.get_metadata()["status"] == "interrupted"


@pytest.mark.parametrize("trigger", [None, 60, 99])
def test_a_killed_process_leaves_the_last_steps(tmp_path: Path, trigger: int | None) -> None:
    code = textwrap.dedent(f"""
        import os, signal, sys
        from recorder import DataExporter, SpikeIndices
        from recorder.integrations.triggered import Triggered

        exporter = DataExporter("killed", sys.argv[1], neural_sampling_rate=1, ring_bytes=2 << 20)
        capture = Triggered(exporter, before=20, after=10)
        capture.start_episode()
        for step in range(100):
            spikes = SpikeIndices([step % 7], n_neurons=500)
            event = {{"event_type": "seen", "data": {{"at": step}}}} if step % 3 == 0 else {{}}
            capture.log(step, {{"v": [step * 1.0] * 500}}, spikes, **event)
            if step == {trigger}:
                capture.trigger()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (folder,) = tmp_path.iterdir()
    captured = [] if trigger is None else list(range(trigger - 19, min(trigger + 11, 100)))
    wanted = sorted({*captured, *(range(80, 100) if trigger != 99 else [])})
    report = flightrec_repair(folder / "experiment_data.h5")
    assert report.status == "recovered"
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        states = episode.get_neural_states()
        assert states["timesteps"].tolist() == wanted
        assert (states["v"] == states["timesteps"][:, None]).all()
        assert episode.get_metadata()["total_timesteps"] == len(wanted)
        spikes = episode.get_spikes()
        assert spikes["timesteps"].tolist() == wanted
        assert spikes["neuron_ids"].tolist() == [step % 7 for step in wanted]
        seen = episode.get_events()["seen"]
        assert seen["timesteps"].tolist() == [step for step in wanted if step % 3 == 0]
        assert list(seen["at"]) == seen["timesteps"].tolist()


def test_too_small_a_ring_is_said_at_the_first_step(tmp_path: Path) -> None:
    with DataExporter("small", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        capture = Triggered(exporter, before=1000, after=0)
        capture.start_episode()
        with pytest.raises(RowTooLargeError, match="ring_bytes=") as told:
            capture.log(0, neural_state={"v": np.zeros(1000)})
    enough = int(re.search(r"ring_bytes=(\d+)", str(told.value))[1])
    with DataExporter("enough", str(tmp_path), neural_sampling_rate=1, ring_bytes=enough) as exporter:
        capture = Triggered(exporter, before=1000, after=0)
        capture.start_episode()
        for step in range(5000):
            capture.log(step, neural_state={"v": np.full(1000, float(step))})
        capture.trigger()
    with ExperimentLoader(exporter.output_dir) as experiment:
        times = experiment.get_episode(0).get_neural_states()["timesteps"]
    assert times.tolist() == list(range(4000, 5000))


def test_who_watches_sees_what_is_captured_and_what_comes_after(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=4, after=2)
    capture.start_episode()
    with LiveExperiment(exporter.output_dir) as live:
        for step in range(200):
            capture.log(step, reward=float(step))
        assert not len(live.rewards().timesteps)
        capture.trigger()
        for step in range(200, 300):
            capture.log(step, reward=float(step))
        live.experiment.refresh()
        assert live.rewards().timesteps.tolist() == list(range(196, 202))
        capture.end_episode()
        capture.start_episode()
        capture.trigger()
        capture.log(7, reward=1.0)
        live.experiment.refresh()
        assert live.rewards().timesteps.tolist() == [7]


def test_whatever_is_logged_meanwhile_is_kept_and_the_rest_is_stored_at_once(tmp_path: Path) -> None:
    with DataExporter("mixed", str(tmp_path), **OPTIONS) as exporter:
        capture = Triggered(exporter, before=30, after=0)
        episode = capture.start_episode()
        for step in range(300):
            capture.log(step, reward=1.0, **({"behavior": {"late": step}} if step > 285 else {}))
            if step == 100:
                exporter.save_checkpoint("middle", {"w": np.arange(3)})
                episode.log_static_data("static", {"a": 1})
            if step in (200, 290):
                episode.log_event("seen", step, {"at": step})
        exporter.log_batch(np.arange(300, 310), reward=np.full(10, 2.0))
        capture.log(310, reward=3.0)
        capture.trigger()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_rewards()["timesteps"].tolist() == list(range(281, 311))
        assert episode.get_rewards()["rewards"].tolist() == [1.0] * 19 + [2.0] * 10 + [3.0]
        assert episode.get_behavior()["late"].tolist() == list(range(286, 300))
        assert episode.get_events()["seen"]["timesteps"].tolist() == [290]
        assert len(experiment.get_all_checkpoints()) == 1


def test_a_killed_recording_is_resumed_with_what_was_kept(tmp_path: Path) -> None:
    with DataExporter("former", str(tmp_path), **OPTIONS) as exporter:
        capture = Triggered(exporter, before=5, after=0)
        capture.start_episode()
        for step in range(50):
            capture.log(step, reward=float(step))
        killed = as_killed(exporter, tmp_path / "killed")
    with DataExporter.resume(killed) as exporter:
        capture = Triggered(exporter, before=2, after=0)
        capture.start_episode()
        for step in range(10):
            capture.log(step, reward=float(step))
        capture.trigger()
    with ExperimentLoader(killed) as experiment:
        rewards = [experiment.get_episode(n).get_rewards()["timesteps"].tolist() for n in range(2)]
    assert rewards == [[45, 46, 47, 48, 49], [8, 9]]


def test_options_that_cannot_be_are_refused(tmp_path: Path, exporter: DataExporter) -> None:
    for wrong in ({"before": 0}, {"before": 2.0}, {"after": -1}, {"after": None}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            Triggered(exporter, **{"before": 1, "after": 1, **wrong})
    with (
        DataExporter("sampled", str(tmp_path), ring_bytes=1 << 20) as sampled,
        pytest.raises(OptionError, match="neural_sampling_rate=1, and not 100"),
    ):
        Triggered(sampled, 1, 1)
    with (
        StandardDataExporter("plain", str(tmp_path), neural_sampling_rate=1) as plain,
        pytest.raises(OptionError, match="ring"),
    ):
        Triggered(plain, 1, 1)  # type: ignore[arg-type]


def test_what_the_predicate_raises_passes_and_the_step_is_kept(exporter: DataExporter) -> None:
    def predicate(reward: float, **_: Any) -> bool:
        return 1 / reward > 5

    capture = Triggered(exporter, before=5, after=0, predicate=predicate)
    capture.start_episode()
    with pytest.raises(ZeroDivisionError):
        capture.log(0, reward=0.0)
    capture.log(1, reward=0.1)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_rewards()["timesteps"].tolist() == [0, 1]


def test_other_integrations_log_into_it(exporter: DataExporter) -> None:
    capture = Triggered(exporter, before=2, after=1, predicate=lambda reward, **_: reward > 8)
    step = record_steps(capture)(lambda x: {"reward": x})
    capture.start_episode()
    for x in (1.0, 2.0, 9.0, 3.0, 4.0):
        step(x)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_rewards()["rewards"].tolist() == [2.0, 9.0, 3.0]


def test_captures_without_a_pause_find_room_wherever_the_ring_stands(tmp_path: Path) -> None:
    with DataExporter("often", str(tmp_path), neural_sampling_rate=1, ring_bytes=2 << 20) as exporter:
        capture = Triggered(exporter, before=20, after=0)
        for _ in range(20):
            capture.start_episode()
            for step in range(60):
                spikes = SpikeIndices([step % 50], n_neurons=50) if step % 3 else None
                event = {"event_type": "seen", "data": {"at": step}} if step % 7 == 0 else {}
                capture.log(step, {"v": np.zeros(20)}, spikes, {"x": step}, **event)
                if step % 5 == 0:
                    capture.trigger()
            capture.end_episode()
    with ExperimentLoader(exporter.output_dir) as experiment:
        for number in range(20):
            assert experiment.get_episode(number).get_behavior()["x"].tolist() == list(range(56))
