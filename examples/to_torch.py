"""A recording as windows for torch: twenty rows of state and spikes at a time, in batches.

Needs `python -m pip install "flightrec[torch]"`.
"""

import numpy as np
from torch.utils.data import DataLoader

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_torch", neural_sampling_rate=1) as exporter:
    for _ in range(3):
        exporter.start_episode()
        for step in range(200):
            state = rng.normal(-65, 5, 10).astype(np.float32)
            exporter.log(step, {"v": state}, rng.random(10) < 0.1, reward=1.0)
        exporter.end_episode()

with ExperimentLoader(exporter.output_dir) as experiment:
    print(experiment.get_episode(0).to_torch("neural_states/v")["v"].dtype)
    windows = experiment.torch_windows(["neural_states/v", "spikes", "rewards"], length=20, stride=5)
    for batch in DataLoader(windows, batch_size=16, shuffle=True, drop_last=True):
        print(batch["neural_states/v"].shape, batch["spikes"].dtype, batch["timesteps"][0, :3])
