"""The comparison with other recorders runs, reads back what they wrote, and saves what it prints."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / "peers.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_little_of_everything(tmp_path: Path) -> None:
    peers = ("flightrec", "flightrec-python", "h5py", "npz", "sqlite", "arrow")
    works = ("facts",)
    out = run(
        *("--quick", "--steps", "1500", "--peers", *peers, "--workloads", *works),
        *("--output", str(tmp_path)),
    )
    assert "lost to SIGKILL" in out
    found = json.loads((tmp_path / "peers-quick.json").read_text())
    assert {"processor", "file_system", "packages", "peers"} <= set(found["environment"])
    assert set(found["missing"]) <= {"flightrec-python", "arrow"}
    for name in works:
        rows = found["results"][name]
        assert {"flightrec", "h5py", "npz", "sqlite"} <= set(rows)
        for row in rows.values():
            assert "error" not in row
            assert len(row["repeats"]) == len(row["survival"]) == 1
            assert row["steps"] == 1500
            assert row["steps_per_s"]["median"] > 0
        assert rows["flightrec"]["survival"][0]["killed"]["lost"] == 0
        assert found["verdicts"][name]["steps_per_s"]["best_peer"] in rows
    assert (tmp_path / "peers-quick.png").stat().st_size > 10_000


def test_the_list_says_what_is_missing() -> None:
    out = run("--list")
    assert "sqlite" in out
    assert "dense32" in out


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peer import PEERS, check, protocol, work

    return SimpleNamespace(peers=PEERS, check=check, protocol=protocol, work=work)


@pytest.mark.parametrize("peer", ["h5py", "npz", "sqlite"])
@pytest.mark.parametrize("form", ["raster", "indices"])
def test_several_episodes_come_back(modules: Any, tmp_path: Path, peer: str, form: str) -> None:
    short = dataclasses.replace(modules.work.WORKLOADS["short"], spikes_as=form, neurons=7, rate=0.3)
    given = modules.work.prepare(short.shortened(1400), seed=1)
    module = modules.peers[peer].load()
    recorder = module.Recorder(tmp_path, given.work)
    for rows in modules.work.episodes(given):
        recorder.start_episode()
        modules.protocol.drive(recorder, rows)
        recorder.end_episode()
    recorder.close()
    part, error = modules.check.collect(module.read(tmp_path))
    assert error is None
    assert modules.check.check(part, given, scalars=False) == 1400


@pytest.mark.parametrize("field", ["x", "y", "reward", "counts", "neurons", "v"])
def test_a_changed_value_is_noticed(modules: Any, field: str) -> None:
    work = dataclasses.replace(modules.work.WORKLOADS["facts"], episodes=1, steps=300, neurons=7)
    given = modules.work.prepare(work, seed=1)
    inputs, kept = given.inputs, given.v[:300:100]
    part = modules.protocol.Part(
        counts=inputs.spikes.sum(axis=1),
        neurons=inputs.spikes.nonzero()[1],
        x=np.array(inputs.x),
        y=np.array(inputs.y),
        reward=np.array(inputs.reward),
        v=np.array(kept),
    )
    assert modules.check.check(part, given, scalars=False) == 300
    values = getattr(part, field)
    setattr(part, field, values[: len(values) // 2])
    assert modules.check.check(part, given, scalars=False) < 300, "a cut shortens what came back"
    values = values.copy()
    values[0] += 1
    setattr(part, field, values)
    with pytest.raises(modules.check.WrongError, match=r"counts|neurons" if field == "counts" else field):
        modules.check.check(part, given, scalars=False)
