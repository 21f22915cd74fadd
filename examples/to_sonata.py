"""An episode as SONATA's files, read back by libsonata.

Needs `python -m pip install "flightrec[sonata]"` to read them; writing needs nothing.
"""

import libsonata
import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_sonata", neural_sampling_rate=1) as exporter:
    exporter.start_episode()
    for step in range(500):
        exporter.log(step, {"v": rng.normal(-65, 5, 10).astype(np.float32)}, rng.random(10) < 0.1)
    exporter.end_episode()

with ExperimentLoader(exporter.output_dir) as experiment:
    folder = experiment.get_episode(0).to_sonata(
        exporter.output_dir / "sonata", dt=0.0001, population="cortex", units={"neural_states/v": "mV"}
    )

spikes = libsonata.SpikeReader(folder / "spikes.h5")["cortex"]
print(spikes.get(node_ids=[3], tstop=10.0))
report = libsonata.SomaReportReader(folder / "v_report.h5")["cortex"]
print(report.data_units, report.times, report.get(node_ids=[0, 3], tstop=1.0).data.shape)
