"""A recording as Neo's objects, and Elephant's statistics of them.

Needs `python -m pip install "flightrec[neo]" elephant`.
"""

import numpy as np
from elephant.statistics import cv, isi, mean_firing_rate

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_neo", neural_sampling_rate=1) as exporter:
    for _ in range(2):
        exporter.start_episode()
        for step in range(500):
            exporter.log(step, {"v": rng.normal(-65, 5, 10)}, rng.random(10) < 0.1)
        exporter.end_episode()

with ExperimentLoader(exporter.output_dir) as experiment:
    block = experiment.to_neo(dt=0.001, units={"neural_states/v": "mV"})

for segment in block.segments:
    print(segment.name, segment.analogsignals[0].units)
    for train in segment.spiketrains[:3]:
        print(f"  {train.name}: {mean_firing_rate(train).rescale('Hz'):.1f}, CV {cv(isi(train)):.2f}")
