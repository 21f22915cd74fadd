"""What every benchmark shares: the machine on record, fresh processes, medians, saved results."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PACKAGES = ("flightrec", "numpy", "h5py", "isal", "scipy")


def measure(
    exporter: str,
    workload: str,
    steps: int,
    options: dict[str, Any] | None = None,
    scratch: str | None = None,
    hot_path: str | None = None,
) -> dict[str, Any]:
    """One recording in a fresh process.

    Parameters
    ----------
    exporter : "optimized" or "standard"
    workload : str
        A name in ``workloads.WORKLOADS`` or ``NEURONS``.
    steps : int
        Timesteps over all episodes, at most; a workload may have fewer.
    options : dict
        Further arguments of the exporter.
    scratch : str
        Folder for the recording, which is deleted; the system's temporary folder by default.
    hot_path : "python" or "compiled"
        Which body of log(); None as it comes.

    Returns
    -------
    dict
        The specification with the figures that ``measure.py`` documents.

    Raises
    ------
    RuntimeError
        The process failed; its error output is in the message.
    """
    spec = {
        "exporter": exporter,
        "workload": workload,
        "steps": steps,
        "options": options or {},
        "scratch": scratch,
    }
    result: dict[str, Any] = json.loads(run_fresh("measure.py", json.dumps(spec), hot_path=hot_path))
    result.pop("scratch")
    return result


def run_fresh(script: str, *arguments: str, hot_path: str | None = None) -> str:
    """Standard output of one of the scripts here, in a process of its own."""
    chosen = {} if hot_path is None else {"FLIGHTREC_HOT_PATH": hot_path}
    root = str(HERE.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **chosen},
    )
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range of repeated measurements."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def environment(scratch: str | None = None) -> dict[str, Any]:
    """What a figure depends on besides the code: versions, processor, memory, file system, load."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "file_system": _file_system(Path(scratch or tempfile.gettempdir())),
        "load_average": os.getloadavg(),
    }


def save(name: str, result: dict[str, Any], folder: Path) -> Path:
    """Write ``<folder>/<name>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def version(name: str) -> str:
    """Of an installed distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "checkout" if name == "flightrec" else "not installed"


def _commit() -> str:
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    mounts = [
        part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)
    ]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"
