"""Contract of exporters: spikes and rewards."""

import h5py
import numpy as np
import pytest

from recorder.errors import (
    AmbiguousSpikesError,
    InputError,
)
from recorder.spike_input import SpikeIndices
from tests.contracts import reading
from tests.contracts.reading import same


class SpikeContract:
    """Dense spikes and indices, and rewards."""

    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f4", "f8"])
    def test_dense_spikes(self, record, dtype):
        rows = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]).astype(dtype) * 3

        def body(exporter):
            for step, row in enumerate(rows.astype(dtype)):
                exporter.log(step, spikes=row)

        episode = record(body, spike_format="dense")
        assert reading.spikes(episode) == [(0, [1, 3]), (1, []), (2, [0, 1, 2, 3])]
        assert episode["spikes"].attrs["n_neurons"] == 4
        assert episode["spikes"].attrs["dtype"] == np.dtype(dtype).str
        if dtype != "?":
            assert same(reading.amplitudes(episode), np.full(6, 3, dtype))

    def test_spike_indices(self, record):
        def body(exporter):
            exporter.log(0, spikes=SpikeIndices([3, 1], n_neurons=5))
            exporter.log(1, spikes=SpikeIndices([]))
            exporter.log(2, spikes=np.array([4]))
            for wrong in ([5], [-1], [1, 1], [0.5], [[1]]):
                with pytest.raises(InputError):
                    exporter.log(3, spikes=SpikeIndices(wrong))

        episode = record(body)
        assert reading.spikes(episode) == [(0, [1, 3]), (1, []), (2, [4])]
        assert episode["spikes"].attrs["n_neurons"] == 5
        assert episode["spikes"].attrs["dtype"] == "indices"

    def test_declared_indices(self, record):
        def body(exporter):
            exporter.log(0, spikes=[])
            exporter.log(1, spikes=[0])
            exporter.log(2, spikes=[2, 0])

        episode = record(body, spike_format="indices", n_neurons=3)
        assert reading.spikes(episode) == [(0, []), (1, [0]), (2, [0, 2])]

    def test_number_of_neurons_from_the_network(self, make_exporter):
        with make_exporter() as exporter:
            exporter.save_network_structure(
                {"neuron_ids": np.arange(7)}, {"source_ids": [0], "target_ids": [1]}
            )
            exporter.start_episode()
            exporter.log(0, spikes=SpikeIndices([6]))
        with h5py.File(exporter.h5_path, "r") as file:
            assert file["episodes/episode_0000/spikes"].attrs["n_neurons"] == 7
            assert file.attrs["n_neurons"] == 7
            assert file.attrs["n_connections"] == 1

    def test_ambiguous_spikes(self, record):
        def body(exporter):
            with pytest.raises(AmbiguousSpikesError):
                exporter.log(0, spikes=[1, 3])
            with pytest.raises(InputError):
                exporter.log(0, spikes=SpikeIndices([1]))

        assert not len(record(body)["spikes"])

    def test_empty_dense_spikes_say_nothing(self, record):
        def body(exporter):
            exporter.log(0, spikes=[])
            exporter.log(1, spikes=np.array([], bool))
            exporter.log(2, spikes=np.array([False, True]))
            exporter.log(3, spikes=[])

        episode = record(body)
        assert reading.spikes(episode) == [(2, [1])]
        assert episode.attrs["total_timesteps"] == 4

    def test_rewards(self, record):
        given = [None, 0.0, 1, np.float32(0.5), True, None, float("nan"), np.array(2.0)]

        def body(exporter):
            for step, reward in enumerate(given):
                exporter.log(step, reward=reward)

        steps, values = reading.rewards(record(body))
        assert steps.tolist() == [1, 2, 3, 4, 6, 7]
        assert same(values, np.array([0.0, 1.0, 0.5, 1.0, np.nan, 2.0]))
