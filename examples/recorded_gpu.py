"""A simulation in torch, on a GPU where there is one, that is never waited for to be recorded.

python examples/recorded_gpu.py
"""

from pathlib import Path

import torch

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.staged import Staged


def record(output: str | Path = "experiments", steps: int = 1000, n: int = 1000) -> Path:
    """Record leaky neurons under noise; the recording's folder."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    v = torch.zeros(n, device=device)
    with DataExporter("gpu", str(output), neural_sampling_rate=10) as exporter, Staged(exporter) as staged:
        staged.start_episode()
        for t in range(steps):
            v.mul_(0.95).add_(
                torch.randn(n, device=device), alpha=0.3
            )  # in place, while copies are under way
            spikes = v > 1.0
            staged.log(t, neural_state={"v": v}, spikes=spikes, reward=v.mean())
            v.masked_fill_(spikes, 0.0)
        staged.end_episode(success=True)
    return exporter.output_dir


if __name__ == "__main__":
    with ExperimentLoader(record()) as experiment:
        print(experiment)
