"""Who can read while it is written, and what survives SIGKILL."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import HERE, run_fresh
from measure_peer import HURRY, RETURNED, SLOW

SCRIPT = "measure_peer.py"
SETTLE = 1.5
"""Seconds of slow calls before the reader comes: a second is what recorders commit by, if by the clock."""


def survive(spec: dict[str, Any], total: int, seed: int) -> dict[str, Any]:
    """One recording, read while it is written and killed later.

    Between a third and a half of its ``total`` steps its calls come slowly for a while, and another process
    opens it. Later, at a step drawn at random or when it has logged all, it is killed.

    Returns
    -------
    dict
        ``"live"``: ``logged``, steps ``seen`` whole, ``rows`` of each stream, and the reader's ``error``;
        ``"killed"``: these and ``lost``.
    """
    rng = random.Random(seed)
    slow_from = max(1, int(total * rng.uniform(0.33, 0.5)))
    aim = int(total * rng.uniform(0.6, 0.98))
    with tempfile.TemporaryDirectory(prefix="flightrec-peers-", dir=spec.get("scratch")) as scratch:
        folder = Path(scratch) / "recording"
        folder.mkdir()
        np.zeros(3, np.uint64).tofile(Path(scratch) / "told")
        told = np.memmap(Path(scratch) / "told", np.uint64, "r+")
        here = {**spec, "folder": str(folder), "told": str(Path(scratch) / "told"), "slow_from": slow_from}
        with _started({**here, "do": "record"}) as child:
            try:
                _wait(child, lambda: bool(told[SLOW]))
                time.sleep(SETTLE)
                live = _read(here, 0)
                live["logged"] = int(told[RETURNED])  # a reader may see what came while it read
                told[HURRY] = 1
                _wait(child, lambda: told[RETURNED] >= aim)
            finally:
                child.kill()
                child.wait()
            logged = int(told[RETURNED])
        killed = _read(here, logged)
    return {"live": live, "killed": {**killed, "lost": max(0, logged - killed["seen"])}}


def _read(spec: dict[str, Any], logged: int) -> dict[str, Any]:
    found: dict[str, Any] = {"logged": logged, "seen": 0, "rows": {}}
    try:
        result = json.loads(run_fresh(SCRIPT, json.dumps({**spec, "do": "read"})))
    except RuntimeError as error:  # the reader came down, or a value was wrong
        return {**found, "error": str(error).strip().splitlines()[-1][:160]}
    return {**found, "seen": result["steps"], "rows": result["rows"], "error": result["error"]}


def _started(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(HERE / SCRIPT), json.dumps(spec)]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(child: subprocess.Popen[bytes], reached: Any, limit: float = 300.0) -> None:
    until = time.monotonic() + limit
    while not reached():
        if child.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the recorder ended early, with status {child.poll()}")
        time.sleep(0.0005)
