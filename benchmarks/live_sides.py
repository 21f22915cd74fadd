"""The processes of live.py: ``live_sides.py write|read|alternate …`` prints what it measured as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's

import numpy as np

from loaders import LiveExperiment, NotRunningError, ReadError
from recorder import DataExporter

NEURONS = 100
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
RETURNED = "returned.npy"
"""When each call of ``log()`` was over, of a writer that keeps a rate: a file beside the recording."""
WINDOWS = "windows.npy"
"""Time, and the writer's processor time, after every so many steps of one that does not: such a file, too."""
WINDOW = 30_000
TURN = 0.7
"""Seconds for which a reader reads, and for which it then does nothing."""

now = time.monotonic


def percentiles(seconds: Any) -> dict[str, float]:
    """In milliseconds."""
    found = np.percentile(seconds, list(PERCENTILES.values())) * 1e3
    return dict(zip(PERCENTILES, found.tolist(), strict=True))


def processor_seconds() -> float:
    """Of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write(folder: str, rate: str, steps: str, interval: str) -> dict[str, Any]:
    """Log so many steps, each with the time of its call.

    An ``interval`` of 0 is for a recording without ``enable_swmr``.
    """
    rng = np.random.default_rng(0)
    spikes = list(rng.random((1000, NEURONS)) < 0.02)
    v = rng.normal(size=NEURONS)
    count, every, swmr = int(steps), 1 / int(rate) if int(rate) else 0.0, float(interval)
    options: dict[str, Any] = {"enable_swmr": True, "flush_interval": swmr} if swmr else {}
    called, returned = np.zeros((2, count if every else 0))
    windows: list[tuple[float, float]] = []
    with DataExporter("live", folder, **options) as exporter:
        exporter.start_episode()
        log = exporter.log
        input()  # the reader is there
        begun = due = now()
        for first in range(0, count, WINDOW):
            windows.append((now(), processor_seconds()))
            for step in range(first, min(count, first + WINDOW)):
                at = now()
                log(
                    timestep=step,
                    neural_state={"v": v},
                    spikes=spikes[step % 1000],
                    behavior={"at": at},
                    reward=0.0,
                )
                if every:
                    called[step], returned[step] = at, now()
                    due += every
                    time.sleep(max(0.0, due - now()))
        took: dict[str, Any] = {"steps_per_s": count / (now() - begun)}
        if every:
            np.save(Path(folder) / RETURNED, returned)
            took["log_ms"] = percentiles(returned - called)
        np.save(Path(folder) / WINDOWS, np.array(windows))
        exporter.end_episode(success=True)
    return took


def read(folder: str) -> dict[str, Any]:
    """Follow, and tell how old rows were when they came."""
    ages, came, steps = [], [], []
    rows = 0
    with LiveExperiment(folder, wait=60) as live:
        print("ready", flush=True)
        used = processor_seconds()
        for update in live.follow(history=True):
            at = update.streams.get("behavior/at")
            if at is not None:
                # Of every row its own: they wait for one another within an update.
                time_, every = now(), max(1, len(at.values) // 100)
                ages.append(time_ - at.values[::every])
                came.append(np.full(len(ages[-1]), time_))
                steps.append(at.timesteps[::every])
                rows += len(at.values)
    found = {"rows": rows, "updates": len(ages), "ms": percentiles(np.concatenate(ages))}
    if (Path(folder) / RETURNED).exists():
        over = np.load(Path(folder) / RETURNED)[np.concatenate(steps)]
        # A row is there a moment before its call is over.
        found["after_log_ms"] = percentiles(np.maximum(np.concatenate(came) - over, 0.0))
    return found | {"reader_cpu_s": processor_seconds() - used}


def follow(live: LiveExperiment, until: float) -> None:
    """Take what comes."""
    for _ in live.follow(idle=TURN / 10):
        if now() > until:
            return


def stop(live: LiveExperiment, until: float) -> None:
    """Begin to follow, and then ask for nothing more, as who is stopped in the midst of it."""
    updates = live.follow(idle=TURN / 100)
    next(updates, None)
    time.sleep(max(0.0, until - now()))
    updates.close()  # type: ignore[attr-defined]


def reopen(live: LiveExperiment, until: float) -> None:
    """Open the recording, look at its newest rows, and close it, again and again."""
    while now() < until and live.running:
        try:
            with LiveExperiment(live.h5_path) as again:
                again.tail("behavior/at", 100)
        except (NotRunningError, ReadError, KeyError):
            time.sleep(0.01)


def compute(_: LiveExperiment, until: float) -> None:
    """Keep a processor busy, and read nothing."""
    while now() < until:
        pass


READERS = {"stopped": stop, "follows": follow, "opens anew": reopen, "computes": compute}


def alternate(folder: str, what: str) -> dict[str, float]:
    """Do this and do nothing by turns, and tell how the writer fared with it and without."""
    turns, used = [], 0.0
    with LiveExperiment(folder, wait=60) as live:
        print("ready", flush=True)
        while live.running:
            begun, before = now(), processor_seconds()
            READERS[what](live, begun + TURN)
            turns.append((begun, now()))
            used += processor_seconds() - before
            time.sleep(TURN)
    windows = np.load(Path(folder) / WINDOWS)
    begins, ends = windows[:-1, 0], windows[1:, 0]
    beside, alone = np.zeros(len(ends), bool), np.ones(len(ends), bool)
    for begun, over in turns:
        beside |= (begins >= begun) & (ends <= over)
        alone &= (begins >= over) | (ends <= begun)
    took, cpu = np.diff(windows, axis=0).T / WINDOW
    busy = sum(over - begun for begun, over in turns)
    return {
        "steps_per_s_alone": float(1 / took[alone].mean()),
        "steps_per_s_beside": float(1 / took[beside].mean()),
        "rate_of_alone": float(took[alone].mean() / took[beside].mean()),
        "cpu_us_a_step_alone": float(cpu[alone].mean() * 1e6),
        "cpu_us_a_step_beside": float(cpu[beside].mean() * 1e6),
        "cpu_of_alone": float(cpu[beside].mean() / cpu[alone].mean()),
        "processors_of_reader": used / busy,
    }


if __name__ == "__main__":
    _, side, *arguments = sys.argv
    sides: dict[str, Any] = {"write": write, "read": read, "alternate": alternate}
    print(json.dumps(sides[side](*arguments)), flush=True)
