"""A published spiking network, simulated by Brian2 and recorded step by step.

    python examples/brian2_network.py --duration 500 --neurons 4000

The network is the COBA benchmark: 80 % excitatory and 20 % inhibitory integrate-and-fire neurons
with conductance-based synapses and 2 % connectivity, which keeps itself irregularly active.

    Vogels TP, Abbott LF (2005). Signal propagation and logic gating in networks of
    integrate-and-fire neurons. J Neurosci 25:10786-10795.
    Brette R et al. (2007). Simulation of networks of spiking neurons: a review of tools and
    strategies (benchmark 1). J Comput Neurosci 23:349-398.

Brian2 runs with its NumPy target. After every time step Python gets the control, and hands the
state to the recorder: membrane potentials, conductances, spikes. The spikes that come back from the
file are compared with Brian2's own SpikeMonitor, and the picture is drawn from the loaded file.
Needs `pip install brian2`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import brian2 as b2
import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter, SpikeIndices

EQUATIONS = """
dv/dt  = (ge * (Ee - v) + gi * (Ei - v) + (El - v)) / taum : volt (unless refractory)
dge/dt = -ge / taue : 1
dgi/dt = -gi / taui : 1
"""
PARAMETERS = {  # as benchmark 1 of Brette et al. (2007); conductances in units of the leak's
    "taum": 20 * b2.ms,
    "taue": 5 * b2.ms,
    "taui": 10 * b2.ms,
    "El": -60 * b2.mV,
    "Ee": 0 * b2.mV,
    "Ei": -80 * b2.mV,
    "Vt": -50 * b2.mV,
    "Vr": -60 * b2.mV,
    "we": 6 / 10,
    "wi": 67 / 10,
}
REFRACTORY = 5 * b2.ms
CONNECTED = 0.02
DT = 0.1 * b2.ms


class Coba:
    """The network, and Brian2's own record of its spikes."""

    def __init__(self, n: int, seed: int) -> None:
        b2.prefs.codegen.target = "numpy"
        b2.start_scope()
        b2.defaultclock.dt = DT
        b2.seed(seed)
        self.n, self.n_excitatory = n, round(0.8 * n)
        self.neurons = b2.NeuronGroup(
            n,
            EQUATIONS,
            threshold="v > Vt",
            reset="v = Vr",
            refractory=REFRACTORY,
            method="exponential_euler",
            namespace=PARAMETERS,
        )
        excitatory, inhibitory = self.neurons[: self.n_excitatory], self.neurons[self.n_excitatory :]
        self.synapses = {
            "we": b2.Synapses(excitatory, self.neurons, on_pre="ge += we", namespace=PARAMETERS),
            "wi": b2.Synapses(inhibitory, self.neurons, on_pre="gi += wi", namespace=PARAMETERS),
        }
        for synapses in self.synapses.values():
            # 2 % as published; smaller networks get as many inputs as one of 4,000, or they fall silent
            synapses.connect(p=min(1.0, CONNECTED * max(1.0, 4000 / n)))
        self.neurons.v = "El + (randn() * 5 - 5) * mV"
        self.neurons.ge = "randn() * 1.5 + 4"
        self.neurons.gi = "randn() * 12 + 20"
        self.monitor = b2.SpikeMonitor(self.neurons)
        self.network = b2.Network(self.neurons, self.monitor, *self.synapses.values())

    def connections(self) -> dict[str, np.ndarray]:
        """Sources, targets and weights of all synapses, as columns."""
        inhibitory = self.synapses["wi"]
        sources = [np.array(self.synapses["we"].i), np.array(inhibitory.i) + self.n_excitatory]
        targets = [np.array(self.synapses["we"].j), np.array(inhibitory.j)]
        weights = [
            np.full(len(s), w) for s, w in zip(sources, (PARAMETERS["we"], -PARAMETERS["wi"]), strict=True)
        ]
        return {
            "source_ids": np.concatenate(sources),
            "target_ids": np.concatenate(targets),
            "weights": np.concatenate(weights),
        }


