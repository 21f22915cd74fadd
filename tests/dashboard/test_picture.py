"""What is drawn of a window is what was logged in it: peaks, means, counts, and every spike where few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders import ExperimentLoader
from loaders.dashboard import picture as pictures
from loaders.dashboard.decimate import SpikeCounts, band, extremes
from loaders.dashboard.grid import SAMPLED_BINS, Grid
from loaders.dashboard.picture import Choice, look
from recorder import DataExporter

WINDOWS = st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 5000))


@given(WINDOWS, st.integers(1, 10_000))
def test_a_grid_covers_its_window(window: tuple[int, int], allowed: int) -> None:
    start, steps = window
    grid = Grid.over(start, start + steps, allowed)
    assert (grid.edges[0], grid.edges[-1]) == (start, start + steps)
    bins = grid.bin_of(np.arange(start, start + steps))
    assert (np.diff(bins) >= 0).all()
    assert set(bins.tolist()) == set(range(grid.bins))
    assert grid.whole == (steps <= max(allowed, SAMPLED_BINS))
    read = [step for low, high in grid.spans for step in range(low, high)]
    assert read == sorted(set(read))
    assert len(read) <= max(allowed, SAMPLED_BINS)
    assert set(read) <= set(range(start, start + steps))
    # Of every bin something is read.
    assert set(grid.bin_of(np.array(read)).tolist()) == set(range(grid.bins))


@given(st.integers(1, 4000), st.integers(1, 3), st.booleans())
def test_no_peak_is_lost(rows: int, columns: int, shuffled: bool) -> None:
    rng = np.random.default_rng(rows)
    grid = Grid.over(0, rows, rows)
    steps, values = np.arange(rows), rng.normal(size=(rows, columns))
    values[rng.random((rows, columns)) < 0.1] = np.nan
    values[rng.random((rows, columns)) < 0.02] = np.inf
    order = rng.permutation(rows) if shuffled else np.arange(rows)
    x, y = extremes(steps[order], values[order], grid)
    assert (np.diff(x) >= 0).all()
    assert y.shape == (len(x), columns)
    assert len(x) <= 2 * grid.bins
    bins = grid.bin_of(steps)
    drawn = grid.bin_of(x.astype(np.int64))
    for number in set(bins.tolist()):
        for column in range(columns):
            given = values[bins == number, column]
            given = given[np.isfinite(given)]
            seen = y[drawn == number, column]
            seen = seen[np.isfinite(seen)]
            assert (
                len(seen) == 0 if not len(given) else (seen.min(), seen.max()) == (given.min(), given.max())
            )


@given(st.integers(1, 3000), st.integers(0, 300))
def test_bands(steps: int, rows: int) -> None:
    rng = np.random.default_rng(steps)
    grid = Grid.over(0, steps, steps)
    at, values = rng.integers(0, steps, rows), rng.normal(size=rows)
    found = band(at, values, grid)
    bins = grid.bin_of(at)
    for number in range(grid.bins):
        inside = values[bins == number]
        assert found.counts[number] == len(inside)
        if len(inside):
            assert found.mean[number] == pytest.approx(inside.mean())
            assert (found.low[number], found.high[number]) == (inside.min(), inside.max())
        else:
            assert np.isnan([found.mean[number], found.low[number], found.high[number]]).all()


@settings(max_examples=25)
@given(st.integers(1, 900), st.integers(1, 300), st.integers(1, 60))
def test_shares_of_neurons(steps: int, neurons: int, groups: int) -> None:
    rng = np.random.default_rng(steps)
    raster = rng.random((steps, neurons)) < 0.05
    logged = np.flatnonzero(rng.random(steps) < 0.8)
    rows, ids = np.nonzero(raster[logged])
    grid = Grid.over(0, steps, steps)
    at = logged[rows]
    counts = SpikeCounts(grid, neurons, groups)
    half = steps // 2
    for part in (slice(0, half), slice(half, None)):
        inside = np.isin(at, np.arange(steps)[part])
        counts.add(at[inside], ids[inside], logged[np.isin(logged, np.arange(steps)[part])])
    shares, cells = counts.rate(), counts.image()
    assert counts.spikes == len(at)
    bins = grid.bin_of(logged)
    group = np.arange(neurons) * min(groups, neurons) // neurons
    for number in range(grid.bins):
        inside = raster[logged[bins == number]]
        assert shares[number] == pytest.approx(inside.mean() if len(inside) else np.nan, nan_ok=True)
        for row in range(len(cells)):
            wanted = inside[:, group == row].mean() if len(inside) else np.nan
            assert cells[row, number] == pytest.approx(wanted, nan_ok=True, rel=1e-5)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uneven timesteps, behaviour of several shapes, NaN, events and weight changes."""
    rng = np.random.default_rng(3)
    with DataExporter(
        "run", tmp_path_factory.mktemp("run"), neural_sampling_rate=3, validate_data=False
    ) as to:
        to.start_episode()
        for t in range(1000, 3000, 2):
            state = {"v": np.where(np.arange(30) == 4, np.nan, t), "m": float(t)}
            to.log(
                t,
                state,
                rng.random(30) < 0.1,
                {"x": float(t), "pos": np.full((2, 2), t)},
                reward=float(t % 7),
            )
            if t % 50 == 0:
                to.log(t, synapse_id=t % 10, old_weight=0.0, new_weight=float(t))
                to.log(t, event_type="even", data={"html": "<b>bold</b>", "t": t})
        to.end_episode()
        to.start_episode()
        to.end_episode()
    return to.output_dir


