"""Neo's objects have the recording's values, times and units; Elephant finds the recording's statistics."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from loaders import ExperimentLoader
from recorder import OptionError
from recorder.format.document import loads

neo = pytest.importorskip("neo")
pq = pytest.importorskip("quantities")
DT = 0.0005


def test_signals_come_back_equal(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(1)
    segment = episode.to_neo(dt=DT, units={"neural_states/v": "mV"})
    signals = {signal.name: signal for signal in [*segment.analogsignals, *segment.irregularlysampledsignals]}
    assert set(signals) == {"v", "slow", "x", "image", "rare", "rewards"}
    for name in episode.streams:
        signal, stream = signals[name.partition("/")[2]], episode.stream(name)
        assert_array_equal(signal.magnitude.reshape(stream.shape), stream.read())
        assert signal.dtype == stream.dtype
        assert signal.annotations["row_shape"] == list(stream.shape[1:])
        times = signal.times.rescale("s").magnitude
        assert_array_equal(np.rint(times / DT), stream.timesteps)
        assert_allclose(times, stream.timesteps * DT, rtol=1e-14)
    assert signals["v"].units == pq.mV
    assert isinstance(signals["v"], neo.AnalogSignal)
    assert isinstance(signals["rare"], neo.IrregularlySampledSignal)
    assert_array_equal(signals["rare"].times.magnitude, episode.stream("behavior/rare").timesteps * DT)
    assert_array_equal(signals["rewards"].magnitude[:, 0], episode.get_rewards()["rewards"])


def test_spike_trains_and_events_come_back_equal(experiment: ExperimentLoader) -> None:
    block = experiment.to_neo(dt=DT)
    assert [segment.index for segment in block.segments] == [0, 1, 2]
    assert loads(block.annotations["config"].encode())["layers"] == [1, 2]
    for segment in block.segments:
        episode = experiment.get_episode(segment.index)
        start, stop = episode.span() or (0, 0)
        for neuron, train in enumerate(segment.spiketrains):
            own = episode.get_spikes(neurons=neuron)["timesteps"]
            assert_array_equal(train.times.rescale("s").magnitude, own * DT)
            assert (train.t_start, train.t_stop) == (start * DT * pq.s, stop * DT * pq.s)
            assert train.annotations["neuron_ids"] == 100 + neuron
            assert train.sampling_rate == 1 / DT * pq.Hz
        assert loads(segment.annotations["summary"].encode())["score"] == segment.index / 3
        assert len(segment.spiketrains) == 5
        changes, cue = segment.events
        assert [str(loads(text.encode())) for text in cue.labels] == [
            str(data) for _, _, data in episode.iter_events()
        ]
        weights = episode.get_weight_changes()
        assert_array_equal(changes.array_annotations["new_weights"], weights["new_weights"])
        assert_array_equal(changes.times.magnitude, weights["timesteps"] * DT)


def test_elephant_finds_our_rates_and_intervals(experiment: ExperimentLoader) -> None:
    statistics = pytest.importorskip("elephant.statistics")
    episode = experiment.get_episode(2)
    start, stop = episode.span() or (0, 0)
    trains = episode.to_neo(dt=DT).spiketrains
    counts = np.bincount(episode.get_spikes()["neuron_ids"], minlength=5)
    rates = [statistics.mean_firing_rate(train).rescale("Hz").item() for train in trains]
    assert_allclose(rates, counts / ((stop - start) * DT), rtol=1e-12)
    own = np.diff(episode.get_spikes(neurons=0)["timesteps"])
    assert_array_equal(np.rint(statistics.isi(trains[0]).magnitude / DT), own)
    assert statistics.cv(statistics.isi(trains[0])) == pytest.approx(np.std(own) / np.mean(own))


def test_what_is_missing_is_said(experiment: ExperimentLoader) -> None:
    with pytest.raises(OptionError, match="give dt"):
        experiment.to_neo()
    with pytest.raises(OptionError, match="quantities knows no 'millivolts of mine'"):
        experiment.get_episode(0).to_neo(dt=DT, units={"behavior/x": "millivolts of mine"})
    for unit in ("1/0", "12", "None"):
        with pytest.raises(OptionError, match="quantities"):
            experiment.get_episode(0).to_neo(dt=DT, units={"behavior/x": unit})
    with pytest.raises(KeyError, match="has no 'v'"):
        experiment.to_neo(dt=DT, units={"v": "mV"})
