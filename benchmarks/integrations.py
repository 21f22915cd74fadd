"""What does each integration cost a step? The bare loop, the loop that logs by hand, and the integration.

    python benchmarks/integrations.py
    python benchmarks/integrations.py --quick

All ways of a case take the same steps in one fresh process, in turns, those that were first in one repeat
last in the next. The clock covers the steps, with what is written meanwhile, and not the opening and closing
of the recording. What a way adds to the bare loop is counted repeat by repeat. Cases whose library is not
installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's

import numpy as np
from harness import RESULTS, environment, run_fresh, save, summary, version
from tqdm import tqdm
from workloads import SEED

from recorder import DataExporter, SpikeIndices

Ways = dict[str, Callable[[int, Path], float]]
"""Takes steps and a folder; returns seconds."""
LIBRARIES = ("gymnasium", "brian2", "snntorch", "nengo", "torch")


@contextmanager
def recording(folder: Path, **options: Any) -> Iterator[DataExporter]:
    """An exporter in an episode."""
    with DataExporter("cost", folder, **{"neural_sampling_rate": 1, **options}) as exporter:
        exporter.start_episode()
        yield exporter


def timed(function: Callable[[], Any]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def loop(step: Callable[[int], Any], steps: int) -> float:
    """Seconds of so many calls."""

    def run() -> None:
        for t in range(steps):
            step(t)

    return timed(run)


class Neurons:
    """A hundred of them, with as little NumPy as can be."""

    def __init__(self) -> None:
        self.noise = np.random.default_rng(SEED).normal(0.4, 2.0, (1000, 100))
        self.v = np.full(100, -65.0)
        self.spikes = self.v > 0

    def step(self, t: int) -> None:
        """One step, in place."""
        self.v += self.noise[t % 1000]
        self.spikes = self.v > -50.0
        self.v[self.spikes] = -65.0


def stepping() -> Ways:
    """The decorator."""
    from recorder.integrations.stepping import record_steps

    def by_hand(steps: int, folder: Path) -> float:
        net = Neurons()
        with recording(folder) as exporter:

            def step(t: int) -> None:
                net.step(t)
                exporter.log(t, neural_state={"v": net.v}, spikes=net.spikes)

            return loop(step, steps)

    def integration(steps: int, folder: Path) -> float:
        net = Neurons()
        with recording(folder) as exporter:
            what = lambda *_: {"neural_state": {"v": net.v}, "spikes": net.spikes}  # noqa: E731
            return loop(record_steps(exporter, what)(net.step), steps)

    return {
        "bare": lambda steps, _: loop(Neurons().step, steps),
        "by hand": by_hand,
        "integration": integration,
    }


def triggered() -> Ways:
    """Capture that never fires, and one that fires every 10,000 steps."""
    from recorder.integrations.triggered import Triggered

    def captured(every: int) -> Callable[[int, Path], float]:
        def run(steps: int, folder: Path) -> float:
            net = Neurons()
            with recording(folder) as exporter:
                capture = Triggered(exporter, 1000, 1000)

                def step(t: int) -> None:
                    net.step(t)
                    capture.log(t, neural_state={"v": net.v}, spikes=net.spikes)
                    if every and t % every == every - 1:
                        capture.trigger()

                return loop(step, steps)

        return run

    return {
        **{k: v for k, v in stepping().items() if k != "integration"},
        "never": captured(0),
        "firing": captured(10_000),
    }


def cartpole() -> Ways:
    """A Gymnasium environment; a step of an episode that ends at most every 500."""
    import gymnasium

    from recorder.integrations.gymnasium import RecordEpisodes

    def drive(env: Any, steps: int) -> float:
        observation, _ = env.reset(seed=SEED)

        def step(_: int) -> None:
            nonlocal observation
            observation, _, terminated, truncated, _ = env.step(
                int(observation[2] + 0.2 * observation[3] > 0)
            )
            if terminated or truncated:
                observation, _ = env.reset()

        return loop(step, steps)

    def integration(steps: int, folder: Path) -> float:
        with DataExporter("cost", folder) as exporter:
            return drive(RecordEpisodes(gymnasium.make("CartPole-v1"), exporter), steps)

    return {"bare": lambda steps, _: drive(gymnasium.make("CartPole-v1"), steps), "integration": integration}


def vector() -> Ways:
    """Eight of them; a step of all."""
    import gymnasium

    from recorder.integrations.gymnasium_vector import RecordVectorEpisodes

    def make() -> Any:
        return gymnasium.make_vec("CartPole-v1", num_envs=8, vectorization_mode="sync")

    def drive(envs: Any, steps: int) -> float:
        observations, _ = envs.reset(seed=SEED)

        def step(_: int) -> None:
            nonlocal observations
            actions = (observations[:, 2] + 0.2 * observations[:, 3] > 0).astype(np.int64)
            observations, *_ = envs.step(actions)

        return loop(step, steps)

    def integration(steps: int, folder: Path) -> float:
        with RecordVectorEpisodes(make(), "cost", folder) as envs:
            return drive(envs, steps)

    return {"bare": lambda steps, _: drive(make(), steps), "integration": integration}


def brian() -> Ways:
    """A thousand Brian2 neurons by its NumPy target; bare is a network operation that does nothing."""
    import brian2 as b2

    from recorder.integrations.brian2 import record_group

    def build() -> Any:
        b2.prefs.codegen.target = "numpy"
        b2.start_scope()
        b2.seed(SEED)
        group = b2.NeuronGroup(
            1000, "dv/dt = (1.1 - v) / (10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
        )
        group.v = "rand()"
        return group

    def run(steps: int, operate: Callable[[Any], Any]) -> float:
        group = build()
        network = b2.Network(group, operate(group))
        network.run(10 * b2.defaultclock.dt)  # generates code
        return timed(lambda: network.run(steps * b2.defaultclock.dt))

    def bare(steps: int, _: Path) -> float:
        return run(steps, lambda _: b2.NetworkOperation(lambda: None, when="end"))

    def by_hand(steps: int, folder: Path) -> float:
        with recording(folder) as exporter:

            def operate(group: Any) -> Any:
                def log() -> None:
                    t = int(b2.defaultclock.timestep[:])
                    exporter.log(
                        t, {"v": group.v_[:]}, SpikeIndices(np.asarray(group.spikes), n_neurons=1000)
                    )

                return b2.NetworkOperation(log, when="end")

            return run(steps, operate)

    def integration(steps: int, folder: Path) -> float:
        with recording(folder) as exporter:
            return run(steps, lambda group: record_group(exporter, group, ["v"]))

    return {"bare": bare, "by hand": by_hand, "integration": integration}


def snn() -> Ways:
    """Two leaky layers of 100 and 10 neurons in snnTorch, without gradients."""
    import snntorch
    import torch

    from recorder.integrations.modules import RecordModules

    def build() -> tuple[Any, Any, Any]:
        torch.manual_seed(SEED)
        torch.set_num_threads(1)  # layers this small would only wait for other threads
        lif1, lif2 = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9)
        fc1, fc2, inputs = torch.nn.Linear(50, 100), torch.nn.Linear(100, 10), torch.rand(1, 50) * 4
        mem1, mem2 = lif1.reset_mem(), lif2.reset_mem()

        def step(_: int) -> None:
            nonlocal mem1, mem2
            with torch.no_grad():
                spikes, mem1 = lif1(fc1(inputs), mem1)
                _, mem2 = lif2(fc2(spikes), mem2)

        return lif1, lif2, step

    def integration(steps: int, folder: Path) -> float:
        lif1, lif2, step = build()
        with recording(folder) as exporter, RecordModules(exporter, {"hidden": lif1, "out": lif2}):
            return loop(step, steps)

    return {"bare": lambda steps, _: loop(build()[2], steps), "integration": integration}


def nengo_probes() -> Ways:
    """An ensemble of 100 neurons with three probes; the bare way keeps their samples in memory."""
    import nengo

    from recorder.integrations.nengo import run_recorded

    nengo.rc.set("decoder_cache", "enabled", "False")
    with nengo.Network(seed=SEED) as model:
        signal, ensemble = nengo.Node(np.sin), nengo.Ensemble(100, 1)
        nengo.Connection(signal, ensemble)
        spikes, voltage = nengo.Probe(ensemble.neurons), nengo.Probe(ensemble.neurons, "voltage")
        decoded = nengo.Probe(ensemble, synapse=0.01)

    def bare(steps: int, _: Path) -> float:
        with nengo.Simulator(model, progress_bar=False) as simulator:
            return timed(lambda: simulator.run_steps(steps, progress_bar=False))

    def integration(steps: int, folder: Path) -> float:
        probes: dict[str, Any] = {
            "neural_state": {"v": voltage},
            "behavior": {"x": decoded},
            "spikes": spikes,
        }
        with nengo.Simulator(model, progress_bar=False) as simulator, recording(folder) as exporter:
            return timed(lambda: run_recorded(simulator, exporter, steps, **probes))

    return {"bare": bare, "integration": integration}


CASES: dict[str, tuple[Callable[[], Ways], int]] = {
    "step function": (stepping, 100_000),
    "triggered": (triggered, 100_000),
    "gymnasium": (cartpole, 20_000),
    "gymnasium, 8 environments": (vector, 4_000),
    "brian2": (brian, 3_000),
    "snntorch": (snn, 5_000),
    "nengo": (nengo_probes, 5_000),
}
"""With their steps."""


def measure(case: str, steps: int, repeats: int, scratch: str | None) -> dict[str, Any]:
    """All ways of a case, in turns; empty where its library is missing."""
    try:
        ways = CASES[case][0]()
    except ImportError:
        return {}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats):
        # Who comes first changes: a processor that warms up or cools down is nobody's merit.
        for way in ways if turn % 2 == 0 else reversed(ways):
            with tempfile.TemporaryDirectory(prefix="flightrec-integrations-", dir=scratch) as folder:
                seconds[way].append(ways[way](steps, Path(folder)))
    out: dict[str, Any] = {"steps": steps, "load_average": os.getloadavg()}
    for way, found in seconds.items():
        pairs = list(zip(found, seconds["bare"], strict=True))
        out[way] = {
            "repeats": found,
            "us_a_step": summary([s / steps * 1e6 for s in found]),
            "us_more": summary([(s - b) / steps * 1e6 for s, b in pairs]),
            "ratio": summary([s / b for s, b in pairs]),
        }
    return out


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps, one repeat")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        json.dump(measure(**json.loads(arguments.worker)), sys.stdout)
        return
    before = {**environment(arguments.scratch), **{name: version(name) for name in LIBRARIES}}
    results: dict[str, Any] = {}
    print(f"{'':40}{'µs a step':>12}{'more':>10}{'ratio':>8}")
    for case in tqdm(arguments.cases, unit="case", disable=None):
        steps, repeats = CASES[case][1], arguments.repeats
        if arguments.quick:
            steps, repeats = steps // 100, 1
        spec = {"case": case, "steps": steps, "repeats": repeats, "scratch": arguments.scratch}
        found = json.loads(run_fresh("integrations.py", "--worker", json.dumps(spec)))
        if not found:
            print(f"{case:40} left out: its library is not installed")
            continue
        results[case] = found
        for way in [key for key in found if key not in ("steps", "load_average")]:
            us, more, ratio = (found[way][k]["median"] for k in ("us_a_step", "us_more", "ratio"))
            print(f"{case + ', ' + way:40}{us:>12.2f}{more:>10.2f}{ratio:>8.3f}")
    name = "integrations-quick" if arguments.quick else "integrations"
    print(f"\nsaved {save(name, {'environment': before, 'results': results}, arguments.output)}")


if __name__ == "__main__":
    main()
