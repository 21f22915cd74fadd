"""Contract of exporters: files, episodes and ends."""

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader, StreamAccount
from recorder.errors import (
    ClosedError,
    DuplicateError,
    InputError,
    NoEpisodeError,
    OptionError,
)
from recorder.format.document import loads
from tests.contracts import reading

GROUPS = {"neural_states", "spikes", "behavior", "rewards", "weight_changes", "events"}


class LifeContract:
    """Files, episodes and ends."""

    def test_root_and_groups(self, make_exporter):
        with make_exporter(experiment_name="maze") as exporter:
            exporter.start_episode()
        with h5py.File(exporter.h5_path, "r") as file:
            root = dict(file.attrs)
            assert root["format"] == "flightrec"
            assert root["format_version"] == "1.0"
            assert root["schema_version"] == "1.0.0"
            assert root["experiment_name"] == "maze"
            assert root["status"] == "completed"
            assert root["neural_sampling_rate"] == 100
            assert root["compression"] == "gzip"
            assert root["compression_level"] == 4
            assert root["episode_count"] == root["total_episodes"] == 1
            assert root["start_time"] < root["end_time"]
            assert set(file["episodes/episode_0000"]) == GROUPS
            assert {"metadata", "config", "runtime", "network_structure", "checkpoints"} <= set(file)
        assert exporter.output_dir.name == f"maze_{exporter.timestamp}"
        assert exporter.h5_path == exporter.output_dir / "experiment_data.h5"
        left = {path.name for path in exporter.output_dir.iterdir()}
        assert left == {"experiment_data.h5", "runtime_info.json"}

    def test_empty_episode_attributes(self, record):
        attributes = dict(record(lambda _: None).attrs)
        assert attributes["status"] == "completed"
        assert attributes["success"]
        assert attributes["episode_id"] == attributes["total_timesteps"] == attributes["total_spikes"] == 0
        assert attributes["total_reward"] == attributes["spike_rate"] == 0.0

    def test_totals(self, record):
        def body(exporter):
            exporter.log(0, spikes=np.array([True, False, True]), reward=0.5)
            exporter.log(1, spikes=np.array([False, False, True]), reward=-2.0)
            exporter.log(2)
            exporter.log(2, synapse_id=1, old_weight=0.0, new_weight=1.0)
            exporter.log(2, event_type="x", data={})
            assert exporter.current_episode.timestep_count == 3

        attributes = record(body).attrs
        assert attributes["total_timesteps"] == 3
        assert attributes["total_spikes"] == 3
        assert attributes["total_reward"] == -1.5
        assert attributes["total_weight_changes"] == attributes["total_events"] == 1
        assert attributes["spike_rate"] == 1.0

    def test_accounts_where_nothing_was_lost(self, make_exporter):
        with make_exporter(neural_sampling_rate=2) as exporter:
            for count in (0, 5):
                exporter.start_episode()
                for step in range(count):
                    exporter.log(step, {"v": 1.0}, np.array([True, False]), {"x": step}, 0.5)
                    exporter.log(step, event_type="e", data={}, synapse_id=1, old_weight=0, new_weight=1)
                exporter.end_episode()
        with ExperimentLoader(exporter.h5_path) as loader:
            wanted = dict.fromkeys(("behavior/x", "spikes", "rewards", "weight_changes", "events"), 5)
            wanted["neural_states/v"] = 3
            assert loader.get_episode(0).accounts() == {}
            found = loader.get_episode(1).accounts()
            assert found == {name: StreamAccount(rows, rows) for name, rows in wanted.items()}
            assert loader.accounts() == found
            assert "accounts" not in loader.get_episode(1)._stored().group.attrs

    def test_episode_ids(self, make_exporter):
        with make_exporter() as exporter:
            ids = []
            for asked in (1, None, None, 12345, None):
                ids.append(exporter.start_episode(asked).episode_id)
                exporter.end_episode()
            with pytest.raises(DuplicateError):
                exporter.start_episode(1)
            for wrong in (-1, 1.5, True, "1"):
                with pytest.raises(InputError):
                    exporter.start_episode(wrong)
        assert ids == [1, 2, 3, 12345, 4]
        with h5py.File(exporter.h5_path, "r") as file:
            assert set(file["episodes"]) == {f"episode_{i:04d}" for i in ids}

    def test_episode_left_open(self, make_exporter):
        with make_exporter() as exporter:
            exporter.start_episode()
            exporter.log(0, reward=1.0)
            with pytest.warns(UserWarning, match="Previous episode 0 not ended"):
                exporter.start_episode()
            exporter.log(0, reward=2.0)
        with h5py.File(exporter.h5_path, "r") as file:
            for name, reward in (("episode_0000", 1.0), ("episode_0001", 2.0)):
                episode = file["episodes"][name]
                assert not episode.attrs["success"]
                assert episode.attrs["status"] == "completed"
                assert reading.rewards(episode)[1].tolist() == [reward]

    def test_no_episode(self, make_exporter):
        with make_exporter() as exporter:
            with pytest.raises(NoEpisodeError, match=r"No active episode. Call start_episode\(\) first."):
                exporter.log(0, reward=1.0)
            with pytest.raises(NoEpisodeError):
                exporter.log_static_episode_data("a", {})
            with pytest.warns(UserWarning, match="No active episode to end"):
                exporter.end_episode()

    def test_closed(self, make_exporter):
        exporter = make_exporter()
        episode = exporter.start_episode()
        log = exporter.log
        exporter.close()
        exporter.close()
        calls = [
            lambda: exporter.log(0, reward=1.0),
            lambda: log(0, reward=1.0),
            lambda: episode.log_timestep(0),
            exporter.start_episode,
            exporter.end_episode,
            lambda: exporter.save_config({}),
            lambda: exporter.save_checkpoint("c", {}),
        ]
        for call in calls:
            with pytest.raises(ClosedError):
                call()

    def test_exception_interrupts(self, make_exporter):
        def crash():
            with make_exporter() as exporter:
                opened.append(exporter)
                exporter.start_episode()
                exporter.end_episode(success=True)
                exporter.start_episode()
                exporter.log(3, reward=1.0)
                raise KeyError("mine")

        opened = []
        with pytest.raises(KeyError, match="mine"):
            crash()
        with h5py.File(opened[0].h5_path, "r") as file:
            assert file.attrs["status"] == "interrupted"
            first, second = file["episodes/episode_0000"], file["episodes/episode_0001"]
            assert (first.attrs["status"], bool(first.attrs["success"])) == ("completed", True)
            assert (second.attrs["status"], bool(second.attrs["success"])) == ("interrupted", False)
            assert reading.rewards(second)[0].tolist() == [3]

    def test_episode_handle(self, make_exporter):
        with make_exporter() as exporter:
            episode = exporter.start_episode()
            episode.log_timestep(0, {"v": 1.0}, np.array([True]), {"x": 2.0}, 3.0)
            episode.log_weight_change(0, (1, 2), 0.5, 0.25, rule=7)
            episode.log_event("lick", 0, {"side": "left"})
            episode.log_static_data("maze", {"walls": np.eye(2)})
            assert episode.timestep_count == 1
            episode.end(success=True, final_state={"w": np.arange(3), "note": "ä"})
            assert exporter.current_episode is None
            with pytest.raises(NoEpisodeError):
                episode.log_timestep(1)
            with pytest.warns(UserWarning, match="No active episode"):
                exporter.end_episode()
        with h5py.File(exporter.h5_path, "r") as file:
            stored = file["episodes/episode_0000"]
            assert stored.attrs["success"]
            assert stored["final_state/w"][:].tolist() == [0, 1, 2]
            assert stored["final_state/note"].asstr()[()] == "ä"
            assert stored["maze/walls"][:].tolist() == [[1, 0], [0, 1]]
            assert reading.events(stored) == [(0, "lick", {"side": "left"})]
            assert reading.weight_changes(stored)["rule"].tolist() == [7]

    def test_summary_and_static_data_are_checked_first(self, make_exporter):
        with make_exporter() as exporter:
            exporter.start_episode()
            for name in ("spikes", "committed", "final_state", "summary", "a/b", ""):
                with pytest.raises(InputError):
                    exporter.log_static_episode_data(name, {"a": 1})
            with pytest.raises(InputError):
                exporter.log_static_episode_data("s", {"a": object()})
            exporter.log_static_episode_data("s", {"a": 1})
            with pytest.raises(DuplicateError):
                exporter.log_static_episode_data("s", {"a": 1})
            with pytest.raises(InputError, match=r"summary\.a"):
                exporter.end_episode(summary={"a": object()})
            exporter.end_episode(summary={"a": (1, None), "curve": [0.5, float("nan")]})
        with h5py.File(exporter.h5_path, "r") as file:
            summary = loads(bytes(file["episodes/episode_0000"].attrs["summary"]))
        assert summary["a"] == (1, None)
        assert np.isnan(summary["curve"][1])

    @pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
    def test_only_the_filters_asked_for(self, make_exporter, compression):
        with make_exporter(compression=compression, compression_level=1) as exporter:
            exporter.save_network_structure(
                {"neuron_ids": np.arange(3)}, {"source_ids": [0], "target_ids": [1]}, np.eye(3)
            )
            exporter.save_checkpoint("c", {"a": np.arange(9), "n": 1})
            exporter.start_episode()
            for step in range(50):
                exporter.log(step, spikes=np.arange(3) == step % 3, behavior={"x": step}, reward=1.0)
        with h5py.File(exporter.h5_path, "r") as file:
            assert file.attrs["compression"] == (compression or "none")
            assert reading.stream(file["episodes/episode_0000"], "behavior", "x")[1].tolist() == [*range(50)]
            for dataset in reading.datasets(file):
                assert dataset.compression in (compression, None)
                assert dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS
                text = h5py.check_string_dtype(dataset.dtype)
                assert text is None or text.length is not None
                if dataset.name.startswith("/episodes"):
                    assert dataset.maxshape[0] in (None, dataset.shape[0])

    @pytest.mark.parametrize(
        "options",
        [
            {"experiment_name": ""},
            {"experiment_name": "a/b"},
            {"compression": "none-such"},
            {"compression_level": 11},
            {"neural_sampling_rate": -1},
            {"neural_sampling_rate": 1.5},
            {"spike_format": "sparse"},
            {"n_neurons": 0},
        ],
    )
    def test_bad_options_leave_nothing_behind(self, make_exporter, tmp_path, options):
        with pytest.raises(OptionError):
            make_exporter(**options)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_change_of_the_working_folder_changes_nothing(
        self, make_exporter, tmp_path, monkeypatch, count
    ):
        """Programs of one name in the same second, each of which goes into a folder of its own."""
        exporters = []
        for name in "ab"[:count]:
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            exporters.append(make_exporter(output_base_dir="runs"))
        monkeypatch.chdir("/")
        for number, exporter in enumerate(exporters):
            exporter.start_episode()
            for step in range(3000):
                exporter.log(step, reward=float(number))
            exporter.end_episode(success=True)
        for exporter in exporters:
            exporter.close()
        for number, exporter in enumerate(exporters):
            assert exporter.h5_path.is_relative_to(tmp_path / "ab"[number] / "runs")
            with ExperimentLoader(exporter.h5_path) as loader:
                assert (loader.get_episode(0).get_rewards()["rewards"] == [float(number)] * 3000).all()

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            (True, True),
            (np.True_, True),
            (1, True),
            (np.float32(0), False),
            (np.array([1]), True),
            (None, False),
        ],
    )
    def test_what_is_true_or_false_is_success(self, make_exporter, given, stored):
        with make_exporter() as exporter:
            exporter.start_episode()
            exporter.end_episode(given)
        with ExperimentLoader(exporter.h5_path) as loader:
            assert loader.episodes[0].success is stored
