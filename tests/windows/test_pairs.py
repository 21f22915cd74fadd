"""Pairs, samplers and transforms are the same for a seed however they are read, and cover what they say."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import CacheNotFoundError, DamagedError, OptionError, ReadError
from tests.windows.made import CHANNELS, WINDOW, expected, made, recordings, samples

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from loaders.windows import (  # noqa: E402
    HDF5SubjectPairDataset,
    NoiseInjection,
    StdGaussianNoise,
    SubjectPairDataset,
    UniqueSubjectBatchSampler,
    WindowExhaustiveBatchSampler,
    WindowMEG_Dataset,
    ZScore,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    names = recordings(folder / "in", 7, length=80)
    np.savez(folder / "in" / "single.npz", data=samples(1, WINDOW))
    made(folder, ["single", *names], dtype="float16")
    return folder / "cache.h5"


def opened(cache: Path, **options: Any) -> HDF5SubjectPairDataset:
    return HDF5SubjectPairDataset(cache, verbose=False, **options)


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_an_item_is_two_different_windows_of_its_subject(cache: Path, capsys: Any) -> None:
    dataset = HDF5SubjectPairDataset(cache)
    out = capsys.readouterr().out
    assert f"Loading HDF5 dataset from {cache}" in out
    assert "✓ Loaded 7 subjects" in out
    assert len(dataset) == 7
    assert dataset.subject_names[0] == dataset.get_subject_id(0) == "sub-00"
    assert dataset.total_windows == dataset.subject_counts.sum()
    rows = {
        name: expected(samples(n, 80 + 7 * n)).astype(np.float16)
        for n, name in enumerate(dataset.subject_names)
    }
    seen = set()
    for subject, name in enumerate(dataset.subject_names):
        for _ in range(30):
            pair = dataset[subject]
            numbers = [
                int(np.flatnonzero((rows[name] == window.numpy()).all(axis=(1, 2)))[0]) for window in pair
            ]
            assert numbers[0] != numbers[1]
            assert all(w.dtype == torch.float32 and w.shape == (CHANNELS, WINDOW) for w in pair)
            seen.add((subject, numbers[0]))
    assert len(seen) > 3 * len(dataset)  # without a seed each reading draws anew
    np.testing.assert_array_equal(dataset[-1, -1][0].numpy(), rows["sub-06"][-1])
    for wrong in (7, -8, (0, 99), (7, 0)):
        with pytest.raises(IndexError):
            dataset[wrong]  # type: ignore[index]
    dataset.close()


def test_what_is_drawn_depends_on_seed_epoch_and_item_alone(cache: Path) -> None:
    dataset, again = opened(cache, seed=3), opened(cache, seed=3)
    items = [dataset[number] for number in range(7)]
    assert same(items, again.__getitems__(list(range(7))))
    assert same(items[::-1], [again[number] for number in range(6, -1, -1)])
    again.set_epoch(1)
    other = again.__getitems__(list(range(7)))
    assert not same(items, other)
    again.set_epoch(0)
    assert same(items, again.__getitems__(list(range(7))))
    assert not same(items, [opened(cache, seed=4)[number] for number in range(7)])


def loaded(loader: Any) -> list[Any]:
    return [tuple(view.clone() for view in batch) for batch in loader]


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_workers_of_any_kind_give_the_same_batches_in_each_epoch(cache: Path, context: str) -> None:
    def run(**options: Any) -> list[Any]:
        dataset = opened(cache, seed=5, transforms=[NoiseInjection(), ZScore()])
        sampler = UniqueSubjectBatchSampler(dataset, 3, seed=1)
        loader = DataLoader(dataset, batch_sampler=sampler, **options)
        dataset[0]  # read in the parent as well
        return [loaded(loader) for _ in range(2)]

    expected_epochs = run()
    assert not same(expected_epochs[0], expected_epochs[1])
    found = run(num_workers=2, multiprocessing_context=context, persistent_workers=True)
    for one, other in zip(found, expected_epochs, strict=True):
        assert same(one, other)


def test_workers_without_a_seed_do_not_draw_alike(cache: Path) -> None:
    dataset = opened(cache)
    loader = DataLoader(
        dataset, sampler=[6] * 40, batch_size=10, num_workers=2, multiprocessing_context="fork"
    )
    batches = loaded(loader)
    assert not same([batches[0]], [batches[1]])


@pytest.mark.parametrize("large", [False, True])
def test_items_that_are_kept_stay_as_they_are(
    cache: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.windows.loading.LARGE", 1 if large else 1 << 30)
    dataset = opened(cache, seed=0)
    kept, views = [], []
    for number in range(20):
        pair = dataset[number % 7]
        kept.append((pair, [window.clone() for window in pair]))
        views.append((pair[0][1:3, ::2].numpy(), pair[0][1:3, ::2].clone().numpy()))
        if number % 3:
            del kept[-1]
    assert all(same([pair], [copies]) for pair, copies in kept)
    assert all(np.array_equal(view, copy) for view, copy in views)


def test_a_dataset_goes_through_a_pickle_after_it_was_read(cache: Path) -> None:
    dataset = opened(cache, seed=1, transforms=StdGaussianNoise(std=0.5))
    before = dataset[2]
    assert same([pickle.loads(pickle.dumps(dataset))[2]], [before])
    assert same([dataset[2]], [before])


def test_transforms_leave_the_callers_generator_alone(cache: Path) -> None:
    dataset = opened(cache, seed=1, transforms=NoiseInjection())
    torch.manual_seed(0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    dataset[0]
    assert torch.equal(torch.rand(1), drawn)


def test_missing_and_unfit_files_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"HDF5 file not found: .*Please run create_hdf5_cache\(\) first"
    ):
        HDF5SubjectPairDataset(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(DamagedError):
        HDF5SubjectPairDataset(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = [1]
    with pytest.raises(DamagedError, match="no cache of windows"):
        HDF5SubjectPairDataset(tmp_path / "other.h5")
    recordings(tmp_path / "in", 1, length=WINDOW)
    made(tmp_path, ["sub-00"])
    with pytest.raises(ReadError, match="none of its 1 subjects has two"):
        HDF5SubjectPairDataset(tmp_path / "cache.h5")
    assert len(opened(cache, max_subjects=2)) == 2
    for options in ({"max_subjects": 0}, {"seed": -1}):
        with pytest.raises(OptionError):
            opened(cache, **options)


def test_a_worker_does_not_read_another_cache_than_its_parent(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 2)
    made(tmp_path, names)
    copy = pickle.dumps(opened(tmp_path / "cache.h5"))
    made(tmp_path, names, overwrite=True)
    with pytest.raises(ReadError, match="another cache"):
        pickle.loads(copy)[0]


def test_pt_files_give_the_same_pairs(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3, length=100)
    made(tmp_path, names)
    for number, name in enumerate(names):
        (tmp_path / "pt" / name).mkdir(parents=True)
        for row, window in enumerate(expected(samples(number, 100 + 7 * number))):
            torch.save(torch.from_numpy(window), tmp_path / "pt" / name / f"{row}.pt")
    theirs = SubjectPairDataset(tmp_path / "pt", seed=2)
    mine = opened(tmp_path / "cache.h5", seed=2)
    assert theirs.subject_names == mine.subject_names
    assert same([theirs[number] for number in range(3)], [mine[number] for number in range(3)])

    views = WindowMEG_Dataset(tmp_path / "pt", StdGaussianNoise(std=0.1), max_files=5, seed=0)
    assert len(views) == 5
    first, second = views[4]
    assert not torch.equal(first, second)
    assert float((first - second).std()) == pytest.approx(0.1 * 2**0.5, rel=0.3)
    assert same([views[4]], [(first, second)])
    with pytest.raises(OptionError):
        WindowMEG_Dataset(tmp_path / "pt", None)
    with pytest.raises(CacheNotFoundError):
        SubjectPairDataset(tmp_path / "nothing")


class Subjects:
    """As much of a dataset as a sampler asks for."""

    def __init__(self, counts: list[int]) -> None:
        self.subject_counts = np.array(counts)
        self.epoch = -1

    def __len__(self) -> int:
        return len(self.subject_counts)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


@given(
    counts=st.lists(st.integers(2, 9), min_size=1, max_size=8),
    batch_size=st.integers(1, 10),
    replicas=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_every_window_of_every_subject_once_an_epoch(
    counts: list[int], batch_size: int, replicas: int, seed: int
) -> None:
    dataset = Subjects(counts)
    if sum(counts) < replicas:
        return
    samplers = [
        WindowExhaustiveBatchSampler(dataset, batch_size, seed=seed, num_replicas=replicas, rank=rank)
        for rank in range(replicas)
    ]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])}
    batches = [batch for part in parts for batch in part]
    for batch in batches:
        subjects = [subject for subject, _ in batch]
        assert 1 <= len(batch) <= batch_size
        assert len(set(subjects)) == len(subjects)
    seen = Counter(place for batch in batches for place in batch)
    assert set(seen) == {(s, w) for s, count in enumerate(counts) for w in range(count)}
    if sum(counts) >= len(batches):
        assert set(seen.values()) == {1}
    if replicas == 1:
        assert len(batches) == max(*counts, -(-sum(counts) // batch_size))


@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 5),
    replicas=st.integers(1, 4),
    drop_last=st.booleans(),
)
def test_every_subject_once_an_epoch(count: int, batch_size: int, replicas: int, drop_last: bool) -> None:
    dataset = Subjects([2] * count)
    samplers = [
        UniqueSubjectBatchSampler(dataset, batch_size, drop_last, num_replicas=replicas, rank=rank)
        for rank in range(replicas)
    ]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])}
    for part in parts:
        for batch in part:
            assert len(set(batch)) == len(batch) <= batch_size
            assert not drop_last or len(batch) == batch_size
    seen = Counter(subject for part in parts for batch in part for subject in batch)
    if not drop_last:
        assert set(seen) == set(range(count))
    if replicas == 1:
        assert not seen or max(seen.values()) == 1


def test_samplers_count_epochs_and_tell_the_dataset() -> None:
    dataset = Subjects([5] * 20)
    for kind in (UniqueSubjectBatchSampler, WindowExhaustiveBatchSampler):
        sampler, again = kind(dataset, 4, seed=7), kind(dataset, 4, seed=7)
        first, second = list(sampler), list(sampler)
        assert dataset.epoch == 1
        assert first != second
        again.set_epoch(1)
        assert list(again) == second
        assert list(kind(dataset, 4, seed=8)) != first
        for wrong in ({"batch_size": 0}, {"rank": 1}, {"seed": -1}):
            with pytest.raises(OptionError):
                kind(dataset, **{"batch_size": 4, **wrong})


def test_subjects_meet_others_in_each_batch() -> None:
    sampler = WindowExhaustiveBatchSampler(Subjects([20] * 12), 4)
    met = {frozenset((a, b)) for batch in sampler for a, _ in batch for b, _ in batch if a != b}
    assert len(met) > 0.9 * 12 * 11 / 2


def test_transforms_do_what_they_say() -> None:
    window = torch.arange(24.0).reshape(2, 3, 4)
    window[0, 1] = 7.0
    scored = ZScore()(window)
    assert torch.equal(scored[0, 1], torch.zeros(4))
    torch.testing.assert_close(
        scored[1, 2], (window[1, 2] - window[1, 2].mean()) / (window[1, 2].std() + 1e-8)
    )
    assert torch.equal(ZScore()(torch.ones(2, 1)), torch.zeros(2, 1))
    torch.manual_seed(0)
    long = torch.randn(4, 50_000) * 3
    assert float((StdGaussianNoise(std=0.5)(long) - long).std()) == pytest.approx(0.5, rel=0.02)
    assert float((NoiseInjection()(long) - long).std()) == pytest.approx(3.0, rel=0.02)
    assert NoiseInjection()(np.zeros((2, 3), np.float32)).shape == (2, 3)
