"""A recording as an NWB file: neurons as units, episodes as trials.

Needs `python -m pip install "flightrec[nwb]"`.
"""

import numpy as np
from pynwb import NWBHDF5IO

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_nwb", neural_sampling_rate=1) as exporter:
    exporter.save_config({"dt": 0.001})
    for _ in range(2):
        exporter.start_episode()
        for step in range(500):
            exporter.log(step, {"v": rng.normal(-65, 5, 10)}, rng.random(10) < 0.1, {"x": step * 0.5})
        exporter.end_episode(success=True)

with ExperimentLoader(exporter.output_dir) as experiment:
    path = experiment.to_nwb(
        exporter.output_dir / "recording.nwb",
        dt="dt",  # the key of the configuration that has the seconds of a timestep
        units={"neural_states/v": "mV", "behavior/x": "m"},
        about={"experimenter": "Doe, Jane", "subject": {"subject_id": "model", "species": "Mus musculus"}},
    )

with NWBHDF5IO(path, "r") as io:
    file = io.read()
    print(file.acquisition["v"])
    start, stop = file.trials["start_time"][1], file.trials["stop_time"][1]
    times = file.units["spike_times"][3]
    print(f"{np.sum((times >= start) & (times < stop))} spikes in trial 1 of neuron 3")
