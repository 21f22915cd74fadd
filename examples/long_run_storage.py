"""A liquid state machine that runs for long: its states in a store, and a run that is gone on with.

    python examples/long_run_storage.py [FILE]

The store keeps snapshots, spikes, reservoir states and metrics; ``save_snapshot`` and ``restore_snapshot``
store and bring back everything the simulation goes on from, its random generator included. The second
half of this program is a new machine that continues the first one's run bit for bit.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse

from recorder.storage import HDF5Storage


class LiquidStateMachine:
    """Leaky integrate-and-fire neurons, randomly connected, with noise and synapses that adapt."""

    def __init__(self, n: int = 200, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.adjacency = scipy.sparse.csr_array(self.rng.random((n, n)) < 0.1)
        self.weights = self.adjacency * self.rng.normal(0.0, 0.4, (n, n))
        self.v = self.rng.random(n)
        self.trace = np.zeros(n)
        self.step_number = 0

    def step(self, drive: float = 0.15) -> np.ndarray:
        """One step; returns which neurons spiked."""
        spikes = self.v > 1.0
        self.v = np.where(spikes, 0.0, 0.9 * self.v) + drive * self.rng.random(len(self.v))
        self.v += self.weights @ spikes.astype(float)
        self.trace = 0.95 * self.trace + spikes
        self.weights *= 1.0 - 1e-4 * self.trace.mean()
        self.step_number += 1
        return spikes


class StoredMachine:
    """A machine and the store of its run."""

    def __init__(self, machine: LiquidStateMachine, storage: HDF5Storage) -> None:
        self.machine, self.storage = machine, storage

    def save_snapshot(self) -> str:
        """Store everything that the run goes on from; returns the id."""
        machine = self.machine
        state = {
            "adjacency": machine.adjacency,
            "weights": machine.weights,
            "v": machine.v,
            "trace": machine.trace,
            "step_number": machine.step_number,
        }
        return self.storage.store_checkpoint(time.time(), state, generators={"rng": machine.rng})

    def restore_snapshot(self, snapshot_id: str) -> None:
        """Go on from there."""
        machine = self.machine
        found = self.storage.restore_checkpoint(snapshot_id, generators={"rng": machine.rng})
        if found is None:
            raise KeyError(snapshot_id)
        machine.adjacency, machine.weights = found.state["adjacency"], found.state["weights"]
        machine.v, machine.trace = found.state["v"], found.state["trace"]
        machine.step_number = int(found.state["step_number"])

    def run(self, steps: int) -> float:
        """Simulate, and store spikes, states and metrics of it; returns the firing rate."""
        times, neurons = [], []
        for _ in range(steps):
            spikes = np.flatnonzero(self.machine.step())
            times.append(np.full(len(spikes), self.machine.step_number * 1e-3))
            neurons.append(spikes)
        now, machine = time.time(), self.machine
        rate = sum(map(len, neurons)) / steps / len(machine.v)
        with self.storage.batch():
            self.storage.store_spike_train(now, np.concatenate(times), np.concatenate(neurons))
            self.storage.store_reservoir_states(now, machine.v, "liquid")
            self.storage.store_network_snapshot(
                now, machine.adjacency, machine.weights, machine.v, {"step": machine.step_number}
            )
            self.storage.store_performance_metrics(now, {"rate": rate}, "liquid")
        return rate


def main(path: Path) -> None:
    """Run, stop, go on as another machine, and compare."""
    with HDF5Storage(path) as storage:
        first = StoredMachine(LiquidStateMachine(), storage)
        first.run(200)
        saved = first.save_snapshot()
        first.run(200)

    with HDF5Storage(path) as storage:
        second = StoredMachine(LiquidStateMachine(seed=1), storage)
        second.restore_snapshot(saved)
        second.run(200)
        a, b = first.machine, second.machine
        same = np.array_equal(a.v, b.v) and np.array_equal(a.weights.data, b.weights.data)
        print("the run that was resumed", "continues bit for bit" if same else "DIFFERS")
        trains = [storage.retrieve_spike_train(entry.id) for entry in storage.find("spike_train")]
        print(
            f"{len(trains)} spike trains with",
            [len(train.spike_times) for train in trains if train],
            "spikes",
        )
        info = storage.get_file_info()
        print(f"{info['file_size_mb']:.2f} MB in {path}:", info["objects"])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "long_run.h5"))
