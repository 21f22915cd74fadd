"""Read a recording with plain h5py, by the file specification alone: what the contracts compare with."""

import json

import h5py
import numpy as np


def stream(episode, group, key):
    """(timesteps, values) of a key of ``neural_states`` or ``behavior``."""
    dataset = episode[group][key]
    return episode[group][dataset.attrs["timesteps"]][:], dataset[:]


def spikes(episode):
    """One (timestep, neurons) per logged row, for either encoding."""
    group = episode["spikes"]
    if "format" not in group.attrs:
        return []
    n_neurons = int(group.attrs["n_neurons"])
    if group.attrs["format"] == "events":
        steps = group["rows"][:]
        parts = np.split(group["values"][:], group["row_ends"][:-1]) if len(steps) else []
        return [(int(step), part.tolist()) for step, part in zip(steps, parts, strict=True)]
    gaps = group["intervals"][:].astype("u8")
    spike = gaps != 2**32 - 1
    cells = (np.cumsum(gaps + spike) - 1)[spike]
    rows = [(int(step), []) for step in group["timesteps"][:]]
    for row, neuron in zip(cells // n_neurons, cells % n_neurons, strict=True):
        rows[int(row)][1].append(int(neuron))
    return rows


def amplitudes(episode):
    """Values of graded spikes, one per spike in order."""
    group = episode["spikes"]
    return group["amplitudes" if group.attrs["format"] == "events" else "values"][:]


def rewards(episode):
    """(timesteps, values), for either encoding."""
    group = episode["rewards"]
    if "format" not in group.attrs:
        return np.empty(0, np.int64), np.empty(0)
    values = group["values"][:]
    if group.attrs["format"] == "runs":
        values = np.repeat(values, group["lengths"][:])
    return group["timesteps"][:], values


def events(episode):
    """(timestep, type, data) per event; data as bare JSON."""
    group = episode["events"]
    if "format" not in group.attrs:
        return []
    ends, raw = group["ends"][:].tolist(), group["data"][:].tobytes()
    documents = [json.loads(raw[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return [(int(t), d["type"], d["data"]) for t, d in zip(group["timesteps"][:], documents, strict=True)]


def weight_changes(episode):
    """Columns by name."""
    return {name: column[:] for name, column in episode["weight_changes"].items()}


def datasets(file):
    """All datasets of a file."""
    found = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def same(a, b):
    """Equal bit for bit, dtype included."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
