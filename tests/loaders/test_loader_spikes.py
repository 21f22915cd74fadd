"""Spikes: both encodings, every form, ranges against slices of the raster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from loaders import DamagedError, EpisodeData, ExperimentLoader

ROWS, WIDTH = 30, 5
_rng = np.random.default_rng(3)
RASTERS = {
    "bool": _rng.random((ROWS, WIDTH)) < 0.2,
    "dense": np.ones((ROWS, WIDTH), bool),
    "silent": np.zeros((ROWS, WIDTH), bool),
    "late": np.arange(ROWS)[:, None] * np.eye(1, WIDTH, 2, dtype=int) > 25,
    "graded": (_rng.random((ROWS, WIDTH)) < 0.3) * _rng.normal(size=(ROWS, WIDTH)).astype(np.float32),
    "counts": _rng.poisson(0.3, (ROWS, WIDTH)).astype(np.uint8),
}
CLOCKS = {
    "even": np.arange(0, ROWS * 2, 2),
    "repeated": np.sort(_rng.integers(0, 20, ROWS)),
    "back": _rng.permutation(ROWS),
}
CASES = [(raster, clock) for raster in RASTERS for clock in CLOCKS]
FORMS = ("intervals", "no anchors", "few anchors", "events")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("spikes") / "a.h5"
    with synthetic.recording(found) as file:
        for number, (raster, clock) in enumerate(CASES):
            for offset, form in enumerate(FORMS):
                group = synthetic.episode(file, number * len(FORMS) + offset)["spikes"]
                if form == "events":
                    synthetic.spike_events(group, CLOCKS[clock], RASTERS[raster])
                else:
                    drop = {"intervals": 0, "no anchors": 99, "few anchors": 3}[form]
                    synthetic.spikes(group, CLOCKS[clock], RASTERS[raster], drop_anchors=min(drop, 8))
    return found


def expected_part(raster: Any, steps: Any, start: int | None, stop: int | None) -> Any:
    inside = np.ones(len(steps), bool)
    inside &= True if start is None else steps >= start
    inside &= True if stop is None else steps < stop
    return raster[inside], steps[inside]


@given(
    number=st.integers(0, len(CASES) * len(FORMS) - 1),
    start=st.none() | st.integers(-3, 65),
    stop=st.none() | st.integers(-3, 65),
    neurons=st.none() | st.lists(st.integers(-WIDTH, WIDTH - 1), max_size=7) | st.slices(WIDTH),
)
def test_every_form_equals_the_raster(
    path: Path, number: int, start: int | None, stop: int | None, neurons: Any
) -> None:
    case = number // len(FORMS)
    raster, steps = RASTERS[CASES[case][0]], CLOCKS[CASES[case][1]]
    part, part_steps = expected_part(raster, steps, start, stop)
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(number)
        picked = (
            slice(None)
            if neurons is None
            else np.array(neurons, int)
            if isinstance(neurons, list)
            else neurons
        )
        dense = episode.get_spike_raster(start, stop, neurons)
        assert dense.dtype == raster.dtype
        assert_array_equal(dense, part[:, picked])
        matrix = episode.get_spike_matrix(start, stop, neurons)
        assert scipy.sparse.issparse(matrix)
        assert matrix.format == "csr"
        assert matrix.dtype == raster.dtype
        assert_array_equal(matrix.toarray(), part[:, picked])
        assert_array_equal(episode.spike_timesteps(start, stop), part_steps)
        check_list(episode, part, part_steps, (start, stop), neurons)


def check_list(episode: EpisodeData, part: Any, steps: Any, span: Any, neurons: Any) -> None:
    found = episode.get_spikes(*span, neurons)
    rows, ids = np.nonzero(part)
    kept = np.ones(len(ids), bool)
    if neurons is not None:
        kept = np.isin(
            ids, np.arange(WIDTH)[np.array(neurons, int) if isinstance(neurons, list) else neurons]
        )
    assert_array_equal(found["timesteps"], steps[rows[kept]])
    assert_array_equal(found["neuron_ids"], ids[kept])
    assert found["timesteps"].dtype == found["neuron_ids"].dtype == np.int64
    assert ("values" in found) == (part.dtype != bool)
    if "values" in found:
        assert found["values"].dtype == part.dtype
        assert_array_equal(found["values"], part[rows[kept], ids[kept]])


@pytest.mark.parametrize("number", range(len(CASES) * len(FORMS)))
def test_as_events(path: Path, number: int) -> None:
    raster, steps = (
        table[key] for table, key in zip((RASTERS, CLOCKS), CASES[number // len(FORMS)], strict=True)
    )
    expected: dict[int, list[int]] = {}
    for step, row in sorted(zip(steps.tolist(), raster, strict=True), key=lambda pair: pair[0]):
        if row.any():
            expected.setdefault(step, []).extend(np.flatnonzero(row).tolist())
    with ExperimentLoader(path) as loader:
        assert loader.get_episode(number).get_spikes_as_events() == [
            {"timestep": step, "neuron_ids": ids} for step, ids in expected.items()
        ]


def test_index_lists_are_bool_rasters(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        raster = RASTERS["bool"]
        synthetic.spikes(synthetic.episode(file)["spikes"], CLOCKS["even"], raster, dtype="indices")
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        assert episode.n_neurons == WIDTH
        assert episode.get_spikes().keys() == {"timesteps", "neuron_ids"}
        assert_array_equal(episode.get_spike_raster(), raster)
        assert episode.get_spike_raster().dtype == bool


def test_no_spikes_at_all(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        synthetic.episode(file)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        assert episode.get_spikes() == {}
        assert episode.get_spikes_as_events() == []
        assert episode.n_neurons is None
        assert episode.get_spike_raster().shape == (0, 0)
        assert episode.get_spike_matrix().shape == (0, 0)
        assert episode.spike_timesteps().shape == (0,)


def test_long_silences_stand_without_a_spike(tmp_path: Path) -> None:
    """2³²−1 silent cells and no spike: a wide, almost silent raster."""
    width, steps = 1 << 31, np.arange(9)
    at = {(0, 5): 0.5, (4, 7): 1.5, (8, 1): 2.5}
    cells = [row * width + neuron for row, neuron in at]
    intervals, covered, lines, items = [], 0, {}, []
    for cell in cells:
        while cell - covered >= synthetic.FILL:
            intervals.append(synthetic.FILL)
            covered += synthetic.FILL
            items.append(covered)
        intervals.append(cell - covered)
        covered = cell + 1
        items.append(covered)
    for row in range(0, 9, 2):
        before = sum(end <= row * width for end in items)
        lines[row] = (row, before, items[before - 1] if before else 0)
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["spikes"]
        group.attrs.update({"format": "intervals", "n_neurons": width, "dtype": "float64", "anchor_rows": 2})
        synthetic.column(group, "timesteps", steps)
        synthetic.column(group, "intervals", np.array(intervals, np.uint32))
        synthetic.column(group, "anchors", np.array(list(lines.values())))
        synthetic.column(group, "values", np.array(list(at.values())))
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        for start in range(10):
            for stop in range(start, 10):
                inside = [(row, neuron, value) for (row, neuron), value in at.items() if start <= row < stop]
                found = episode.get_spikes(start, stop)
                assert list(zip(*(found[key].tolist() for key in found), strict=True)) == inside


def damaged(tmp_path: Path, change: Any) -> EpisodeData:
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["spikes"]
        synthetic.spikes(group, CLOCKS["even"], RASTERS["counts"])
        change(group)
    return ExperimentLoader(tmp_path / "a.h5").get_episode(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.attrs.update(n_neurons=0), "n_neurons is 0"),
        (lambda g: g.attrs.update(n_neurons="many"), "n_neurons is 'many'"),
        (lambda g: g.attrs.__delitem__("n_neurons"), "n_neurons is None"),
        (lambda g: g.attrs.update(dtype="O"), "dtype is 'O'"),
        (lambda g: g.attrs.update(dtype="no such"), "dtype is 'no such'"),
        (lambda g: g.attrs.update(format="morse"), "unknown format 'morse'"),
        (lambda g: g.attrs.__delitem__("format"), "unknown format None"),
        (lambda g: g["timesteps"].resize(3, axis=0), "spikes after the last row"),
        (lambda g: g["values"].resize(3, axis=0), "fewer values than spikes"),
        (lambda g: g.__delitem__("timesteps"), "spikes/timesteps is missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Any, message: str) -> None:
    episode = damaged(tmp_path, change)
    with pytest.raises(DamagedError, match=message):
        episode.get_spikes()


def test_wrong_anchors_are_named(tmp_path: Path) -> None:
    episode = damaged(tmp_path, lambda group: group["anchors"].__setitem__((2, 0), 5))
    with pytest.raises(DamagedError, match=r"anchor line 2 is \(5, "):
        episode.get_spikes(start=18)
