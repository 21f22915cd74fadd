"""Write the golden recordings of a format version: ``python -m tests.golden.make tests/golden/v1_0``.

A golden recording is never written again: what an earlier version stored is what later ones must read. A new
format version gets a folder of its own. Names of machines, paths and process ids are placeholders.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import recorder.recording
import recorder.saving
from recorder import DataExporter, SpikeIndices, StandardDataExporter
from tests.golden.inputs import load, rows

HOST = "host.example"
MODEL = b"def step(v):\n    return v * 0.9  # \xc3\xa4ndert sich\n"
SHARED_NAME = b"THRESHOLD = -50.0\n"
N = 10


class Scenario:
    """Calls, and the arrays they name."""

    def __init__(self, exporter: str, **options: Any) -> None:
        self.exporter, self.options = exporter, options
        self.calls: list[list[Any]] = []
        self.arrays: dict[str, Any] = {}

    def call(self, method: str, **arguments: Any) -> None:
        """One more call; arrays in its arguments go to ``inputs.npz``."""
        self.calls.append([method, self._named(arguments)])

    def write(self, folder: Path) -> None:
        """``inputs.json`` and ``inputs.npz``."""
        text = {"exporter": self.exporter, "options": self.options, "calls": self.calls}
        (folder / "inputs.json").write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", "utf-8")
        np.savez_compressed(folder / "inputs.npz", **self.arrays)

    def _named(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._named(item) for key, item in value.items()}
        if isinstance(value, np.ndarray):
            name = f"a{len(self.arrays)}"
            self.arrays[name] = value
            return {"npz": name}
        return value


def python(text: str) -> dict[str, str]:
    """The value of a Python expression."""
    return {"python": text}


CONFIG = python(
    "{'n_neurons': 10, 'rate': 0.25, 'name': 'Zürich \\U0001f9e0', 'on': True, 'none': None, 'big': 2**70,"
    " 'nan': nan, 'inf': -inf, 'zero': -0.0, 'list': [1, 2.5, 'x', [True]], 'tuple': (1, (2, 'b')),"
    " 'set': {1, 2}, 'frozen': frozenset({('a', 1)}), 'bytes': b'\\x00\\xff', 'complex': complex(-0.0, inf),"
    " 'path': Path('data/run.h5'), 'datetime': datetime(2026, 3, 1, 12, 30, 15, 250),"
    " 'aware': datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=2))), 'date': date(2026, 3, 1),"
    " 'time': time(7, 8, 9), 'span': timedelta(days=-1, microseconds=3), 'ints': {1: 'a', (2, 3): 'b'},"
    " 'dollar': {'$float': 1}, 'nested': {'a': {'b': {'c': []}}}, 'empty': {},"
    " 'array': np.arange(6, dtype='<i2').reshape(2, 3), 'big_endian': np.array([1.5, nan], '>f4'),"
    " 'words': np.array(['a', 'ü']), 'when': np.array(['2026-03-01', 'NaT'], 'M8[D]'),"
    " 'no_rows': np.empty((0, 3)), 'f16': np.float16(0.1), 'u8': np.uint64(2**64 - 1),"
    " 'np_bool': np.bool_(True), 'c64': np.complex64(1 - 2j), 'lone': '\\ud800', 'nul': 'a\\x00b'}"
)
TREE = python(
    "{'weights': np.arange(12.0).reshape(3, 4), 'empty': np.empty((0, 2), np.int16), 'count': 3,"
    " 'scale': np.float32(0.5), 'half': np.float16(-0.0), 'label': 'Grüße', 'names': ['a', 'bc', ''],"
    " 'list': [1, 2, 3], 'mixed': [1, 'a', None], 'none': None, 'pair': (1, 2),"
    " 'bytes': np.frombuffer(b'{}', np.uint8),"
    " 'matrix': sparse.coo_matrix(([1.0, 0.0], ([0, 2], [1, 3])), shape=(3, 5)),"
    " 'inner': {'flags': np.array([True, False]), 'deep': {'z': 1j}, 'nothing': {}},"
    " 'by_number': {1: 'one'}, 'large': {7: 'x' * 40000}}"
)
STATE = python("{'v': np.full((2, 3), -0.0), 'mixed': [1, 'a', None], 'inner': {'label': 'ä'}}")
WEIGHTS = {
    "dense": python("np.array([[0.0, -0.0, nan], [1.5, 0.0, inf]])"),
    "sparse": python("sparse.csc_array(([0.5, 0.0, -1.0], ([0, 1, 1], [2, 0, 1])), shape=(2, 4))"),
    "vector": python("np.array([1, -2, 3], np.int8)"),
    "columns": python("{'excitatory': np.array([0.1, 0.2]), 'note': 'two', 'inhibitory': [-1.0, -2.0]}"),
}


def network(scenario: Scenario, weights: str) -> None:
    """A small network with text columns."""
    scenario.call(
        "save_network_structure",
        neurons=python(
            "{'neuron_ids': np.arange(10), 'neuron_types': ['exc'] * 8 + ['Körner'] * 2,"
            " 'layer': np.array(['L2/3', 'L4'] * 5), 'threshold': np.full(10, -50.0, np.float32),"
            " 'model': 'izhikevich', 'position': np.arange(30.0).reshape(10, 3)}"
        ),
        connections=python(
            "{'source_ids': np.array([0, 3, 3]), 'target_ids': np.array([1, 4, 5], np.uint16),"
            " 'plastic': [True, False, True]}"
        ),
        initial_weights=WEIGHTS[weights],
    )


def full(exporter: str) -> Scenario:
    """Every dtype, late and missing streams, empty episodes, and everything beside them."""
    rates = {"v": 10, "w": 3, "u": 0, "slow": 50}
    scenario = Scenario(exporter, neural_sampling_rate=rates, validate_data=False)
    if exporter == "optimized":
        scenario.options |= {"chunk_size": 90, "async_write": False, "ring_bytes": 1 << 20}
    rng = np.random.default_rng(1)
    call = scenario.call
    call("save_config", config=python("{'replaced': True}"))
    call("save_config", config=CONFIG)
    call("save_metadata", metadata=python("{'subject': 'M3', 'json': 1, 'notes': ['a', 'ü']}"))
    call("save_metadata", metadata=python("{'rig': 2, 'subject': 'M4'}"))
    call("save_git_info")
    call("save_code_snapshot", code_files=["model.py", "other/model.py"])
    network(scenario, "dense")
    every_kind(scenario, rng)
    call("start_episode")
    call("end_episode", success=False)
    call("start_episode", episode_id=12345)
    call("log", timestep=5, event_type="alone", data=None)
    call("save_checkpoint", name="trained", data=TREE)
    call("end_episode", success=True, summary=python("{}"))
    return scenario


def spikes(exporter: str) -> Scenario:
    """Graded spikes and spikes as indices, weight changes by pair, many events."""
    scenario = Scenario(exporter, neural_sampling_rate=2, validate_data=False)
    if exporter == "optimized":
        scenario.options |= {"chunk_size": 50, "async_write": False, "ring_bytes": 1 << 20}
    rng = np.random.default_rng(3)
    network(scenario, "sparse")
    graded(scenario, rng)
    indices(scenario, rng)
    return scenario


def every_kind(scenario: Scenario, rng: np.random.Generator) -> None:
    """An episode: dtypes, late and missing streams, several rates, weight changes by id."""
    call = scenario.call
    call("start_episode")
    call("log_static_episode_data", name="stimulus", data=STATE)
    kinds = ["?", "i1", "u1", "i2", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]

    def segment(start: int, count: int, *, y: bool, late: bool, spikes: bool, reward: bool, how: str) -> None:
        neural = {
            "v": awkward(rng.normal(size=(count, N))),
            "w": rng.normal(size=(count, 2, 3)).astype("f4"),
            "u": (rng.normal(size=(count, 2)) + 1j).astype("c8"),
        }
        behavior = {"x": awkward(rng.normal(size=count))} | {
            f"kind_{kind}" if kind != "?" else "kind_b1": limits(kind, count) for kind in kinds
        }
        if y:
            behavior["y"] = rng.integers(-9, 9, (count, 2)).astype("i4")
        if late:
            behavior["läte"], neural["slow"] = rng.normal(size=count), rng.normal(size=(count, 2))
        arguments = {"neural_state": neural, "behavior": behavior}
        if spikes:
            arguments["spikes"] = rng.random((count, N)) < 0.04
        if reward:
            arguments["reward"] = np.repeat([0.0, -0.0, np.nan, np.inf, 0.5], count)[::5][:count]
        call(how, timesteps=np.arange(start, start + count), **arguments)

    segment(0, 100, y=True, late=False, spikes=True, reward=True, how="log_rows")
    call("log", timestep=150, synapse_id=3, old_weight=0.5, new_weight=1)
    segment(150, 70, y=False, late=False, spikes=True, reward=False, how="log_batch")
    data = python("{'position': np.array([0.5, 1.0]), 'who': ('A', {'ü': nan}), 'n': 2**63}")
    call("log", timestep=280, event_type="target_reached", data=data)
    segment(280, 80, y=True, late=True, spikes=False, reward=True, how="log_rows")
    call("log", timestep=360)
    call(
        "log", timestep=360, synapse_id=4, old_weight=-0.0, new_weight=python("nan"),
        behavior={"only": True}, event_type="both", data=python("{}"), reward=7,
    )  # fmt: skip
    segment(340, 70, y=True, late=True, spikes=True, reward=True, how="log_batch")
    call("end", success=True, final_state=STATE)


def awkward(values: Any) -> Any:
    """With a NaN, infinities and a negative zero among them."""
    values.reshape(-1)[[3, 5, 7, 11]] = np.nan, np.inf, -np.inf, -0.0
    return values


def limits(kind: str, count: int) -> Any:
    """Smallest and largest values of a dtype, in turn."""
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        ends = [False, True]
    elif dtype.kind in "iu":
        ends = [np.iinfo(dtype).min, np.iinfo(dtype).max]
    else:
        real = np.finfo(dtype)
        ends = [real.min, real.max, np.nan, -0.0, real.smallest_subnormal]
    return np.resize(np.array(ends, dtype), count)


def graded(scenario: Scenario, rng: np.random.Generator) -> None:
    """An episode: graded spikes, repeated and falling timesteps, changes by pair, a large summary."""
    call = scenario.call
    call("start_episode")
    raster = np.where(rng.random((180, N)) < 0.05, rng.normal(size=(180, N)), 0).astype("f4")
    raster[3, :4] = -0.0, np.nan, np.inf, 1e-45
    steps = np.concatenate([np.arange(100), np.full(30, 100), np.arange(100, 50, -1)])
    call("log_rows", timesteps=steps, spikes=raster, neural_state={"v": rng.normal(size=(180, 3))})
    for step in range(70):
        call(
            "log", timestep=step, synapse_id=python(f"({step}, {step + 1})"), old_weight=0.25,
            new_weight=-step, rule=python(f"np.int8({step - 30})"), trace=step / 7, active=bool(step % 2),
        )  # fmt: skip
    call("end_episode", success=True, summary=python("{'laps': 3, 'text': 'ä' * 20000, 'p': Path('x')}"))


def indices(scenario: Scenario, rng: np.random.Generator) -> None:
    """An episode: spikes as indices, in any order and with silent rows, then events alone."""
    call = scenario.call
    call("start_episode")
    row, neurons = np.nonzero(rng.random((140, N)) < 0.05)
    for how in (neurons[::-1], neurons):
        order = np.argsort(row, kind="stable") if how is neurons else np.lexsort((-neurons, row))
        spikes = {"rows": row[order], "neurons": neurons[order], "n_neurons": N}
        call("log_rows", timesteps=np.arange(140) * 3, spikes=spikes, behavior={"x": np.ones((140, 2))})
        call("log", timestep=-7, event_type="between", data=python("{'bytes': b'x'}"))
    for step in range(90):
        call("log", timestep=step, event_type=f"kind {step % 3}", data={"n": step, "text": "€" * (step % 5)})
    call("end_episode", success=False, summary=python("{'small': (1, 2), 'nan': nan}"))


def silence(exporter: str) -> Scenario:
    """Gaps that 32 bits cannot hold: one of exactly 2**32 - 1 silent cells, one of more than twice that."""
    scenario = Scenario(exporter, neural_sampling_rate=1, validate_data=False, compression="lzf")
    network(scenario, "vector")
    scenario.call("start_episode")
    n = 1 << 21
    spikes = {"rows": np.array([0, 2048, 6200, 6200]), "neurons": np.array([0, 0, 5, n - 1]), "n_neurons": n}
    scenario.call("log_rows", timesteps=np.arange(6300), spikes=spikes)
    scenario.call("end_episode", success=True)
    return scenario


def interrupted(exporter: str) -> Scenario:
    """An exception leaves the ``with`` block while an episode runs."""
    scenario = Scenario(exporter, neural_sampling_rate=4, validate_data=False)
    scenario.options |= {"compression": None} if exporter == "optimized" else {"compression_level": 9}
    network(scenario, "columns")
    scenario.call("start_episode")
    raster = np.arange(60 * 6).reshape(60, 6) % 7 == 0
    scenario.call(
        "log_rows",
        timesteps=np.arange(60),
        neural_state={"v": np.arange(60.0), "w": np.arange(120).reshape(60, 2)},
        spikes=raster.astype("u2") * 3,
        reward=np.ones(60),
    )
    scenario.call("raise")
    return scenario


def killed() -> Scenario:
    """Killed in its second episode, of which a part is in the file and the rest in the ring."""
    scenario = Scenario(
        "optimized", neural_sampling_rate={"v": 5}, validate_data=False, chunk_size=100, ring_bytes=1 << 20
    )
    rng = np.random.default_rng(2)
    network(scenario, "dense")
    for count in (120, 2500):
        scenario.call("start_episode")
        scenario.call(
            "log_static_episode_data", name="stimulus", data=python("{'gain': 2.0, 'mixed': [1, 'a']}")
        )
        for start, stop in ((0, count - 40), (count - 40, count)):
            behavior = {"x": np.arange(start, stop) / 8}
            if start:
                behavior["late"] = np.arange(start, stop)
            scenario.call(
                "log_rows",
                timesteps=np.arange(start, stop),
                neural_state={"v": np.round(rng.normal(size=(stop - start, 4)), 1)},
                spikes=rng.random((stop - start, 30)) < 0.03,
                behavior=behavior,
                reward=np.arange(start, stop) // 50 / 2,
            )
            scenario.call("log", timestep=stop, synapse_id=start, old_weight=0.5, new_weight=0.75)
            scenario.call("log", timestep=stop, event_type="mark", data={"stop": stop, "text": "ü"})
        if count == 120:
            scenario.call("end_episode", success=True, summary={"episode": 0})
    return scenario


def clocks(exporter: str) -> Scenario:
    """Timesteps that count evenly, repeat, fall, and begin late, each in several chunks."""
    scenario = Scenario(exporter, neural_sampling_rate=1, validate_data=False, chunk_size=40)
    scenario.options |= {"async_write": False, "ring_bytes": 1 << 20}
    network(scenario, "vector")
    repeats, fall = np.arange(150) // 2 * 2, np.append(np.arange(140), np.arange(130, 140))
    for steps in (np.arange(150) * 5 - 30, repeats, fall):
        scenario.call("start_episode")
        timed_rows(scenario, steps)
        scenario.call("end_episode", success=True)
    return scenario


def killed_clocks() -> Scenario:
    """Killed when what is known of the timesteps is in the state, and some of them are in the ring."""
    scenario = Scenario(
        "optimized", neural_sampling_rate=1, validate_data=False, chunk_size=200, ring_bytes=1 << 20
    )
    network(scenario, "vector")
    scenario.call("start_episode")
    timed_rows(scenario, np.append(np.arange(5000), np.arange(5200, 6200)))
    return scenario


def timed_rows(scenario: Scenario, steps: Any) -> None:
    """A row of each group for every step, and of one stream for the later half of them."""
    half = len(steps) // 2
    for part, late in ((steps[:half], {}), (steps[half:], {"late": steps[half:] / 2})):
        scenario.call(
            "log_rows",
            timesteps=part,
            neural_state={"v": part[:, None] / np.array([1, 3])},
            spikes=part[:, None] % 7 == np.arange(4),
            behavior={"x": part * 2, **late},
            reward=part // 10 / 2,
        )


def killed_indices() -> Scenario:
    """Killed in its first episode, with spikes as indices and a filter that HDF5 applies itself."""
    scenario = Scenario(
        "optimized", neural_sampling_rate=1, validate_data=False, compression="lzf", chunk_size=200,
        ring_bytes=1 << 20,
    )  # fmt: skip
    rng = np.random.default_rng(4)
    network(scenario, "vector")
    scenario.call("start_episode", episode_id=3)
    count = 6000
    row, neurons = np.nonzero(rng.random((count, 40)) < 0.02)
    scenario.call(
        "log_rows",
        timesteps=np.arange(count) * 2,
        spikes={"rows": row, "neurons": neurons, "n_neurons": 40},
        behavior={"on": np.arange(count) % 3 == 0},
        reward=np.arange(count) // 1000 / 4,
    )
    return scenario


def killed_gaps() -> Scenario:
    """Killed after steps without their index lists, so that these have a table of their own in the ring."""
    scenario = Scenario(
        "optimized", neural_sampling_rate=1, validate_data=False, chunk_size=150, ring_bytes=1 << 20
    )
    rng = np.random.default_rng(5)
    network(scenario, "columns")
    scenario.call("start_episode")
    for start, stop, spiking in ((0, 700, True), (700, 1000, False), (1000, 3000, True)):
        row, neurons = np.nonzero(rng.random((stop - start, 25)) < 0.02)
        spikes = {"spikes": {"rows": row, "neurons": neurons, "n_neurons": 25}} if spiking else {}
        x = np.arange(start, stop, dtype="f4").reshape(-1, 1)
        scenario.call("log_rows", timesteps=np.arange(start, stop), behavior={"x": x}, **spikes)
    return scenario


SCENARIOS = {
    "full_optimized": lambda: full("optimized"),
    "full_standard": lambda: full("standard"),
    "spikes_optimized": lambda: spikes("optimized"),
    "spikes_standard": lambda: spikes("standard"),
    "silence_optimized": lambda: silence("optimized"),
    "silence_standard": lambda: silence("standard"),
    "interrupted_optimized": lambda: interrupted("optimized"),
    "interrupted_standard": lambda: interrupted("standard"),
    "clocks_optimized": lambda: clocks("optimized"),
    "killed": killed,
    "killed_indices": killed_indices,
    "killed_gaps": killed_gaps,
    "killed_clocks": killed_clocks,
}


def place_holders() -> None:
    """Say nothing about this machine in what is recorded from now on."""
    git = {
        "commit_hash": "0123456789abcdef0123456789abcdef01234567",
        "branch": "main",
        "dirty": True,
        "uncommitted_files": [" M model.py", "?? notes from today.txt"],
        "remote_url": "https://git.example/lab/simulation.git",
    }
    runtime = {
        "python_version": "3.11.0",
        "platform": "Linux",
        "hostname": HOST,
        "hdf5_libver": "v110",
        "working_directory": "/simulation",
        "packages": json.dumps({"scipy": "1.0"}),
        "environment": json.dumps({"OMP_NUM_THREADS": "2"}),
        "process_id": "1",
    }
    recorder.saving.git_info = lambda: git
    recorder.saving.runtime_info = lambda *_: runtime
    recorder.recording.command_line = lambda: "simulate.py --password ***"
    socket.gethostname = lambda: HOST
    process, places = os.getpid(), ("create", "acquire")  # of the ring and of the lock
    os.getpid = lambda: 1 if sys._getframe(1).f_code.co_name in places else process


def replay(folder: Path, base: str) -> Any:
    """Give inputs to their exporter; returns it, closed unless the calls leave an episode open."""
    inputs = load(folder, SpikeIndices)
    maker = DataExporter if inputs["exporter"] == "optimized" else StandardDataExporter
    exporter = maker("golden", base, **inputs["options"])
    try:
        for method, arguments in inputs["calls"]:
            if method == "log_rows":
                for call in rows(arguments, SpikeIndices):
                    exporter.log(**call)
            elif method == "end":
                exporter.current_episode.end(**arguments)
            elif method == "raise":
                raise KeyboardInterrupt
            else:
                getattr(exporter, method)(**arguments)
    except KeyboardInterrupt as error:
        exporter.__exit__(KeyboardInterrupt, error, None)
    if exporter.current_episode is None:
        exporter.close()
    return exporter


def make(folder: Path) -> None:
    """One golden recording in a new folder."""
    folder.mkdir(parents=True)
    SCENARIOS[folder.name]().write(folder)
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        (place / "other").mkdir()
        (place / "model.py").write_bytes(MODEL)
        (place / "other" / "model.py").write_bytes(SHARED_NAME)
        # A process of its own, which dies: closing at exit would be no kill.
        command = [sys.executable, "-m", "tests.golden.make", "--replay", str(folder.resolve())]
        top = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(top)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=place, env=environment) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"logged\n", "the recording failed"
            child.kill()
        (recording,) = (place / "experiments").iterdir()
        for path in recording.iterdir():
            if not path.name.startswith("experiment_data.h5"):
                continue
            if folder.name.startswith("killed"):
                (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            else:
                shutil.copy(path, folder)


def main() -> None:
    """Write what is missing in a folder, or, in a child process, record until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--replay", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        place_holders()
        warnings.simplefilter("ignore")
        exporter = replay(arguments.folder, "experiments")
        if exporter.current_episode is not None:
            exporter.h5_file.close()  # waits until the writer has nothing to do
        print("logged", flush=True)
        time.sleep(600)
    elif arguments.folder.exists():
        sys.exit(f"{arguments.folder} exists: golden recordings are not written again")
    else:
        for name in SCENARIOS:
            make(arguments.folder / name)


if __name__ == "__main__":
    main()
