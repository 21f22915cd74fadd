"""A Nengo simulation whose probes go into a recording while it runs.

python -m pip install "flightrec[nengo]"
python examples/recorded_nengo.py
"""

from pathlib import Path

import nengo
import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.nengo import run_recorded


def record(output: str | Path = "experiments", steps: int = 1000) -> Path:
    """Record an ensemble that follows a sine; the recording's folder."""
    with nengo.Network(seed=0) as model:
        signal = nengo.Node(lambda t: np.sin(2 * np.pi * t))
        ensemble = nengo.Ensemble(50, 1)
        nengo.Connection(signal, ensemble)
        spikes, voltage = nengo.Probe(ensemble.neurons), nengo.Probe(ensemble.neurons, "voltage")
        decoded = nengo.Probe(ensemble, synapse=0.01)
    with (
        nengo.Simulator(model, progress_bar=False) as simulator,
        DataExporter("sine", str(output), neural_sampling_rate=10) as exporter,
    ):
        exporter.start_episode()
        run_recorded(
            simulator,
            exporter,
            steps,
            neural_state={"voltage": voltage},
            behavior={"decoded": decoded},
            spikes=spikes,
        )
        exporter.end_episode(success=True)
    return exporter.output_dir


if __name__ == "__main__":
    with ExperimentLoader(record()) as experiment:
        print(experiment)
        print(len(experiment.get_episode(0).get_spikes()["timesteps"]), "spikes")
