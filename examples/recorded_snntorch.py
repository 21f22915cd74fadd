"""Forward hooks on the layers of an snnTorch network: spikes and membranes of every time step.

    python -m pip install "flightrec[snntorch]"
    python examples/recorded_snntorch.py

The same line records Norse's cells (``flightrec[norse]``), and any module that returns a tensor.
"""

from pathlib import Path

import snntorch
import torch

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.modules import RecordModules


class Net(torch.nn.Module):
    """Two layers of leaky neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(20, 50), snntorch.Leaky(beta=0.9)
        self.fc2, self.lif2 = torch.nn.Linear(50, 10), snntorch.Leaky(beta=0.9)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Spikes of the output layer, ``(steps, batch, 10)``."""
        mem1, mem2, out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for step in inputs:
            spikes, mem1 = self.lif1(self.fc1(step), mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            out.append(spikes)
        return torch.stack(out)


def record(output: str | Path = "experiments", steps: int = 100) -> tuple[Path, torch.Tensor]:
    """Record a forward pass; the recording's folder, and what the network returned."""
    torch.manual_seed(0)
    net = Net()
    with DataExporter("snn", str(output), neural_sampling_rate=1) as exporter:
        RecordModules(exporter, {"hidden": net.lif1, "out": net.lif2})
        exporter.start_episode()
        spikes = net(4 * torch.rand(steps, 1, 20))
        exporter.end_episode(success=True)
    return exporter.output_dir, spikes


if __name__ == "__main__":
    with ExperimentLoader(record()[0]) as experiment:
        print(experiment)
        print({name: rows.shape for name, rows in experiment.get_episode(0).get_neural_states().items()})
