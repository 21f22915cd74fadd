"""A network operation that records a Brian2 group: its variables and its spikes.

python -m pip install "flightrec[brian2]"
python examples/recorded_brian2.py
"""

from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.brian2 import record_group


def record(output: str | Path = "experiments", duration: float = 200.0, n: int = 100) -> tuple[Path, Any]:
    """Simulate so many ms; the recording's folder, and Brian2's own record of the spikes."""
    b2.prefs.codegen.target = "numpy"  # or "cython", with a compiler
    group = b2.NeuronGroup(
        n,
        "dv/dt = (I - v) / (10*ms) : 1 (unless refractory)\nI : 1",
        threshold="v > 1",
        reset="v = 0",
        refractory=2 * b2.ms,
        method="exact",
    )
    group.I = "1 + i / N"
    spikes = b2.SpikeMonitor(group)
    with DataExporter("neurons", str(output), neural_sampling_rate=10) as exporter:
        exporter.start_episode()
        network = b2.Network(group, spikes, record_group(exporter, group, ["v"]))
        network.run(duration * b2.ms)
        exporter.end_episode(success=True)
    return exporter.output_dir, spikes


if __name__ == "__main__":
    folder, monitor = record()
    with ExperimentLoader(folder) as experiment:
        print(experiment)
        recorded = experiment.get_episode(0).get_spikes()
    assert np.array_equal(np.sort(recorded["neuron_ids"]), np.sort(monitor.i))
    print(len(recorded["neuron_ids"]), "spikes, as Brian2's SpikeMonitor has them")
