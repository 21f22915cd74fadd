"""Train a small network on what a spiking network did: from a recording to windows to a model, on a CPU.

    python examples/train_on_recording.py [FOLDER]

Three networks that differ in inhibition are recorded, some episodes of each. The episodes become windows of
potentials, spike counts and behaviour in one HDF5 cache, and a model learns to tell from two windows of an
episode that they belong together: what it finds out is which network they come from. It has never seen
the episodes that it is tried on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from loaders import (
    HDF5SubjectPairDataset,
    StdGaussianNoise,
    WindowExhaustiveBatchSampler,
    create_hdf5_cache,
    episode_sources,
)
from recorder import DataExporter

NEURONS, STEPS, EPISODES = 40, 1500, 6
INHIBITION = {"weak": 0.8, "medium": 1.0, "strong": 1.2}
WINDOW, STRIDE = 64, 32


def record(folder: Path, name: str, inhibition: float, episodes: int, steps: int) -> Path:
    """Integrate-and-fire neurons, a fifth of them inhibitory; their mean activity moves a cursor."""
    rng = np.random.default_rng(0)
    weights = rng.random((NEURONS, NEURONS)) * (rng.random((NEURONS, NEURONS)) < 0.2)
    weights[:, : NEURONS // 5] *= -5 * inhibition
    rng = np.random.default_rng(len(name))
    with DataExporter(name, output_base_dir=str(folder), neural_sampling_rate=1) as exporter:
        for _ in range(episodes):
            exporter.start_episode()
            v, spikes, x = rng.random(NEURONS), np.zeros(NEURONS, bool), 0.0
            for step in range(steps):
                v = 0.95 * v + 0.4 * weights @ spikes + rng.normal(0.06, 0.08, NEURONS)
                spikes = v > 1.0
                v[spikes] = 0.0
                x = 0.98 * x + spikes.mean() - 0.05
                exporter.log(
                    timestep=step,
                    neural_state={"v": v.astype(np.float32)},
                    spikes=spikes,
                    behavior={"x": float(x)},
                )
            exporter.end_episode(success=True)
    return Path(exporter.output_dir)


def caches(folder: Path, episodes: int = EPISODES, steps: int = STEPS) -> tuple[Path, Path]:
    """Windows to train on, and those of the last two episodes of each network to try the model on."""
    train, test = {}, {}
    for name, inhibition in INHIBITION.items():
        sources = episode_sources(
            record(folder, name, inhibition, episodes, steps),
            streams=["neural_states/v", "spikes", "behavior/x"],
            every=2,
            prefix=name,
        )
        names = list(sources)
        train.update({key: sources[key] for key in names[:-2]})
        test.update({key: sources[key] for key in names[-2:]})
    paths = folder / "train.h5", folder / "test.h5"
    for path, given in zip(paths, (train, test), strict=True):
        create_hdf5_cache(
            given, WINDOW, STRIDE, hdf5_path=path, normalisation="none", dtype="float32", verbose=False
        )
    return paths


def model(channels: int) -> nn.Module:
    """Two convolutions over time, and an embedding of length 1."""
    return nn.Sequential(
        nn.Conv1d(channels, 32, 5, stride=2),
        nn.ReLU(),
        nn.Conv1d(32, 32, 5, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 8),
    )


def train(path: Path, epochs: int = 4, workers: int = 0) -> nn.Module:
    """Pull windows of one episode together, and push those of others in the batch apart."""
    torch.manual_seed(0)
    dataset = HDF5SubjectPairDataset(path, transforms=StdGaussianNoise(std=0.05), seed=0, verbose=False)
    batches = WindowExhaustiveBatchSampler(dataset, batch_size=12, seed=0)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers)
    network = model(dataset[0][0].shape[0])
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for epoch in range(epochs):
        total = 0.0
        for first, second in loader:
            a, b = (nn.functional.normalize(network(views)) for views in (first, second))
            loss = nn.functional.cross_entropy(a @ b.T / 0.2, torch.arange(len(a)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        print(f"epoch {epoch}: loss {total / len(batches):.3f} over {len(batches)} batches")
    dataset.close()
    return network


@torch.no_grad()
def score(network: nn.Module, path: Path, known: Path) -> float:
    """How often a window's nearest mean of known episodes is of the same network; a third is chance."""
    means, kinds = [], []
    with HDF5SubjectPairDataset(known, seed=0, verbose=False) as dataset:
        for subject, name in enumerate(dataset.subject_names):
            pairs = dataset.__getitems__([(subject, w) for w in range(int(dataset.subject_counts[subject]))])
            means.append(nn.functional.normalize(network(torch.stack([a for a, _ in pairs]))).mean(0))
            kinds.append(name.split("/")[0])
    right = total = 0
    with HDF5SubjectPairDataset(path, seed=0, verbose=False) as dataset:
        for subject, name in enumerate(dataset.subject_names):
            pairs = dataset.__getitems__([(subject, w) for w in range(int(dataset.subject_counts[subject]))])
            found = nn.functional.normalize(network(torch.stack([a for a, _ in pairs])))
            nearest = (found @ torch.stack(means).T).argmax(1)
            right += sum(kinds[number] == name.split("/")[0] for number in nearest.tolist())
            total += len(pairs)
    return right / total


def main(folder: Path) -> None:
    """Record, cut, train, try."""
    torch.set_num_threads(1)  # for tensors as small as these, threads would only wait for each other
    known, new = caches(folder)
    network = train(known)
    untrained = model(next(network.parameters()).shape[1])
    print(
        f"windows of new episodes that are told apart: {score(network, new, known):.0%}, "
        f"by an untrained network {score(untrained, new, known):.0%} (chance is 33 %)"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
