"""Random sequences of public calls, crashes and ends, against a model that is nothing but lists."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from recorder import DataExporter, DuplicateError, FlightrecError, NoEpisodeError, hotpath, repair
from recorder.format import native
from tests.killed import as_killed
from tests.model import FORMS, NEURONS, RATES, Episode, Model, call_of
from tests.model_reading import check_committed, check_recording

BAD: list[dict[str, Any]] = [
    {"behavior": {"x": "text"}},
    {"behavior": {"new": 1.0, "timesteps": 1.0}},
    {"behavior": {"new": 1.0, "a/b": 1.0}, "neural_state": {"v": np.zeros(3)}},
    {"neural_state": {"w": object()}, "reward": 1.0},
    {"reward": "much"},
    {"timestep": None},
    {"timestep": 2**63, "reward": 1.0},
    {"unknown": 3, "reward": 1.0},
    {"synapse_id": 3, "reward": 1.0},
    {"event_type": "a", "data": {"o": object()}, "reward": 1.0},
    {"spikes": np.zeros((2, NEURONS)), "reward": 1.0},
]
NAMES = st.sampled_from(["a", "größe", "b c"])
VALUES = st.sampled_from([1, -2.5, "text", None, [1, 2, 3], (1, "b"), {"k": float("inf")}])
SEEDS = st.integers(0, 999)
STREAMS = st.integers(0, 255)
"""Which streams a call brings: one bit each."""


class Recordings(RuleBasedStateMachine):
    """One recording, its model, and copies of it that were killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="flightrec-"))
        self.copies = itertools.count()
        self.model = Model()
        self.patches: list[Any] = [mock.patch("os.fsync")]
        self.closed = False

    @initialize(
        threaded=st.booleans(),
        block=st.sampled_from([300, 3000, 1 << 16]),
        enough=st.sampled_from([1, 5000, 1 << 22]),
        chunk=st.sampled_from([1, 7, 1000]),
        compression=st.sampled_from(["gzip", None]),
        path=st.sampled_from([hotpath.PYTHON, native.AUTO]),
    )
    def open(
        self, threaded: bool, block: int, enough: int, chunk: int, compression: str | None, path: str
    ) -> None:
        """Blocks and chunks are small, so that they roll."""
        self.patches += [
            mock.patch("recorder.sizes.FIRST_BLOCK", block),
            mock.patch("recorder.sizes.LARGEST_BLOCK", 2 * block),
            mock.patch("recorder.writer.ENOUGH", enough),
            mock.patch("recorder.steplog.generate", hotpath.choose(path)[1]),
        ]
        for patch in self.patches:
            patch.start()
        self.exporter = DataExporter(
            "run",
            self.folder,
            RATES,
            validate_data=False,
            compression=compression,
            chunk_size=chunk,
            async_write=threaded,
            ring_bytes=1 << 20,
        )

    @property
    def episode(self) -> Episode | None:
        return self.model.running

    @rule(number=st.none() | st.integers(0, 5), form=st.sampled_from([*FORMS]))
    def start_episode(self, number: int | None, form: str) -> None:
        wanted = self.model.next_id() if number is None else number
        if wanted in self.model.episodes:
            with pytest.raises(DuplicateError):
                self.exporter.start_episode(number)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert self.exporter.start_episode(number).episode_id == wanted
        self.model.start(wanted, form)

    @precondition(lambda self: self.episode)
    @rule(success=st.booleans(), summary=st.none() | st.dictionaries(NAMES, VALUES, max_size=2))
    def end_episode(self, success: bool, summary: dict[str, Any] | None) -> None:
        self.exporter.end_episode(success=success, summary=summary)
        self.model.end(success, summary)

    @precondition(lambda self: self.episode)
    @rule(seed=SEEDS, streams=STREAMS, gap=st.sampled_from([1, 1, 1, 0, -2, 5]))
    def log(self, seed: int, streams: int, gap: int) -> None:
        call = call_of(self.episode, seed, streams, gap)
        self.exporter.log(**call)
        self.episode.log(call)

    @precondition(lambda self: self.episode)
    @rule(seed=SEEDS, streams=STREAMS, steps=st.integers(1, 200))
    def log_many(self, seed: int, streams: int, steps: int) -> None:
        for n in range(steps):
            call = call_of(self.episode, seed + n, streams, 1)
            self.exporter.log(**call)
            self.episode.log(call)

    @precondition(lambda self: self.episode)
    @rule(seed=SEEDS, streams=STREAMS, steps=st.integers(0, 200))
    def log_batch(self, seed: int, streams: int, steps: int) -> None:
        # Only what a batch can bring: no weight changes, events or lists of indices.
        streams &= 0b0011_1111 if self.episode.form != "indices" else 0b0010_1111
        calls = []
        for n in range(steps):
            calls.append(call_of(self.episode, seed + n, streams, 1))
            self.episode.step = calls[-1]["timestep"]
        if not calls:
            assert self.exporter.log_batch([]) == 0
            return
        batch: dict[str, Any] = {"timesteps": [call.pop("timestep") for call in calls]}
        for argument, first in calls[0].items():
            if isinstance(first, dict):
                batch[argument] = {k: np.array([c[argument][k] for c in calls]) for k in first}
            else:
                batch[argument] = np.array([call[argument] for call in calls])
        assert self.exporter.log_batch(**batch) == steps
        for step, call in zip(batch["timesteps"], calls, strict=True):
            self.episode.log({"timestep": step, **call})

    @precondition(lambda self: self.episode)
    @rule(bad=st.sampled_from(BAD))
    def log_what_is_refused(self, bad: dict[str, Any]) -> None:
        with pytest.raises(FlightrecError):
            self.exporter.log(**{"timestep": self.episode.step + 1, **bad})

    @precondition(lambda self: self.episode)
    @rule(name=NAMES, value=st.sampled_from([1, "text", [1.5, 2.5]]))
    def save_static(self, name: str, value: Any) -> None:
        if name in self.episode.static:
            with pytest.raises(DuplicateError):
                self.exporter.log_static_episode_data(name, {"value": value})
            return
        self.exporter.log_static_episode_data(name, {"value": value})
        self.episode.static[name] = {"value": np.array(value) if isinstance(value, list) else value}

    @precondition(lambda self: not self.episode)
    @rule()
    def log_without_episode(self) -> None:
        with pytest.raises(NoEpisodeError):
            self.exporter.log(0, reward=1.0)
        with pytest.raises(NoEpisodeError):
            self.exporter.log_batch([0], reward=[1.0])

    @rule(config=st.dictionaries(NAMES, VALUES, max_size=3))
    def save_config(self, config: dict[str, Any]) -> None:
        self.exporter.save_config(config)
        self.model.config = config

    @rule(metadata=st.dictionaries(NAMES, VALUES, max_size=3))
    def save_metadata(self, metadata: dict[str, Any]) -> None:
        self.exporter.save_metadata(metadata)
        self.model.metadata |= metadata

    @rule(name=NAMES, seed=SEEDS)
    def save_checkpoint(self, name: str, seed: int) -> None:
        weights = np.random.default_rng(seed).random(seed + 1)
        self.exporter.save_checkpoint(name, {"w": weights})
        self.model.checkpoints.append((name, weights))

    @rule(seed=SEEDS)
    def save_network(self, seed: int) -> None:
        weights = np.random.default_rng(seed).random((NEURONS, NEURONS)) * (seed % 2)
        arguments = ({"neuron_ids": np.arange(NEURONS)}, {"source_ids": [0], "target_ids": [1]}, weights)
        if self.model.weights is not None:
            with pytest.raises(DuplicateError):
                self.exporter.save_network_structure(*arguments)
            return
        self.exporter.save_network_structure(*arguments)
        self.model.weights = weights

    @rule()
    def look_at_the_file(self) -> None:
        check_committed(self.exporter.h5_file, self.model)

    @rule(how=st.sampled_from(["open", "repair", "repair twice", "read-only"]))
    def crash(self, how: str) -> None:
        """The copy is checked and thrown away; the recording itself goes on."""
        folder = self.folder / f"killed{next(self.copies)}"
        # Between two writes of the writer's thread, as between two calls.
        with self.exporter._writer.busy:
            path = as_killed(self.exporter, folder)
        with h5py.File(path, "r") as file:
            check_committed(file, self.model)
        if how.startswith("repair"):
            assert repair(path).status == "recovered"
        if how == "repair twice":
            assert repair(path).status == "clean"
        refused = mock.patch("recorder.h5.file.repair", side_effect=PermissionError(13, "read-only folder"))
        with refused if how == "read-only" else mock.MagicMock():
            check_recording(path, self.model, killed=True)
        shutil.rmtree(folder)

    def teardown(self) -> None:
        """Whatever was drawn last, a clean close leaves all of it."""
        try:
            if hasattr(self, "exporter"):
                self.exporter.close()
                if self.episode:
                    self.model.end(False, None)
                names = {path.name.partition(".h5")[2] for path in self.exporter.output_dir.iterdir()}
                assert not names & {".ring", ".journal", ".lock"}
                with h5py.File(self.exporter.h5_path, "r") as file:
                    check_committed(file, self.model)
                check_recording(self.exporter.h5_path, self.model, killed=False)
        finally:
            for patch in reversed(self.patches):
                patch.stop()
            shutil.rmtree(self.folder)


TestRecordings = Recordings.TestCase
TestRecordings.settings = settings(
    stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
