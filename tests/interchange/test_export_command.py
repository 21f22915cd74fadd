"""``flightrec export`` writes what the methods write, and says in one line what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader
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


def test_errors_are_one_line(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    for arguments, code, message in (
        (("--to", "nwb"), 1, "timesteps, not seconds: give dt"),
        (("--to", "nwb", "--dt", "0.1", "--unit", "v=mV"), 2, "has no 'v'"),
        (("--to", "nwb", "--unit", "v"), 2, "no STREAM=UNIT"),
        (("--to", "hdf3"), 2, "is not one of"),
        (("--to", "sonata", "--dt", "-1"), 1, "greater than 0, got -1.0"),
        (("--to", "parquet", "--episode", "9"), 2, "there is no episode 9"),
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
