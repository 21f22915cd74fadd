"""Recordings that were packed, merged and split hold what their sources hold, and say where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentLoader, assembling
from loaders.comparing.recordings import differences
from recorder import DataExporter
from recorder.cli import cli
from recorder.errors import DamagedError, InputError, OptionError, ReadError
from recorder.h5.verify import verify
from tests.comparing import assert_same, contents
from tests.loaders.test_comparing import steps
from tests.test_reference_recordings import DATA


def record(folder: Path, name: str, episodes: list[int], **options: Any) -> Path:
    with DataExporter(name, folder, neural_sampling_rate=2, **options) as exporter:
        exporter.save_config({"name": name})
        exporter.save_metadata({"long": "x" * 50_000})
        exporter.save_network_structure(
            {"neuron_ids": np.arange(6)}, {"source_ids": [0], "target_ids": [1]}, np.eye(6)
        )
        for episode in episodes:
            exporter.start_episode(episode)
            for step in steps(episode):
                exporter.log(**step)
            exporter.log_static_episode_data("world", {"goal": np.arange(3), "text": "where"})
            exporter.end_episode(success=True, summary={"score": float(episode)})
        exporter.save_checkpoint("end", {"w": np.arange(4)}, generators={"rng": np.random.default_rng(1)})
        return Path(exporter.h5_path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("assembling"), "run", [0, 3, 4])


def same(a: Path, b: Path) -> None:
    with ExperimentLoader(a) as one, ExperimentLoader(b) as other:
        found = [str(d) for d in differences(one, other)]
        assert [line for line in found if not line.startswith("metadata: compression")] == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip", "level": 9},
        {"compression": None},
        {"compression": "lzf"},
        {"cloud": True},
        {"cloud": True, "compression": "zstd"},
    ],
)
def test_a_packed_recording_is_the_recording(path: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    made = assembling.pack(path, tmp_path / "packed.h5", **options)
    same(path, made)
    assert list(verify(made)) == []
    with h5py.File(made) as file:
        assert file.attrs["compression"] == (options.get("compression", "gzip") or "none")
        strategy = file.id.get_create_plist().get_file_space_strategy()[0]
        assert strategy == (
            h5py.h5f.FSPACE_STRATEGY_PAGE if options.get("cloud") else h5py.h5f.FSPACE_STRATEGY_FSM_AGGR
        )
        dataset = file["episodes/episode_0000/neural_states/v"]
        if options.get("compression", "gzip") is None:
            assert dataset.compression is None
        elif options.get("level") == 9:
            assert dataset.compression_opts == 9
    assert [p.name for p in tmp_path.iterdir()] == ["packed.h5"]


def test_scales_name_time_and_neurons_to_programs_for_netcdf(path: Path, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    made = assembling.pack(path, tmp_path / "scaled.h5", scales=True)
    same(path, made)
    assert list(verify(made)) == []
    with xarray.open_datatree(made, engine="h5netcdf", phony_dims="access") as tree:
        behavior, neural = (tree[f"episodes/episode_0003/{part}"] for part in ("behavior", "neural_states"))
        assert (behavior["x"].dims, neural["v"].dims) == (("timesteps",), ("timesteps", "axis_4"))
        with ExperimentLoader(path) as loader:
            episode = loader.get_episode(3)
            np.testing.assert_array_equal(neural["v"], episode.stream("neural_states/v")[:])
            np.testing.assert_array_equal(neural["timesteps"], episode.stream("neural_states/v").timesteps)
            at = int(episode.stream("behavior/x").timesteps[100])
            assert behavior["x"].sel(timesteps=at) == episode.stream("behavior/x")[100]


def test_packing_in_place_returns_room(tmp_path: Path) -> None:
    path = record(tmp_path, "run", list(range(30)))
    with h5py.File(path, "r+") as file:
        for episode in range(1, 30):
            del file[f"episodes/episode_{episode:04d}"]
    before, wanted = path.stat().st_size, contents(path)
    assert assembling.pack(path.parent) == path
    assert path.stat().st_size < before / 2
    assert_same(contents(path), wanted)
    with DataExporter.resume(path) as again:
        again.start_episode()
        again.log(timestep=0, reward=1.0)
    assert list(verify(path)) == []


def test_a_part_is_the_part(path: Path, tmp_path: Path) -> None:
    made = assembling.split(path, [4, 0, 4], tmp_path / "part")
    assert made == tmp_path / "part" / "experiment_data.h5"
    whole = contents(path)
    assert_same(contents(made), {0: whole[0], 4: whole[4]})
    with ExperimentLoader(made) as loader:
        assert loader.attributes["episode_count"] == 2
        assert loader.get_config() == {"name": "run"}
        assert loader.get_origin()["episodes"] == [0, 4]
    for wrong in ([], [1]):
        with pytest.raises(InputError, match="episodes"):
            assembling.split(path, wrong, tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()
    assert list(verify(made)) == []


def test_merged_recordings_hold_all_episodes(path: Path, tmp_path: Path) -> None:
    other = record(tmp_path, "other", [0, 1])
    made = assembling.merge([path, other], tmp_path / "all.h5")
    first, second = contents(path), contents(other)
    wanted = [*first.values(), *second.values()]
    for number, episode in contents(made).items():
        for part in ("metadata", "summary"):
            assert episode[part].pop("episode_id") == number
            wanted[number][part].pop("episode_id")
        assert_same(episode, wanted[number])
    with ExperimentLoader(made) as loader:
        assert loader.attributes["episode_count"] == 5
        assert loader.get_config() == {"name": "run"}
        origin = loader.get_origin()
        assert [entry["config"]["name"] for entry in origin] == ["run", "other"]
        assert [entry["episodes"] for entry in origin] == [[[0, 0], [3, 1], [4, 2]], [[0, 3], [1, 4]]]
        assert len(loader.get_all_checkpoints()) == 2
    assert list(verify(made)) == []
    with DataExporter("different", tmp_path) as exporter:
        exporter.save_network_structure({"neuron_ids": np.arange(7)}, {"source_ids": [0], "target_ids": [1]})
    with pytest.raises(InputError, match="network"):
        assembling.merge([path, exporter.h5_path], tmp_path / "no.h5")
    with pytest.raises(InputError, match="one at least"):
        assembling.merge([], tmp_path / "no.h5")


def test_what_cannot_be_is_refused_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        assembling.pack(path, path)
    with pytest.raises(OptionError):
        assembling.pack(path, tmp_path / "a.h5", compression="nonsense")
    with DataExporter("alive", tmp_path) as exporter, pytest.raises(ReadError, match="being written"):
        assembling.pack(exporter.output_dir, tmp_path / "a.h5")
    original = next(DATA.glob("snn_optimized_a/*/experiment_data.h5"))
    with pytest.raises(ReadError, match="original system"):
        assembling.pack(original, tmp_path / "a.h5")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


@pytest.mark.parametrize(
    "options",
    [
        {"level": 9},
        {"compression": None, "level": 9},
        {"compression": "lzf", "level": 3},
        {"compression": "lz4", "level": 3},
        {"compression": "bitshuffle", "level": 3},
        {"compression": "gzip", "level": 99},
        {"compression": "gzip", "level": -5},
        {"compression": "gzip", "level": True},
        {"compression": "zstd", "level": 4.5},
        {"compression": "zstd", "level": 999},
    ],
)
def test_a_level_that_cannot_be_had_is_refused_before_anything_is_done(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match="level"):
        assembling.pack(tmp_path / "need not even be there", tmp_path / "out.h5", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_not_the_same_takes_no_place(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = assembling.Assembly.add

    def damaged(self: Any, source: Any, place: str, name: str, **attributes: Any) -> None:
        real(self, source, place, name, **attributes)
        self.file[name]["rewards/values"][0] += 1

    monkeypatch.setattr(assembling.Assembly, "add", damaged)
    before = path.read_bytes()
    for out in (None, tmp_path / "out.h5"):
        with pytest.raises(DamagedError):
            assembling.pack(path, out)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if ".new" in p.name] == []
    assert list(tmp_path.iterdir()) == []


def test_the_commands(path: Path, tmp_path: Path) -> None:
    def run(*arguments: Any) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    assert " to " in run("pack", path, "-o", tmp_path / "p.h5", "--compression", "none").output
    assert run("split", path, "--episodes", "0-0,3", "-o", tmp_path / "s.h5").exit_code == 0
    assert run("split", path, "--episodes", "x", "-o", tmp_path / "t.h5").exit_code == 2
    assert (
        "2 recordings" in run("merge", tmp_path / "p.h5", tmp_path / "s.h5", "-o", tmp_path / "m.h5").output
    )
    with ExperimentLoader(tmp_path / "m.h5") as loader:
        assert loader.list_episodes() == [0, 1, 2, 3, 4]


_LINKS: dict[str, Any] = {
    "latest": h5py.SoftLink("/episodes/episode_0003"),
    "episodes/best": h5py.SoftLink("episode_0003"),
    "of_mine/ä/config": h5py.SoftLink("/config"),
    "nowhere": h5py.SoftLink("/nowhere/at/all"),
    "elsewhere": h5py.ExternalLink("other.h5", "/a"),
}


def _linked(folder: Path, links: dict[str, Any]) -> Path:
    path = record(folder, "linked", [0, 3])
    with h5py.File(path, "r+") as file:
        for place, link in links.items():
            file[place] = link
    return path


def _links(path: Path) -> dict[str, tuple[str, ...]]:
    with h5py.File(path) as file:
        found = {place: file.get(place, getlink=True) for place in _LINKS if _is(file, place)}
    return {place: tuple(vars(link).values()) for place, link in found.items()}


def _is(file: Any, place: str) -> bool:
    try:
        return isinstance(file.get(place, getlink=True), h5py.SoftLink | h5py.ExternalLink)
    except KeyError:
        return False


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
def test_links_stay_links(tmp_path: Path, options: dict[str, Any]) -> None:
    path = _linked(tmp_path, _LINKS)
    packed = assembling.pack(path, tmp_path / "packed.h5", **options)
    assert _links(packed) == _links(path)
    assert len(_links(packed)) == len(_LINKS)
    with h5py.File(packed) as file:
        assert file["latest"] == file["episodes/episode_0003"] == file["episodes/best"]
    same(path, packed)
    assert _links(assembling.split(path, [3], tmp_path / "part.h5")) == _links(path)


def test_links_that_would_lead_to_something_else_are_refused(tmp_path: Path) -> None:
    path = _linked(tmp_path, _LINKS)
    with pytest.raises(InputError, match=r"soft link /.*: expected a link to what the result has"):
        assembling.split(path, [0], tmp_path / "part.h5")
    with pytest.raises(InputError, match="/episodes/episode_0003"):
        assembling.merge([path, path], tmp_path / "both.h5")
    assert not list(tmp_path.glob("*.h5*"))
    others = {place: link for place, link in _LINKS.items() if "episode" not in str(vars(link))}
    other = _linked(tmp_path / "others", others)
    assert _links(assembling.merge([other, path], tmp_path / "both.h5")) == _links(other)


def test_a_link_among_the_data_is_an_error(tmp_path: Path) -> None:
    link = {"episodes/episode_0003/behavior/alias": h5py.SoftLink("/config")}
    path = _linked(tmp_path, link)
    with pytest.raises(DamagedError, match="behavior/alias: a link to another place"):
        assembling.pack(path, tmp_path / "packed.h5")
    assert not list(tmp_path.glob("*.h5*"))


def test_help_says_what_becomes_of_links() -> None:
    for name in ("pack", "split", "merge"):
        assert "stay links" in CliRunner().invoke(cli, [name, "--help"]).output
