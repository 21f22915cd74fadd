"""A parameter sweep by several processes, a recording each, and all of them as one table.

    python examples/sweep.py                       processes of this machine
    mpirun -n 8 python examples/sweep.py           a share for each MPI rank
    sbatch --array=0-7 --wrap "python examples/sweep.py"    and for each task of a SLURM array

The tasks of an array share the settings, however many they are; their ids are evenly spaced, as 0-7, 1-8 or
0-14:2. Folders are made exclusively, so no two recordings collide, whoever makes them at the same instant.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from loaders import ExperimentCollection
from recorder import DataExporter

SETTINGS = [{"noise": noise, "seed": seed} for noise in (0.5, 1.0, 2.0) for seed in range(4)]


def run(setting: dict[str, float], output: str | Path = "experiments") -> Path:
    """Simulate one setting; the recording's folder."""
    rng = np.random.default_rng(int(setting["seed"]))
    v, rate = np.full(50, -65.0), 0.0
    with DataExporter("sweep", str(output), neural_sampling_rate=10) as exporter:
        exporter.save_config(setting)
        exporter.start_episode()
        for t in range(1000):
            v += 0.05 * (-65.0 - v) + rng.normal(0.8, setting["noise"], len(v))
            spikes = v > -50.0
            v[spikes] = -65.0
            rate += spikes.mean() / 1000
            exporter.log(t, neural_state={"v": v}, spikes=spikes)
        exporter.end_episode(summary={"rate": rate})
    return exporter.output_dir


def share() -> tuple[int, int]:
    """Which of how many processes this is, by what MPI or SLURM say of it; the only one without them."""
    told = os.environ
    if "SLURM_ARRAY_TASK_COUNT" in told:
        return array_share(*(int(told[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN", "MAX", "COUNT")))
    for kind in ("OMPI_COMM_WORLD", "PMI"):
        if f"{kind}_SIZE" in told:
            return int(told[f"{kind}_RANK"]), int(told[f"{kind}_SIZE"])
    return 0, 1


def array_share(task: int, first: int, last: int, count: int) -> tuple[int, int]:
    """The place of a task among those of its array, whose other ids nobody tells."""
    step = (last - first) // (count - 1) if count > 1 else 1
    rank = (task - first) // step
    if first + (count - 1) * step != last or first + rank * step != task:
        sys.exit(f"task {task} of {count} from {first} to {last}: give evenly spaced ids, as --array=0-7")
    return rank, count


def sweep(output: str | Path = "experiments", processes: int = 4) -> list[Path]:
    """Run this process's share of the settings; the recordings' folders."""
    rank, size = share()
    settings = SETTINGS[rank::size]
    if size > 1:
        return [run(setting, output) for setting in settings]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, settings, [output] * len(settings)))


if __name__ == "__main__":
    place = sys.argv[1] if len(sys.argv) > 1 else "experiments"
    folders = sweep(place)
    if share()[1] == 1:
        runs = ExperimentCollection(place)  # of whatever else was recorded there, too
        for done in sorted((runs[folder.name] for folder in folders), key=lambda one: one["config.noise"]):
            print(done.name, done["config.noise"], done["config.seed"], done["status"])