@settings(max_examples=40)
@given(st.integers(900, 3100), st.integers(1, 2200))
def test_a_picture_is_the_window(recording: Path, start: int, width: int) -> None:
    stop = start + width
    with ExperimentLoader(recording) as experiment:
        episode = experiment.get_episode(0)
        assert episode.span() == (1000, 2999)
        choice = Choice("neural_states/v", (4, 7, 30), ("behavior/x", "behavior/pos"))
        seen = look(episode, (start, stop), choice)
        counts = episode.row_counts(start, stop)
        fired = episode.get_spikes(start, stop)
        x = episode.stream("behavior/x").read(start, stop)
        events = [event for event in episode.iter_events() if start <= event[0] < stop]
        weights = episode.get_weight_changes()
        changed = weights["new_weights"][(weights["timesteps"] >= start) & (weights["timesteps"] < stop)]
        assert episode.get_weight_changes(start, stop)["new_weights"].tolist() == changed.tolist()
        assert list(episode.iter_events(start, stop)) == events
        assert list(episode.iter_events(start, stop, last=3)) == events[-3:]
    assert seen.raster is not None
    assert seen.raster.timesteps.tolist() == fired["timesteps"].tolist()
    assert seen.raster.neurons.tolist() == fired["neuron_ids"].tolist()
    assert counts.get("behavior/x", 0) == len(x)
    assert counts.get("events", 0) == len(events) == len(seen.events)
    assert counts.get("weight_changes", 0) == len(changed)
    assert seen.rewards is not None
    assert seen.rewards.band.counts.sum() == len(x)
    if changed.size:
        assert seen.weights is not None
        assert np.nanmax(seen.weights.band.high) == changed.max()
    if len(x):
        assert seen.behavior.labels == ("x", "pos[0, 0]", "pos[0, 1]", "pos[1, 0]", "pos[1, 1]")
        for values in seen.behavior.values:
            assert (np.nanmin(values), np.nanmax(values)) == (x.min(), x.max())
    assert seen.traces.labels == ("v[4]", "v[7]")
    assert seen.traces.not_finite == counts["neural_states/v"]


