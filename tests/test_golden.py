"""Golden recordings: what format 1.0 stored is what was given, for the loaders and for a stranger.

:class:`Stranger` is a reader that knows ``recorder/format/README.md``, h5py and NumPy, and nothing of ours.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

from loaders import ExperimentLoader
from recorder.h5.repair import repair
from recorder.h5.verify import verify
from tests.golden.inputs import load, rows
from tests.golden.make import HOST, MODEL, SCENARIOS, SHARED_NAME, main, make

GOLDEN = Path(__file__).parent / "golden" / "v1_0"
KILLED = ["killed", "killed_indices", "killed_gaps", "killed_clocks"]
CLOSED = sorted(set(SCENARIOS) - set(KILLED))
SPECIAL = {"neural_states", "spikes", "behavior", "rewards", "weight_changes", "events", "final_state"}


class Stranger:
    """A reader written from the specification alone."""

    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path, "r")
        assert self.file.attrs["format"] == "flightrec"
        assert self.file.attrs["format_version"].split(".")[0] == "1"

    def decode(self, item: Any) -> Any:
        if isinstance(item, list):
            return [self.decode(part) for part in item]
        if not isinstance(item, dict):
            return item
        if not any(key.startswith("$") for key in item):
            return {key: self.decode(part) for key, part in item.items()}
        ((tag, body),) = item.items()
        if tag in ("$array", "$scalar"):
            raw, dtype = base64.b64decode(body["data"]), np.dtype(body["dtype"])
            array = np.frombuffer(raw, dtype).reshape(body.get("shape", ()))
            return array if tag == "$array" else array[()]
        plain = {
            "$float": float, "$path": Path, "$bytes": base64.b64decode, "$datetime": datetime.fromisoformat,
            "$date": date.fromisoformat, "$time": time.fromisoformat,
        }  # fmt: skip
        if tag in plain:
            return plain[tag](body)
        parts = self.decode(body)
        if tag == "$dict":
            return {key: value for key, value in parts}  # noqa: C416
        if tag == "$complex":
            return complex(*map(float, parts))
        if tag == "$timedelta":
            return timedelta(*parts)
        return {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[tag](parts)

    def document(self, group: Any, name: str) -> Any:
        if name in group.attrs:
            return self.decode(json.loads(bytes(group.attrs[name])))
        return self.decode(json.loads(group[name][:].tobytes())) if name in group else None

    def array(self, dataset: Any) -> Any:
        values = dataset[()]
        if dataset.dtype.kind != "S":
            return values
        return values.decode() if values.shape == () else np.char.decode(values, "utf-8")

    def tree(self, group: Any) -> Any:
        if group.attrs.get("format") == "csr":
            indptr, indices, data = (group[name][:] for name in ("indptr", "indices", "data"))
            shape, given = tuple(group.attrs["shape"].tolist()), group.attrs["given"]
            if given != "dense":
                return (given, shape, indptr, indices, data)
            dense = np.zeros(shape, data.dtype)
            dense[np.repeat(np.arange(shape[0]), np.diff(indptr)), indices] = data
            return dense
        out = {}
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                out[name] = self.tree(item)
            else:
                whole = item.attrs.get("format") == "json"
                out[name] = self.document(group, name) if whole else self.array(item)
        texts = {name: value for name, value in group.attrs.items() if isinstance(value, bytes)}
        return out | {name: self.document(group, name) for name in texts}

    def rows(self, dataset: Any) -> Any:
        episode = self.file["/".join(dataset.name.split("/")[:3])]
        stop = episode["committed"][dataset.attrs["counter"]] if "committed" in episode else None
        return dataset[:stop]

    def timed(self, group: Any) -> tuple[Any, dict[str, Any]]:
        streams = {
            key: (self.rows(group[column.attrs["timesteps"]]), self.rows(column))
            for key, column in group.items()
            if "timesteps" in column.attrs
        }
        return (self.rows(group["timesteps"]) if "timesteps" in group else None), streams

    def spikes(self, g: Any) -> tuple[list[int], list[Any], list[Any]] | None:
        if "format" not in g.attrs:
            return None
        n = int(g.attrs["n_neurons"])
        if g.attrs["format"] == "events":
            steps, counts = g["rows"][:], np.diff(g["row_ends"][:], prepend=0)
            row, neurons, values = (
                np.repeat(np.arange(len(steps)), counts),
                g["values"][:],
                g.get("amplitudes"),
            )
        else:
            gaps = self.rows(g["intervals"]).astype("u8")
            spike = gaps != 2**32 - 1
            cells = (np.cumsum(gaps + spike) - 1)[spike]
            steps, row, neurons, values = self.rows(g["timesteps"]), cells // n, cells % n, g.get("values")
        pairs = list(zip(row.tolist(), neurons.tolist(), strict=True))
        return steps.tolist(), pairs, [] if values is None else self.rows(values).tolist()

    def rewards(self, g: Any) -> tuple[Any, Any] | None:
        if "format" not in g.attrs:
            return None
        values = g["values"][:]
        if g.attrs["format"] == "runs":
            values = np.repeat(values, g["lengths"][:])
        return g["timesteps"][:], values

    def events(self, g: Any) -> list[Any]:
        if "format" not in g.attrs:
            return []
        ends, raw = g["ends"][:].tolist(), g["data"][:].tobytes()
        found = [self.decode(json.loads(raw[a:b])) for a, b in zip([0, *ends], ends, strict=False)]
        return [
            (step, e["type"], e["data"]) for step, e in zip(g["timesteps"][:].tolist(), found, strict=True)
        ]

    def episode(self, number: int) -> dict[str, Any]:
        group = self.file[f"episodes/episode_{number:04d}"]
        clocks, streams = {}, {}
        for name in ("neural_states", "behavior"):
            clocks[name], found = self.timed(group[name])
            streams |= {f"{name}/{key}": pair for key, pair in found.items()}
        return {
            "clocks": clocks,
            "streams": streams,
            "spikes": self.spikes(group["spikes"]),
            "rewards": self.rewards(group["rewards"]),
            "weights": {name: column[:] for name, column in group["weight_changes"].items()},
            "events": self.events(group["events"]),
            "summary": self.document(group, "summary"),
            "final": self.tree(group["final_state"]) if "final_state" in group else {},
            "static": {
                name: self.tree(item)
                for name, item in group.items()
                if name not in SPECIAL and isinstance(item, h5py.Group)
            },
            "facts": {key: value for key, value in group.attrs.items() if key.startswith(("total", "succ"))},
        }

    def read(self) -> dict[str, Any]:
        f = self.file
        network = f["network_structure"]
        weights = network["initial_weights"]
        form = weights.attrs["format"]
        git = dict(f["git_info"].attrs) if "git_info" in f else None
        if git is not None:
            git["dirty"] = git["dirty"] == "True"
            git["uncommitted_files"] = json.loads(git["uncommitted_files"])
        snapshot = f.get("code_snapshot")
        return {
            "exporter": f.attrs["exporter"],
            "status": f.attrs["status"],
            "config": self.document(f["config"], "json"),
            "metadata": self.document(f["metadata"], "json"),
            "git": git,
            "code": snapshot
            and {n: snapshot[n][:].tobytes() for n in self.document(snapshot, "saved_files")},
            "neurons": self.tree(network["neurons"]),
            "connections": self.tree(network["connections"]),
            "weights": weights["weights"][:] if form == "dense_1d" else self.tree(weights),
            "checkpoints": {name.rpartition("_")[0]: self.tree(g) for name, g in f["checkpoints"].items()},
            "episodes": {int(name[8:]): self.episode(int(name[8:])) for name in f["episodes"]},
        }


class StrangeRing:
    """What a ring still holds, read by section 8 of the specification."""

    def __init__(self, path: Path) -> None:
        self.raw = path.read_bytes()
        magic, version, _, self.arena = struct.unpack_from("<8sIIQ", self.raw)
        assert (magic, version) == (b"FLTRING\0", 1)
        self.published, self.finished, self.dropped = struct.unpack_from("<QQQ", self.raw, 24)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The description of the open episode, and the rows of each dataset that wait for their chunk."""
        (slot,) = (s for s in (64, 96) if struct.unpack_from("<Q", self.raw, s)[0] == self.finished)
        _, offset, length, crc = struct.unpack_from("<QQQI", self.raw, slot)
        start = 4096 * 9 + self.arena + offset
        state = self.raw[start : start + length]
        assert zlib.crc32(state) == crc
        at = 4 + struct.unpack_from("<I", state)[0]
        head, waiting = json.loads(state[4:at]), {}
        for column in head["columns"]:
            shape = (column["waiting"], *column["shape"])
            values = np.frombuffer(state, column["dtype"], int(np.prod(shape)), at).reshape(shape)
            waiting[column["path"]], at = values, at + values.nbytes
        return head, waiting

    def records(self) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
        """Kind, description and tables: columns by name, the heap, and the number of rows."""
        for number in range(self.finished, self.published):
            (offset,) = struct.unpack_from("<Q", self.raw, 4096 + 8 * (number % 4096))
            start = 4096 * 9 + offset
            head = struct.unpack_from("<4sIQQIIQQ", self.raw, start)
            magic, kind, sequence, _, size, crc, _, counters = head
            assert (magic, sequence) == (b"FRBK", number)
            counts = struct.unpack_from(f"<{counters}q", self.raw, start + 64)
            at = start + 64 + 8 * counters
            assert zlib.crc32(self.raw[at : at + size]) == crc
            meta, tables = json.loads(self.raw[at : at + size]), {}
            at = start + -(-(64 + 8 * counters + size) // 64) * 64
            for index, (name, rows_, fields, heap) in enumerate(meta["tables"]):
                table: dict[str, Any] = {"rows": counts[2 * index]}
                for field, kind_, shape in fields:
                    dtype = np.dtype(kind_ if isinstance(kind_, str) else [tuple(part) for part in kind_])
                    full = (rows_, *shape)
                    table[field] = np.frombuffer(self.raw, dtype, int(np.prod(full)), at).reshape(full)
                    at += -(-table[field].nbytes // 64) * 64
                table["heap"] = self.raw[at : at + heap]
                at += -(-heap // 64) * 64
                tables[name] = table
            yield kind, meta, tables

    def stream(self, name: str) -> tuple[list[int], list[Any]]:
        """Timesteps and rows of a stream in the records."""
        steps, found = [], []
        for kind, meta, tables in self.records():
            if kind == 2 and name in meta["streams"]:
                place, main = meta["streams"][name], tables["main"]
                if place["table"] == "main":
                    column = main[place["field"]]
                    column = column[place["item"]] if place["field"] == "head" else column
                    at = np.arange(main["rows"])
                else:
                    table = tables[place["table"]]
                    need = table["need"][: table["rows"]]
                    at, column = need[need <= main["rows"]] - 1, table["value"]
                steps += main["head"]["timestep"][at].tolist()
                found += list(column[at] if place["table"] == "main" else column[: len(at)])
        return steps, found

    def index_lists(self) -> tuple[list[int], list[list[int]]]:
        """Timesteps and neurons of the rows of spikes in the records, where these are indices."""
        steps, found = [], []
        for kind, meta, tables in self.records():
            if kind == 2 and "spikes" in meta["streams"]:
                place, main = meta["streams"]["spikes"], tables["main"]
                table = tables[place["table"]]
                at = np.arange(main["rows"])
                ends = main["head"][place["item"]] if table is main else table["end"]
                if table is not main:
                    need = table["need"][: table["rows"]]
                    at = need[need <= main["rows"]] - 1
                ends = ends[: len(at)].tolist()
                ids = np.frombuffer(tables[place["heap"]]["heap"], "<i8")
                steps += main["head"]["timestep"][at].tolist()
                found += [ids[a:b].tolist() for a, b in zip([0, *ends], ends, strict=False)]
        return steps, found


class SpikeIndices:
    """Declared indices, as inputs name them."""

    def __init__(self, ids: Any, n_neurons: int) -> None:
        self.ids, self.n_neurons = np.sort(np.asarray(ids)), n_neurons


def loaded(path: Path) -> dict[str, Any]:
    """The recording through the loaders, in the stranger's form."""
    with ExperimentLoader(path) as experiment:
        network = experiment.get_network_structure()
        code = experiment.get_code_snapshot()
        return {
            "exporter": experiment.attributes["exporter"],
            "status": experiment.status,
            "config": experiment.get_config() or None,
            "metadata": {k: v for k, v in experiment.get_metadata().items() if k not in experiment.attributes}
            or None,
            "git": experiment.get_git_info(),
            "code": {name: text.encode() for name, text in code.items()} or None,
            "neurons": network["neurons"],
            "connections": network["connections"],
            "weights": experiment.get_initial_weights(),
            "checkpoints": {k.rpartition("_")[0]: v for k, v in experiment.get_all_checkpoints().items()},
            "episodes": {number: loaded_episode(experiment, number) for number in experiment.list_episodes()},
        }


def loaded_episode(experiment: ExperimentLoader, number: int) -> dict[str, Any]:
    """One episode through the loaders."""
    episode = experiment.get_episode(number)
    spikes = episode.get_spikes()
    steps = episode.spike_timesteps().tolist()
    pairs: list[Any] = []
    if spikes:
        row, neurons = episode.get_spike_matrix().tocoo().coords
        order = np.lexsort((neurons, row))
        pairs = list(zip(row[order].tolist(), neurons[order].tolist(), strict=True))
    rewards = episode.get_rewards()
    facts = episode.get_metadata()
    summary = experiment.get_episode_summary(number)
    return {
        "clocks": {
            "neural_states": episode.get_neural_states().get("timesteps"),
            "behavior": episode.get_behavior().get("timesteps"),
        },
        "streams": {
            name: (episode.stream(name).timesteps, episode.stream(name).read()) for name in episode.streams
        },
        "spikes": (steps, pairs, spikes["values"].tolist() if "values" in spikes else []) if spikes else None,
        "rewards": (rewards["timesteps"], rewards["rewards"]) if rewards else None,
        "weights": {k: v for k, v in episode.get_weight_changes().items() if k != "deltas"},
        "events": list(episode.iter_events()),
        "summary": {key: value for key, value in summary.items() if key not in facts} or None,
        "final": episode.get_final_state(),
        "static": {name: episode.get_static_data(name) for name in episode.list_static_data()},
        "facts": {key: value for key, value in facts.items() if key.startswith(("total", "succ"))},
    }


def as_tree(value: Any) -> Any:
    """What a value of a checkpoint, static data or a final state reads back as."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: as_tree(item) for key, item in value.items()}
    if (
        isinstance(value, list)
        and len(set(map(type, value))) == 1
        and type(value[0]) in (bool, int, float, str)
    ):
        return np.array(value)
    return np.asarray(value)[()] if isinstance(value, bool | int | float | complex) else value


class Expected:
    """The inputs of a golden recording, sorted into the stranger's form."""

    def __init__(self, folder: Path) -> None:
        inputs = load(folder, SpikeIndices)
        self.rates = inputs["options"]["neural_sampling_rate"]
        self.found: dict[str, Any] = {
            "exporter": inputs["exporter"], "status": "completed", "config": None, "metadata": None,
            "git": None, "code": None, "checkpoints": {}, "episodes": {},
        }  # fmt: skip
        self.episode: dict[str, Any] = {}
        for method, arguments in inputs["calls"]:
            if method != "raise":
                getattr(self, method)(**arguments)
        if folder.name.startswith(("interrupted", "killed")):
            self.found["status"] = "interrupted" if folder.name not in KILLED else "recovered"
            self.end_episode(success=False)
        for episode in self.found["episodes"].values():
            self._settle(episode)

    def save_config(self, config: Any) -> None:
        self.found["config"] = config

    def save_metadata(self, metadata: Any) -> None:
        self.found["metadata"] = {**(self.found["metadata"] or {}), **metadata}

    def save_git_info(self) -> None:
        self.found["git"] = {
            "commit_hash": "0123456789abcdef0123456789abcdef01234567",
            "branch": "main",
            "dirty": True,
            "uncommitted_files": [" M model.py", "?? notes from today.txt"],
            "remote_url": "https://git.example/lab/simulation.git",
        }

    def save_code_snapshot(self, code_files: Any) -> None:
        assert code_files == ["model.py", "other/model.py"]
        self.found["code"] = {"model.py": MODEL, "model_2.py": SHARED_NAME}

    def save_network_structure(self, neurons: Any, connections: Any, initial_weights: Any) -> None:
        self.found |= {"neurons": as_tree(neurons), "connections": as_tree(connections)}
        self.found["weights"] = as_tree(initial_weights)

    def save_checkpoint(self, name: str, data: Any) -> None:
        self.found["checkpoints"][name] = as_tree(data)

    def start_episode(self, episode_id: int | None = None) -> None:
        self.due: dict[str, int] = {}
        number = len(self.found["episodes"]) if episode_id is None else episode_id
        self.episode = self.found["episodes"][number] = {
            "clocks": {"neural_states": [], "behavior": []}, "streams": {}, "spikes": None,
            "rewards": ([], []), "weights": {}, "events": [], "summary": None, "final": {}, "static": {},
            "steps": 0, "success": False,
        }  # fmt: skip

    def log_static_episode_data(self, name: str, data: Any) -> None:
        self.episode["static"][name] = as_tree(data)

    def end_episode(self, success: bool, summary: Any = None) -> None:
        self.episode |= {"success": success, "summary": summary}

    def end(self, success: bool, final_state: Any) -> None:
        self.episode |= {"success": success, "final": as_tree(final_state)}

    def log_rows(self, **arguments: Any) -> None:
        for call in rows(arguments, SpikeIndices):
            self.log(**call)

    log_batch = log_rows

    def log(self, timestep: int, **given: Any) -> None:
        episode = self.episode
        keys = {"neural_state", "behavior", "spikes", "reward"} & given.keys()
        episode["steps"] += bool(keys) or not given
        for argument, group in (("neural_state", "neural_states"), ("behavior", "behavior")):
            kept = {key: v for key, v in given.get(argument, {}).items() if self._keeps(group, key, timestep)}
            for key, value in kept.items():
                steps, values = episode["streams"].setdefault(f"{group}/{key}", ([], []))
                steps.append(timestep)
                values.append(np.asarray(value))
            if kept:
                episode["clocks"][group].append(timestep)
        if "spikes" in given:
            self._spikes(timestep, given["spikes"])
        if "reward" in given:
            episode["rewards"][0].append(timestep)
            episode["rewards"][1].append(float(given["reward"]))
        if "synapse_id" in given:
            self._weight(timestep, given)
        if "event_type" in given:
            episode["events"].append((timestep, given["event_type"], given["data"] or {}))

    def _keeps(self, group: str, key: str, step: int) -> bool:
        rate = self.rates.get(key, 1) if isinstance(self.rates, dict) else self.rates
        if group == "behavior" or rate <= 1:
            return True
        keep = step >= self.due.get(key, 0)
        if keep:
            self.due[key] = step + rate
        return keep

    def _spikes(self, step: int, given: Any) -> None:
        episode = self.episode
        if episode["spikes"] is None:
            episode["spikes"] = ([], [], [])
        steps, pairs, values = episode["spikes"]
        if isinstance(given, SpikeIndices):
            neurons = given.ids
        else:
            raw = given.view(np.uint8).reshape(len(given), -1)
            neurons = np.flatnonzero(raw.any(axis=1))
            if given.dtype != bool:
                values += given[neurons].tolist()
        pairs += [(len(steps), neuron) for neuron in neurons.tolist()]
        steps.append(step)

    def _weight(self, step: int, given: dict[str, Any]) -> None:
        synapse = given["synapse_id"]
        row = {"timesteps": np.int64(step)}
        if isinstance(synapse, tuple):
            row |= {"source_ids": np.int64(synapse[0]), "target_ids": np.int64(synapse[1])}
        else:
            row["synapse_ids"] = np.int64(synapse)
        row |= {f"{when}_weights": np.float64(given[f"{when}_weight"]) for when in ("old", "new")}
        known = {"synapse_id", "old_weight", "new_weight", "behavior", "event_type", "data", "reward"}
        row |= {key: np.asarray(value)[()] for key, value in given.items() if key not in known}
        for key, value in row.items():
            self.episode["weights"].setdefault(key, []).append(value)

    def _settle(self, episode: dict[str, Any]) -> None:
        episode["clocks"] = {k: np.array(v, np.int64) if v else None for k, v in episode["clocks"].items()}
        episode["streams"] = {
            name: (np.array(steps, np.int64), np.array(values))
            for name, (steps, values) in episode["streams"].items()
        }
        steps, values = episode["rewards"]
        episode["rewards"] = (np.array(steps, np.int64), np.array(values)) if steps else None
        episode["weights"] = {key: np.array(column) for key, column in episode["weights"].items()}
        spikes = episode["spikes"]
        episode["facts"] = {
            "success": episode.pop("success"),
            "total_timesteps": episode.pop("steps"),
            "total_spikes": len(spikes[1]) if spikes else 0,
            "total_reward": sum(values, 0.0),
            "total_weight_changes": len(episode["weights"].get("timesteps", [])),
            "total_events": len(episode["events"]),
        }


def assert_same(found: Any, given: Any, where: str = "") -> None:
    """Equal in type, dtype, shape and every bit."""
    if sparse.issparse(given) or sparse.issparse(found):
        found, given = (
            (type(x).__name__, x.shape, *(np.asarray(getattr(x.tocsr(), n), d) for n, d in CSR))
            if sparse.issparse(x)
            else x
            for x in (found, given)
        )
    if type(given) in (str, int, float, bool) and isinstance(found, np.generic):
        found = found.item()  # attributes are NumPy's
    assert type(found) is type(given), f"{where}: {found!r:.99} and {given!r:.99}"
    if isinstance(given, dict):
        assert found.keys() == given.keys(), where
        for key, value in given.items():
            assert_same(found[key], value, f"{where}/{key}")
    elif isinstance(given, list | tuple):
        assert len(found) == len(given), f"{where}: {len(found)} and {len(given)}"
        for index, value in enumerate(given):
            assert_same(found[index], value, f"{where}[{index}]")
    elif isinstance(given, np.ndarray | np.generic):
        assert found.dtype == given.dtype, f"{where}: {found.dtype} and {given.dtype}"
        assert found.shape == given.shape, f"{where}: {found.shape} and {given.shape}"
        assert found.tobytes() == given.tobytes(), f"{where}:\n{found}\n{given}"
    elif isinstance(given, float | complex):
        assert np.asarray(found).tobytes() == np.asarray(given).tobytes(), f"{where}: {found} and {given}"
    else:
        assert found == given, f"{where}: {found!r:.99} and {given!r:.99}"


CSR = (("indptr", np.int64), ("indices", np.int64), ("data", None))


def by_time(expected: dict[str, Any]) -> dict[str, Any]:
    """As the loaders give it: weight changes by timestep, and an empty summary like none."""
    for episode in expected["episodes"].values():
        episode["summary"] = episode["summary"] or None
        if columns := episode["weights"]:
            order = np.argsort(columns["timesteps"], kind="stable")
            episode["weights"] = {key: column[order] for key, column in columns.items()}
    return expected


def unpacked(folder: Path, source: Path = GOLDEN / "killed") -> Path:
    """The killed recording, as its process left it."""
    for packed in source.glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder / "experiment_data.h5"


@pytest.mark.parametrize("name", CLOSED)
def test_a_stranger_reads_what_was_given(name: str) -> None:
    expected = Expected(GOLDEN / name)
    assert_same(Stranger(GOLDEN / name / "experiment_data.h5").read(), expected.found, name)


@pytest.mark.parametrize("name", CLOSED)
def test_the_loaders_read_what_was_given(name: str) -> None:
    expected = Expected(GOLDEN / name)
    assert_same(loaded(GOLDEN / name), by_time(expected.found), name)


@pytest.mark.parametrize("name", CLOSED)
def test_nothing_is_damaged(name: str) -> None:
    assert list(verify(GOLDEN / name / "experiment_data.h5")) == []


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_recording_is_repaired_and_read_by_both(name: str, tmp_path: Path) -> None:
    path = unpacked(tmp_path, GOLDEN / name)
    assert repair(path).status == "recovered"
    expected = Expected(GOLDEN / name)
    assert_same(Stranger(path).read(), expected.found)
    assert_same(loaded(path), by_time(expected.found))


def test_the_loaders_repair_a_killed_recording_themselves(tmp_path: Path) -> None:
    unpacked(tmp_path)
    assert_same(loaded(tmp_path), by_time(Expected(GOLDEN / "killed").found))
    assert [path.name for path in tmp_path.iterdir()] == ["experiment_data.h5"]


def test_a_stranger_finds_every_row_of_a_killed_recording_in_file_and_ring(tmp_path: Path) -> None:
    path = unpacked(tmp_path)
    stranger, ring = Stranger(path), StrangeRing(tmp_path / "experiment_data.h5.ring")
    head, waiting = ring.state()
    assert (head["start"]["episode_id"], ring.dropped) == (1, 0)
    given = Expected(GOLDEN / "killed").found["episodes"][1]
    group = stranger.file["episodes/episode_0001"]
    for name, (steps, values) in given["streams"].items():
        in_file = stranger.rows(group[name]) if name in group else np.empty((0, *values.shape[1:]))
        late_steps, late = ring.stream(name)
        parts = [list(in_file), list(waiting.get(name, ())), late]
        assert_same(np.array([*parts[0], *parts[1], *parts[2]]), values, name)
        assert late_steps == steps[len(steps) - len(late) :].tolist()
    committed = [len(stranger.rows(group[name])) for name in ("behavior/x", "rewards/timesteps")]
    assert committed == [2400, 2400]
    tables = [tables["events"] for _, _, tables in ring.records() if "events" in tables]
    assert len(waiting.get("events/ends", ())) + sum(table["rows"] for table in tables) == len(
        given["events"]
    )
    assert ring.stream("behavior/late")[1] != []


@pytest.mark.parametrize(("name", "number"), [("killed_indices", 3), ("killed_gaps", 0)])
def test_a_stranger_finds_index_lists_in_the_ring(name: str, number: int, tmp_path: Path) -> None:
    path = unpacked(tmp_path, GOLDEN / name)
    steps, lists = StrangeRing(path.with_name(path.name + ".ring")).index_lists()
    given, pairs, _ = Expected(GOLDEN / name).found["episodes"][number]["spikes"]
    first = len(given) - len(steps)
    assert steps == given[first:] != []
    assert [(first + i, neuron) for i, ids in enumerate(lists) for neuron in ids] == [
        pair for pair in pairs if pair[0] >= first
    ]
    assert first > 0


def test_committed_rows_of_a_killed_recording_are_read_before_any_repair(tmp_path: Path) -> None:
    stranger = Stranger(unpacked(tmp_path))
    given = Expected(GOLDEN / "killed").found["episodes"]
    assert_same(stranger.episode(0), given[0])
    clock, streams = stranger.timed(stranger.file["episodes/episode_0001/behavior"])
    assert_same(clock, given[1]["clocks"]["behavior"][:2400])
    assert_same(streams["x"][1], given[1]["streams"]["behavior/x"][1][:2400])


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_same_inputs_are_recorded_and_read_today(name: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    path = tmp_path / name / "experiment_data.h5"
    if name in KILLED:
        repair(unpacked(path.parent, path.parent))
    assert_same(Stranger(path).read(), Expected(tmp_path / name).found, name)


SAID = {0: {"first": -30, "step": 5}, 1: {"sorted": True}, 2: {}}


@pytest.mark.parametrize("number", SAID)
def test_a_stranger_may_believe_what_is_said_of_timesteps(number: int) -> None:
    with h5py.File(GOLDEN / "clocks_optimized" / "experiment_data.h5", "r") as file:
        episode = file[f"episodes/episode_{number:04d}"]
        for name in (
            "neural_states/timesteps",
            "spikes/timesteps",
            "behavior/timesteps",
            "rewards/timesteps",
        ):
            said = {key: value.item() for key, value in episode[name].attrs.items() if key != "counter"}
            assert said == SAID[number]
        clock = episode["behavior/late_timesteps"]
        assert len(clock) == 75
        if number == 0:
            steps = clock.attrs["first"] + clock.attrs["step"] * np.arange(len(clock))
            assert np.array_equal(clock[:], steps)


def test_repair_says_of_timesteps_what_the_state_knew(tmp_path: Path) -> None:
    path = unpacked(tmp_path, GOLDEN / "killed_clocks")
    head, _ = StrangeRing(tmp_path / "experiment_data.h5.ring").state()
    (course,) = (column["course"] for column in head["columns"] if column["path"] == "rewards/timesteps")
    repair(path)
    with h5py.File(path, "r") as file:
        steps = file["episodes/episode_0000/rewards/timesteps"]
        assert steps.attrs["sorted"] == np.True_
        assert course == [course[0], 0, int(steps[course[0] - 1]), course[3], True]
        assert 200 < course[0] < len(steps) == 6000


def test_golden_recordings_are_never_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["make", str(GOLDEN)])
    with pytest.raises(SystemExit, match="not written again"):
        main()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/experiment_data.h5*")), ids=lambda p: p.parent.name)
def test_golden_recordings_are_small_and_name_no_machine(path: Path) -> None:
    assert path.stat().st_size < 200_000
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert not re.findall(rb"/(?:home|root|tmp|work)/[\w.-]+", raw)
    if path.suffix == ".h5":
        with h5py.File(path, "r") as file:
            assert file["runtime"].attrs["hostname"] == HOST