def record(output: str | Path, n: int, duration: float, seed: int = 1, every: int = 10) -> tuple[Path, Coba]:
    """Simulate ``duration`` ms of ``n`` neurons; the recording's folder and the network.

    Spikes are recorded at every step of 0.1 ms, potentials and conductances every ``every`` steps.
    """
    import scipy.sparse

    coba = Coba(n, seed)
    connections = coba.connections()
    pairs = (connections["source_ids"], connections["target_ids"])
    kinds = np.where(np.arange(n) < coba.n_excitatory, "excitatory", "inhibitory")
    with DataExporter("coba", output_base_dir=str(output), neural_sampling_rate=every) as exporter:
        exporter.save_config(
            {
                "model": "COBA, Brette et al. (2007), benchmark 1",
                "equations": EQUATIONS,
                "parameters": {name: str(value) for name, value in PARAMETERS.items()},
                "dt_ms": float(DT / b2.ms),
                "seed": seed,
                "brian2": b2.__version__,
            }
        )
        exporter.save_network_structure(
            {"neuron_ids": np.arange(n), "neuron_types": kinds},
            connections,
            scipy.sparse.coo_array((connections["weights"], pairs), shape=(n, n)),
        )
        exporter.start_episode()

        @b2.network_operation(dt=DT, when="end")
        def log_step() -> None:
            group = coba.neurons
            exporter.log(
                timestep=int(b2.defaultclock.timestep[:]),
                neural_state={"v": group.v_[:], "ge": group.ge_[:], "gi": group.gi_[:]},
                spikes=SpikeIndices(np.asarray(group.spikes), n_neurons=n),
            )

        coba.network.add(log_step)
        coba.network.run(duration * b2.ms)
        exporter.end_episode(success=True)
    return exporter.output_dir, coba


def same_spikes(folder: Path, coba: Coba) -> int:
    """Compare the recorded spikes with Brian2's SpikeMonitor; their number.

    Raises
    ------
    AssertionError
        They differ.
    """
    with ExperimentLoader(folder) as experiment:
        spikes = experiment.get_episode(0).get_spikes()
    steps = np.rint(np.asarray(coba.monitor.t_) / float(DT)).astype(np.int64)
    theirs = sorted(zip(steps.tolist(), np.asarray(coba.monitor.i).tolist(), strict=True))
    ours = list(zip(spikes["timesteps"].tolist(), spikes["neuron_ids"].tolist(), strict=True))
    assert ours == theirs, "the recorded spikes are not those of Brian2's SpikeMonitor"
    return len(ours)


def plot(folder: Path) -> Path:
    """Raster, population rates and a potential, all from the loaded recording, as PNG."""
    from matplotlib.figure import Figure

    with ExperimentLoader(folder) as experiment:
        dt = experiment.get_config()["dt_ms"]
        kinds = np.asarray(experiment.get_network_structure()["neurons"]["neuron_types"]).astype(str)
        episode = experiment.get_episode(0)
        spikes, states = episode.get_spikes(), episode.get_neural_states()
        end = episode.get_metadata()["total_timesteps"] * dt
    times, ids = spikes["timesteps"] * dt, spikes["neuron_ids"]
    figure = Figure(figsize=(9, 7), layout="constrained")
    raster, rates, trace = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    window = min(5.0, end)
    edges = np.arange(0, end + window / 2, window)
    for kind, color in (("excitatory", "#0072b2"), ("inhibitory", "#d55e00")):
        mine = kinds[ids] == kind
        raster.plot(times[mine], ids[mine], ",", color=color)
        counts = np.histogram(times[mine], edges)[0]
        rates.stairs(counts / (kinds == kind).sum() / window * 1000, edges, color=color, label=kind)
    trace.plot(states["timesteps"] * dt, states["v"][:, 0] * 1000, color="black", lw=0.8)
    raster.set_ylabel("neuron")
    rates.set_ylabel("rate (Hz)")
    rates.legend(frameon=False, ncol=2, fontsize=8)
    trace.set_ylabel("v of neuron 0 (mV)")
    trace.set_xlabel("time (ms)")
    trace.set_xlim(0, end)
    raster.set_title(f"COBA network, {len(kinds):,} neurons, {len(times):,} spikes, read from {folder.name}")
    figure.savefig(folder / "coba.png", dpi=110)
    return folder / "coba.png"


def main() -> None:
    """Record, compare, plot."""
    parser = argparse.ArgumentParser(description="Record the COBA benchmark network step by step.")
    parser.add_argument("--duration", type=float, default=500.0, help="milliseconds to simulate")
    parser.add_argument("--neurons", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", default="experiments", help="folder that gets the recording's folder")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder, coba = record(arguments.output, arguments.neurons, arguments.duration, arguments.seed)
    print(
        f"simulated and recorded {arguments.duration:g} ms in {time.perf_counter() - started:.1f} s: {folder}"
    )
    print(f"{same_spikes(folder, coba):,} spikes, all equal to Brian2's SpikeMonitor")
    print(f"plot: {plot(folder)}")


if __name__ == "__main__":
    main()