def test_what_is_too_much_is_read_in_part(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "READ_BYTES", 4000)
    monkeypatch.setattr(pictures, "READ_SPIKES", 300)
    monkeypatch.setattr(pictures, "READ_ROWS", 200)
    with ExperimentLoader(recording) as experiment:
        seen = look(experiment.get_episode(0), (1000, 3000), Choice("neural_states/v", (7,), ("behavior/x",)))
    assert seen.raster is not None
    assert seen.rewards is not None
    assert seen.raster.image is not None
    parts = (seen.traces, seen.behavior, seen.raster.grid, seen.rewards.grid)
    assert not any(part.whole for part in parts)
    assert np.nanmean(seen.raster.rate) == pytest.approx(0.1, abs=0.03)
    assert 0 < seen.rewards.band.counts.sum() <= 200


def test_an_empty_episode(recording: Path) -> None:
    with ExperimentLoader(recording) as experiment:
        episode = experiment.get_episode(1)
        assert episode.span() is None
        assert episode.row_counts() == {}
        seen = look(episode, (0, 10), Choice("neural_states/v"))
    assert (seen.raster, seen.rewards, seen.weights, seen.events) == (None, None, None, [])
    assert seen.traces.labels == ()


def test_spikes_that_were_denser_before_are_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "READ_SPIKES", 2_000)
    monkeypatch.setattr(pictures, "PROBES", 1)
    with DataExporter("run", tmp_path, validate_data=False) as exporter:
        exporter.start_episode()
        for step in range(4_000):
            # Silent but for what lies between the places that are looked at.
            exporter.log(step, spikes=np.full(20, 500 < step < 3_000))
        exporter.end_episode()
    with ExperimentLoader(exporter.output_dir) as experiment:
        seen = look(experiment.get_episode(0), (-(10**6), 10**6), Choice()).raster
        assert seen is not None
        assert not seen.grid.whole
        seen = look(experiment.get_episode(0), (0, 4_000), Choice()).raster
    assert seen is not None
    assert not seen.grid.whole
    assert seen.image is not None
    middles = seen.grid.middles
    assert np.nanmin(seen.rate[(middles > 600) & (middles < 2_900)]) == 1
    assert np.nanmax(seen.rate[middles < 400]) == 0


def test_sparse_rows_are_sampled_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "READ_BYTES", 40 * 80)
    with DataExporter("run", tmp_path, neural_sampling_rate=100, validate_data=False) as exporter:
        exporter.start_episode()
        for step in range(0, 50_000, 100):
            exporter.log(step, {"v": np.full(10, float(step))})
        exporter.end_episode()
    with ExperimentLoader(exporter.output_dir) as experiment:
        for window in ((0, 50_000), (1, 50_001), (7, 49_000)):
            seen = look(experiment.get_episode(0), window, Choice("neural_states/v", (3,)))
            (steps,) = seen.traces.timesteps
            assert 20 <= len(steps) <= 45


def test_few_of_very_many_bytes_of_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MARK_BYTES", 10_000)
    with DataExporter("run", tmp_path) as exporter:
        exporter.start_episode()
        for step in range(50):
            exporter.log(step, event_type="large", data={"values": list(range(300)), "step": step})
        exporter.end_episode()
    with ExperimentLoader(exporter.output_dir) as experiment:
        seen = look(experiment.get_episode(0), (0, 40), Choice())
    assert 1 <= len(seen.events) <= 10
    assert seen.events[-1][0] == 39
    assert len(seen.events) + seen.events_before == 40
    assert all(len(text) <= 120 for _, _, text in seen.events)


@pytest.mark.parametrize("name", ["snn_standard_a", "snn_optimized_a"])
def test_of_the_original_system_every_step_counts(name: str) -> None:
    """Its files know only the rows of the raster that have spikes."""
    (found,) = (Path(__file__).parents[1] / "data" / "reference" / name).rglob("*.h5")
    with ExperimentLoader(found) as experiment:
        assert experiment._recording.original
        episode = experiment.get_episode(experiment.list_episodes()[0])
        span = episode.span()
        assert span is not None
        seen = look(episode, span, Choice())
        assert seen.raster is not None
        spikes = len(episode.get_spikes()["timesteps"])
    share = spikes / ((span[1] - span[0]) * seen.raster.n_neurons)
    assert np.isfinite(seen.raster.rate).all()
    assert seen.raster.rate.mean() == pytest.approx(share, rel=0.02)
