"""What does recording cost a simulator? A Brian2 network stepped from Python, recorded and not.

    python benchmarks/simulator.py
    python benchmarks/simulator.py --quick

The CUBA benchmark (Brette et al. 2007, benchmark 2): 4,000 integrate-and-fire neurons, 2 % connected, with
current-based synapses, by Brian2's NumPy target, which needs no compiler. After each step of 0.1 ms
Python gets the control, in both cases; one of them then hands over the spikes of the step as indices, the
population's rate, and, every 100 steps, the potentials. Fresh processes, in turns; the clock covers the steps
of the simulation and, recorded, everything from opening to the closed file. What these two take does not
grow with the steps, and stands beside the sum: a shorter simulation is slowed by more, a longer one by less.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's, as in the processes that measure

from harness import RESULTS, environment, run_fresh, save, summary, version
from tqdm import tqdm
from workloads import SEED

EQUATIONS = """
dv/dt  = (ge + gi - (v - El)) / taum : volt (unless refractory)
dge/dt = -ge / taue : volt
dgi/dt = -gi / taui : volt
"""
EVERY = 100
"""Steps from one row of potentials to the next."""
CASES = ("plain", "recorded", "python")
"""Not recorded; recorded; recorded without the compiled log()."""
FIGURES = ("seconds", "cpu_seconds")
ENDS = ("opening_seconds", "closing_seconds")


def network(n: int, seed: int) -> tuple[Any, Any]:
    """Neurons, and a network of them that is ready to run."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    b2.defaultclock.dt = 0.1 * b2.ms
    b2.seed(seed)
    ms, mV = b2.ms, b2.mV  # noqa: N806  as units are written
    values = {
        "taum": 20 * ms,
        "taue": 5 * ms,
        "taui": 10 * ms,
        "El": -49 * mV,
        "Vt": -50 * mV,
        "Vr": -60 * mV,
    }
    weights = {"we": 60 * 0.27 / 10 * mV, "wi": -20 * 4.5 / 10 * mV}
    neurons = b2.NeuronGroup(
        n,
        EQUATIONS,
        threshold="v > Vt",
        reset="v = Vr",
        refractory=5 * ms,
        method="exact",
        namespace=values,
    )
    neurons.v = "Vr + rand() * (Vt - Vr)"
    split = round(0.8 * n)
    synapses = []
    for name, cells in (("we", neurons[:split]), ("wi", neurons[split:])):
        target = f"g{name[1]} += {name}"
        synapses.append(b2.Synapses(cells, neurons, on_pre=target, namespace={name: weights[name]}))
        synapses[-1].connect(p=min(1.0, 0.02 * max(1.0, 4000 / n)))
    return neurons, b2.Network(neurons, *synapses)


def worker(spec: dict[str, Any]) -> dict[str, Any]:
    """Simulate in this process, recorded or not."""
    import brian2 as b2
    import numpy as np

    from recorder import DataExporter

    n, steps = spec["neurons"], spec["steps"]
    neurons, net = network(n, spec["seed"])
    # Brian2's own arrays, which it updates in place: potentials; indices of the spikes of the step and,
    # behind all places for them, their number.
    potentials, space = (neurons.variables[name].get_value() for name in ("v", "_spikespace"))
    total = 0
    ends = dict.fromkeys(ENDS, 0.0)

    def fired() -> Any:
        return space[: space[-1]]

    def plain() -> None:
        nonlocal total
        total += len(fired())

    dt = 0.1 * b2.ms
    with tempfile.TemporaryDirectory(prefix="flightrec-simulator-", dir=spec["scratch"]) as folder:
        # The first steps generate code, whoever records or not.
        warm = b2.NetworkOperation(plain, dt=dt, when="end")
        net.add(warm)
        net.run(EVERY * dt)
        net.remove(warm)
        total, load = 0, os.getloadavg()
        cpu, begun = time.process_time(), time.perf_counter()
        if spec["case"] == "plain":
            net.add(b2.NetworkOperation(plain, dt=dt, when="end"))
            net.run(steps * dt)
        else:
            options: dict[str, Any] = {"spike_format": "indices", "n_neurons": n}
            with DataExporter("simulator", folder, neural_sampling_rate=EVERY, **options) as exporter:
                exporter.start_episode()
                log, step = exporter.log, 0
                ends[ENDS[0]] = time.perf_counter() - begun

                def record() -> None:
                    nonlocal total, step
                    indices = fired()
                    log(
                        timestep=step,
                        neural_state={"v": potentials},
                        spikes=indices,
                        behavior={"rate": len(indices) / n},
                    )
                    total += len(indices)
                    step += 1

                net.add(b2.NetworkOperation(record, dt=dt, when="end"))
                net.run(steps * dt)
                simulated = time.perf_counter()
                exporter.end_episode(success=True)
            ends[ENDS[1]] = time.perf_counter() - simulated
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        if spec["case"] != "plain":
            _check(exporter.output_dir, total, np.array(potentials))
    return {"seconds": seconds, "cpu_seconds": cpu, **ends, "spikes": total, "load_average": load}


