"""The quick start of the README as one program: record ten episodes, read one back."""

import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter

n = 100
rng = np.random.default_rng(0)
neurons = {"neuron_ids": np.arange(n), "neuron_types": ["exc"] * 80 + ["inh"] * 20}
connections = {"source_ids": rng.integers(0, n, 500), "target_ids": rng.integers(0, n, 500)}
weights = rng.random((n, n)) * (rng.random((n, n)) < 0.05)  # dense, any SciPy sparse format, or 1-D

with DataExporter("my_experiment") as exporter:
    exporter.save_config({"n_neurons": n, "learning_rate": 0.01})
    exporter.save_network_structure(neurons, connections, weights)
    for episode in range(10):
        exporter.start_episode()
        v = np.full(n, -65.0)
        x = y = 0.0
        for t in range(1000):
            v += rng.normal(0.4, 2.0, n)  # arrays are copied at the call: update them in place
            spikes = v > -50.0
            v[spikes] = -65.0
            x, y = x + rng.normal(), y + rng.normal()
            reward = 1.0 if x * x + y * y < 1.0 else 0.0
            exporter.log(
                timestep=t,
                neural_state={"v": v},
                spikes=spikes,
                behavior={"x": x, "y": y},
                reward=reward,
            )
        exporter.end_episode(success=True, summary={"episode": episode})

with ExperimentLoader(exporter.output_dir) as experiment:
    print(experiment)
    spikes = experiment.get_episode(9).get_spikes()  # {"timesteps": ..., "neuron_ids": ...}
