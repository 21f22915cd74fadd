"""Tensors that are staged are stored as they were when they were given, in their order.

There is no GPU here: torch's part of the work is done by a stand-in (card.py).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, OptionError, SpikeIndices, StreamTypeError
from recorder.integrations.staged import Staged
from tests.apart import run_apart
from tests.integrations.card import Card


def test_tensors_on_a_card_are_stored_as_they_were(exporter: DataExporter, card: Card) -> None:
    with Staged(exporter, steps=4) as staged:
        for number in range(2):
            staged.start_episode()
            v, x = card.tensor(np.zeros(6)), np.zeros(2)
            for t in range(20):
                card.set(v, t + 100 * number)
                x[:] = t
                row: dict[str, Any] = {"neural_state": {"v": v}, "behavior": {"x": x}, "spikes": x > 10}
                if t % 5 == 0:
                    row |= {"event_type": "fifth", "data": {"x": x}}
                staged.log(t, **row)
                x[:] = -1  # what is on the host may be changed at once, too
                assert staged.pending == min(t + 1, 4)
                assert card.waited == 20 * number + max(0, t - 3)
            staged.end_episode(success=True)
    assert card.pinned == 5  # one a slot, used again
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        for number in range(2):
            episode = experiment.get_episode(number)
            states, behavior = episode.get_neural_states(), episode.get_behavior()
            assert states["timesteps"].tolist() == behavior["timesteps"].tolist() == list(range(20))
            assert states["v"].dtype == np.float32
            assert (states["v"] == np.arange(20)[:, None] + 100 * number).all()
            assert (behavior["x"] == np.arange(20)[:, None]).all()
            assert [x[0] for x in episode.get_events("fifth")["x"]] == [0, 5, 10, 15]
            assert set(episode.get_spikes()["timesteps"].tolist()) == set(range(11, 20))


def test_memory_of_another_shape_is_made_anew(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter, steps=1)
    for size in (3, 4):
        staged.start_episode()
        for _ in range(5):
            staged.log(0, behavior={"x": card.tensor(np.full(size, 2.0))}, reward=card.tensor(1.5))
        staged.end_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        for number, size in enumerate((3, 4)):
            assert (experiment.get_episode(number).get_behavior()["x"] == np.full((5, size), 2.0)).all()
            assert (experiment.get_episode(number).get_rewards()["rewards"] == 1.5).all()


def test_a_refused_value_is_named_with_its_timestep(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter, steps=2)
    staged.start_episode()
    staged.log(0, behavior={"x": card.tensor([1.0])})
    staged.log(1, behavior={"x": card.tensor([1.0, 2.0])})
    with pytest.raises(InputError, match="behavior/x at timestep 1"):
        staged.flush()
    with pytest.raises(OptionError, match="steps"):
        Staged(exporter, steps=0)


def test_indices_and_weights_on_a_card_are_taken(exporter: DataExporter, card: Card) -> None:
    ids, weight = card.tensor([1, 2], np.int64), card.tensor(0.25)
    with Staged(exporter, steps=2) as staged:
        staged.start_episode()
        for t in range(4):
            staged.log(t, synapse_id=(0, 1), old_weight=0.5, new_weight=weight)
            staged.log(t, spikes=SpikeIndices(ids, n_neurons=5))
            staged.log(t, event_type="seen", data={"weight": weight})
        assert staged.pending == 2
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_spikes()["neuron_ids"].tolist() == [1, 2] * 4
        assert episode.get_weight_changes()["new_weights"].tolist() == [0.25] * 4
        assert [float(w) for w in episode.get_events("seen")["weight"]] == [0.25] * 4


def test_what_cannot_be_staged_is_refused_with_its_timestep(exporter: DataExporter, card: Card) -> None:
    staged = Staged(exporter)
    staged.start_episode()
    odd = card.tensor(["text"], object)
    with pytest.raises(StreamTypeError, match="neural_states/v at timestep 7"):
        staged.log(7, neural_state={"v": odd})
    staged.log(8, behavior={"x": card.tensor([1.0])})
    with pytest.raises(StreamTypeError, match="behavior/x at timestep 9"):
        staged.log(9, behavior={"x": (i for i in range(3))})
    with pytest.raises(InputError, match=r"data/x at timestep 9: expected what can be copied"):
        staged.log(9, event_type="odd", data={"x": memoryview(b"ab")})
    staged.log(9, behavior={"bytes": memoryview(b"ab"), "list": [1.0, 2.0]})
    staged.end_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        behavior = experiment.get_episode(0).get_behavior()
    assert behavior["bytes"].tolist() == [[97, 98]]
    assert behavior["list"].tolist() == [[1.0, 2.0]]


def test_what_sampling_leaves_out_is_not_copied(tmp_path: Path, card: Card) -> None:
    rates = {"v": 50, "u": 1}
    exporter = DataExporter("sampled", str(tmp_path), neural_sampling_rate=rates, ring_bytes=1 << 20)
    with Staged(exporter, steps=4) as staged:
        staged.start_episode()
        v, copied = card.tensor([0.0]), []
        for t in [*range(200), 10, 250]:
            card.set(v, t)
            before = len(card.queue)
            staged.log(t, neural_state={"v": v, "u": v} if t % 7 == 0 else {"v": v})
            copied += [t] * (len(card.queue) - before)
        staged.end_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        states = experiment.get_episode(0).get_neural_states()
    times = [t for t in [*range(200), 10, 250] if t % 7 == 0]
    assert states["v"].ravel().tolist() == states["v_timesteps"].tolist() == [0, 50, 100, 150, 250]
    assert states["u"].ravel().tolist() == states["u_timesteps"].tolist() == times
    assert len(copied) - len(times) < 40  # of 202


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_jax_arrays(tmp_path: Path) -> None:
    run_apart(__name__, "jax_arrays", tmp_path)


def jax_arrays(folder: str) -> None:
    """Arrays that a step takes away from whoever logged them."""
    jax = import_module("jax")
    exporter = DataExporter("jax", folder, neural_sampling_rate=1)
    step = jax.jit(lambda v: v * 0.5 + 1, donate_argnums=0)
    with Staged(exporter, steps=3) as staged:
        staged.start_episode()
        v, kept = jax.numpy.arange(4.0), []
        for t in range(12):
            kept.append(np.array(v))
            staged.log(t, neural_state={"v": v}, reward=v[0])
            gone, v = v, step(v)  # takes the array that was given away
        with pytest.raises(StreamTypeError, match=r"neural_states/v at timestep 12: .* deleted"):
            staged.log(12, neural_state={"v": gone})
        staged.end_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert (episode.get_neural_states()["v"] == np.stack(kept)).all()
        assert (episode.get_rewards()["rewards"] == np.stack(kept)[:, 0]).all()


def test_what_is_on_the_host_passes_at_once(exporter: DataExporter) -> None:
    torch = pytest.importorskip("torch")
    staged = Staged(exporter)
    staged.start_episode()
    weight = torch.nn.Parameter(torch.ones(3))
    for t in range(5):
        staged.log(t, neural_state={"w": weight * t}, behavior={"x": float(t)})
        assert staged.pending == 0
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert (experiment.get_episode(0).get_neural_states()["w"] == np.arange(5.0)[:, None]).all()