def _check(folder: Path, total: int, last: Any) -> None:
    from loaders import ExperimentLoader

    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        v = episode.get_neural_states()["v"]
        if len(episode.get_spikes()["neuron_ids"]) != total or v.shape[1:] != last.shape:
            raise SystemExit("the file does not hold what was simulated")


def measure(case: str, spec: dict[str, Any]) -> dict[str, Any]:
    """:func:`worker` in a fresh process."""
    text = json.dumps({**spec, "case": case})
    hot_path = "python" if case == "python" else None
    found: dict[str, Any] = json.loads(run_fresh("simulator.py", "--worker", text, hot_path=hot_path))
    return found


def slower(results: dict[str, Any], case: str, figure: str) -> dict[str, float]:
    """By what share recording slows the simulation, repeat by repeat, for neighbours share the machine."""
    pairs = zip(results[case]["repeats"], results["plain"]["repeats"], strict=True)
    return summary([recorded[figure] / plain[figure] - 1 for recorded, plain in pairs])


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--neurons", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=100_000, help="of 0.1 ms")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="1,000 steps, one repeat")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        json.dump(worker(json.loads(arguments.worker)), sys.stdout)
        return
    if arguments.quick:
        arguments.repeats, arguments.steps = 1, min(arguments.steps, 1_000)
    before = environment(arguments.scratch)
    spec = {name: getattr(arguments, name) for name in ("neurons", "steps", "scratch")} | {"seed": SEED}
    results: dict[str, Any] = {case: {"repeats": []} for case in CASES}
    with tqdm(total=arguments.repeats * len(CASES), unit="run", disable=None) as bar:
        for turn in range(arguments.repeats):
            # Who comes first changes: a processor that warms up or cools down is nobody's merit.
            for case in CASES if turn % 2 == 0 else CASES[::-1]:
                bar.set_description(case)
                results[case]["repeats"].append(measure(case, spec))
                bar.update()
    if len({one["spikes"] for case in CASES for one in results[case]["repeats"]}) > 1:
        raise SystemExit("the runs did not simulate the same")
    print(
        f"{'':12}{'ms a step':>12}{'cpu ms':>10}{'slower':>10}{'by cpu':>10}{'open ms':>10}{'close ms':>10}"
    )
    for case, found in results.items():
        for figure in FIGURES:
            found[figure] = summary([one[figure] for one in found["repeats"]])
            found[f"{figure}_slower"] = slower(results, case, figure)
        ms = [found[figure]["median"] / arguments.steps * 1e3 for figure in FIGURES]
        shares = [found[f"{figure}_slower"]["median"] for figure in FIGURES]
        for end in ENDS:
            found[end] = summary([one[end] for one in found["repeats"]])
        ms += [found[end]["median"] * 1e3 for end in ENDS]
        times = f"{shares[0]:>10.2%}{shares[1]:>10.2%}{ms[2]:>10.1f}{ms[3]:>10.1f}"
        print(f"{case:12}{ms[0]:>12.3f}{ms[1]:>10.3f}{times}")
    record = {"environment": {**before, "brian2": version("brian2")}, **spec, "every": EVERY}
    record.pop("scratch")
    saved = save(
        "simulator-quick" if arguments.quick else "simulator",
        {**record, "results": results},
        arguments.output,
    )
    print(f"\nsaved {saved}")


if __name__ == "__main__":
    main()
