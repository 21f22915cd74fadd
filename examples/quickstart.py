"""The quick start of the README as one program: record ten episodes, read one back."""

import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
n = 100

with DataExporter("my_experiment") as exporter:
    exporter.save_config({"n_neurons": n, "learning_rate": 0.01})
    exporter.save_network_structure(
        neurons={"neuron_ids": np.arange(n), "neuron_types": ["exc"] * 80 + ["inh"] * 20},
        connections={"source_ids": rng.integers(0, n, 500), "target_ids": rng.integers(0, n, 500)},
        initial_weights=rng.random((n, n)) * (rng.random((n, n)) < 0.05),
    )
    for _ in range(10):
        exporter.start_episode()
        membrane_potentials = np.full(n, -65.0)
        x = y = 0.0
        for t in range(1000):
            membrane_potentials += rng.normal(0.4, 2.0, n)
            spike_array = membrane_potentials > -50.0
            membrane_potentials[spike_array] = -65.0
            x, y = x + rng.normal(), y + rng.normal()
            reward = 1.0 if x * x + y * y < 1.0 else 0.0
            exporter.log(
                timestep=t,
                neural_state={"v": membrane_potentials},  # copied, so update it in place as you like
                spikes=spike_array,
                behavior={"x": x, "y": y},
                reward=reward,
            )
        exporter.end_episode(success=True)

with ExperimentLoader(exporter.output_dir) as experiment:
    print(experiment)
    last = experiment.get_episode(9)
    spikes = last.get_spikes()  # {"timesteps": ..., "neuron_ids": ...}
    print(f"{len(spikes['timesteps'])} spikes, total reward {last.get_rewards()['rewards'].sum():g}")
