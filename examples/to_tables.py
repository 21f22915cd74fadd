"""A recording as tables: one in pandas, one in Arrow, all of them in Parquet files.

Needs `python -m pip install "flightrec[pandas,arrow]"`.
"""

import numpy as np
import pandas as pd

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_tables", neural_sampling_rate=1) as exporter:
    for _ in range(2):
        exporter.start_episode()
        for step in range(200):
            exporter.log(step, {"v": rng.normal(-65, 5, 10)}, rng.random(10) < 0.1, {"x": step * 0.5})
        exporter.end_episode()

with ExperimentLoader(exporter.output_dir) as experiment:
    episode = experiment.get_episode(0)
    print(episode.to_pandas("neural_states/v").mean())  # a column a neuron, timesteps as index
    print(episode.to_arrow("behavior/x").slice(0, 3))
    folder = experiment.to_parquet(exporter.output_dir / "parquet")

spikes = pd.read_parquet(folder / "spikes")  # of all episodes: timesteps, neuron_ids, episode
print(spikes.groupby(["episode", "neuron_ids"], observed=True).size().unstack())
