"""``flightrec export`` writes what the methods write, and says in one line what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader
from loaders.assembling import pack
from recorder.cli import cli
from recorder.command.export import FORMATS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)], prog_name="flightrec")


def test_help_lists_the_formats() -> None:
    text = run("--help").output
    assert all(f"  {name} " in text for name in FORMATS)
    assert "flightrec export --to parquet" in text


def test_parquet(recording: Path, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    done = run("--to", "parquet", recording, "-o", tmp_path / "out", "--episode", 1, "--only", "spikes")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["episodes.parquet", "spikes"]
    assert (done.exit_code, done.output.strip()) == (0, str(tmp_path / "out"))
    with ExperimentLoader(recording) as loader:
        own = loader.get_episode(1).get_spikes()["neuron_ids"]
    assert_array_equal(pd.read_parquet(tmp_path / "out" / "spikes")["neuron_ids"], own)


def test_netcdf_has_the_recordings_name_by_default(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    monkeypatch.chdir(tmp_path)
    done = run("--to", "netcdf", recording, "--dt", "dt", "--unit", "behavior/x=m", "--episode", 0)
    assert done.exit_code == 0, done.output
    with xr.open_datatree(tmp_path / f"{recording.name}.nc", engine="h5netcdf") as tree:
        found = tree["episodes/episode_0000/behavior/x"]
        assert found.attrs["units"] == "m"
        assert_array_equal(found["time"], found["timestep"] * 0.001)


def test_nwb_and_sonata(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    done = run("--to", "nwb", recording, "-o", tmp_path / "a.nwb", "--dt", 0.001, "--episode", 0)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.nwb").is_file()
    chosen = ("--dt", 0.001, "--report", "neural_states/v", "--population", "cells")
    done = run("--to", "sonata", recording, "-o", tmp_path / "sonata", *chosen)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "sonata").glob("episode_*/v_report.h5"))) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_minari(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    agents = (
        "--observations",
        "behavior/image",
        "--actions",
        "behavior/x",
        "--final-observation",
        "last row",
    )
    done = run("--to", "minari", recording, "-o", "a-v0", *agents)
    assert (done.exit_code, "needs --terminations, --truncations" in done.output) == (2, True)
    done = run("--to", "minari", recording, "-o", "a-v0", *agents, "--terminations=yes", "--truncations=no")
    assert done.exit_code == 0, done.output
    assert minari.load_dataset("a-v0").total_steps == 59 + 60 + 61
    assert run("--to", "minari", recording).exit_code == 2
    ends = ("--terminations=yes", "--truncations=no")
    for more, message in (("bad id", "Malformed dataset ID"), ("b-v0", "cannot make 'Nope-v7'")):
        done = run("--to", "minari", recording, "-o", more, *agents, *ends, "--environment", "Nope-v7")
        assert (done.exit_code, message in " ".join(done.output.split())) == (1, True), done.output


def test_the_default_name_is_that_of_a_packed_file(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    pack(recording / "experiment_data.h5", tmp_path / "small.h5")
    monkeypatch.chdir(tmp_path)
    assert run("--to", "parquet", "small.h5", "--only", "rewards").output.strip() == "small_parquet"
    assert (tmp_path / "small_parquet" / "rewards").is_dir()


def test_errors_are_one_line(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for arguments, code, message in (
        (("--to", "nwb"), 1, "timesteps, not seconds: give dt"),
        (("--to", "nwb", "--dt", "0.1", "--unit", "v=mV"), 2, "has no 'v'"),
        (("--to", "nwb", "--unit", "v"), 2, "no STREAM=UNIT"),
        (("--to", "hdf3"), 2, "is not one of"),
        (("--to", "sonata", "--dt", "-1"), 1, "greater than 0, got -1.0"),
        (("--to", "parquet", "--episode", "9"), 2, "there is no episode 9"),
        (("--to", "parquet", "--episode", "0", "--episode", "0"), 1, "expected each one once"),
        (("--to", "netcdf", "--only", "spikes"), 2, "--to netcdf takes no --only"),
        (("--to", "sonata", "--only", "spikes", "--dt", "1"), 2, "--to sonata takes no --only"),
        (("--to", "parquet", "--dt", "1"), 2, "--to parquet takes no --dt"),
        (("--to", "nwb", "--population", "default", "--dt", "1"), 2, "--to nwb takes no --population"),
    ):
        done = run(*arguments, recording, "-o", out)
        assert (done.exit_code, message in " ".join(done.output.split())) == (code, True), done.output
        assert "Traceback" not in done.output
        assert not out.exists()
    out.mkdir()
    assert "File exists" in run("--to", "parquet", recording, "-o", out).output
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("--to", "parquet", recording, "-o", tmp_path / "b")
    assert (done.exit_code, 'pip install "flightrec[arrow]"' in done.output) == (1, True)
