"""The command line: what it prints, how it exits, and that it never shows a traceback for a user's error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from loaders import ExperimentLoader
from recorder import HOT_PATH, DataExporter
from recorder.cli import COMMANDS, cli
from recorder.command import progress

KILLED = """
import os, signal, sys, numpy as np
from recorder import DataExporter
exporter = DataExporter("killed", output_base_dir=sys.argv[1])
exporter.start_episode()
for t in range(700):
    exporter.log(timestep=t, spikes=np.arange(20) == t % 20, behavior={"x": float(t)}, reward=1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="flightrec")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    with DataExporter("small", output_base_dir=str(tmp_path)) as exporter:
        exporter.save_config({"alpha": 0.25})
        for _ in range(2):
            exporter.start_episode()
            for t in range(50):
                exporter.log(timestep=t, spikes=np.arange(10) == t % 10, behavior={"x": float(t)}, reward=0.5)
            exporter.end_episode(success=True)
    return exporter.output_dir


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (folder,) = tmp_path.iterdir()
    return folder


def flip(file: Path, dataset: str) -> None:
    """Damage one byte in the middle of a dataset's first chunk."""
    with h5py.File(file, "r") as h5:
        info = h5[dataset].id.get_chunk_info(0)
    with file.open("r+b") as raw:
        raw.seek(info.byte_offset + info.size // 2)
        byte = raw.read(1)[0]
        raw.seek(-1, os.SEEK_CUR)
        raw.write(bytes([byte ^ 0xFF]))


def test_help_names_every_command_and_the_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"  {name} " in result.output
    assert "Exit codes" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_and_the_summary_of_the_list(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"flightrec {name}" in result.output


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert "file format 1.0" in result.output
    assert f"hot path {HOT_PATH}" in result.output


@pytest.mark.parametrize(
    "arguments", [("nope",), ("info",), ("verify",), ("info", "no/such/place"), ("demo", "--steps", "0")]
)
def test_a_wrong_command_line_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["info", "verify", "repair"])
def test_a_folder_without_a_recording_is_one_line_and_exit_1(command: str, tmp_path: Path) -> None:
    result = run(command, tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert len(result.output.splitlines()) == 1
    assert str(tmp_path) in result.output


def test_recordings_below_are_hinted_at(recording: Path) -> None:
    for command in ("info", "verify", "repair"):
        result = run(command, recording.parent)
        assert result.exit_code == 1
        assert f"flightrec ls {recording.parent}" in result.output


@pytest.mark.parametrize("command", ["verify", "repair"])
def test_one_bad_path_does_not_stop_the_others(command: str, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(command, tmp_path / "empty", recording)
    assert result.exit_code == 1
    assert "no recording" in result.output
    assert "sound" in result.output


@pytest.mark.parametrize("command", ["info", "verify", "repair", "watch --once"])
def test_another_programs_hdf5_file_is_no_recording(command: str, recording: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["a"] = [1, 2]
    result = run(*command.split(), foreign)
    assert result.exit_code == 1
    assert result.output.count("foreign.h5 is an HDF5 file but no recording") == 1
    assert "sound" not in result.output
    if command == "verify":  # a later format is not called damaged either
        with h5py.File(recording / "experiment_data.h5", "r+") as file:
            file.attrs["format_version"] = "2.0"
        result = run(command, recording)
        assert (result.exit_code, "update flightrec" in result.output) == (1, True)


@pytest.mark.parametrize("command", ["info", "verify", "repair"])
@pytest.mark.parametrize("kept", [0, 1000, -1000])
def test_a_truncated_file_is_never_called_sound(command: str, kept: int, recording: Path) -> None:
    file = recording / "experiment_data.h5"
    file.write_bytes(file.read_bytes()[:kept])
    result = run(command, recording)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "damaged" in result.output
    assert "sound" not in result.output


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", "info", tmp_path)
    assert result.exit_code == 1
    assert not isinstance(result.exception, SystemExit)


def test_info_of_folder_and_file(recording: Path) -> None:
    for path in (recording, recording / "experiment_data.h5"):
        result = run("info", path, "--config")
        assert result.exit_code == 0, result.output
        assert "small" in result.output
        assert "'alpha': 0.25" in result.output


def test_ls(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/experiment_data.h5").write_bytes(b"no HDF5")
    result = run("ls", tmp_path)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert lines[0] == ["name", "status", "episodes", "steps", "size", "age"]
    assert [recording.name, "completed", "2", "100"] in [line[:4] for line in lines]
    assert ["broken", "unreadable"] in [line[:2] for line in lines]


def test_ls_of_a_recording_shows_its_name(recording: Path) -> None:
    assert recording.name in run("ls", recording).output


def test_ls_of_nothing(tmp_path: Path) -> None:
    assert "no recordings" in run("ls", tmp_path).output


def test_verify_passes_a_sound_recording(recording: Path) -> None:
    result = run("verify", recording)
    assert result.exit_code == 0, result.output
    assert "sound" in result.output


def test_verify_names_what_is_damaged(recording: Path) -> None:
    flip(recording / "experiment_data.h5", "episodes/episode_0001/behavior/x")
    result = run("verify", recording)
    assert result.exit_code == 1
    assert "/episodes/episode_0001/behavior/x: chunk at [0]" in result.output


def test_a_killed_recording_is_listed_verified_and_repaired(killed: Path, tmp_path: Path) -> None:
    assert " killed " in run("ls", tmp_path).output
    verified = run("verify", killed)
    assert verified.exit_code == 1
    assert "flightrec repair" in verified.output

    repaired = run("repair", killed)
    assert repaired.exit_code == 0, repaired.output
    assert "700 steps" in repaired.output
    assert " recovered " in run("ls", tmp_path).output
    assert run("verify", killed).exit_code == 0
    assert "nothing to repair" in run("repair", killed).output
    with ExperimentLoader(killed) as experiment:
        assert (experiment.get_episode(0).get_behavior()["x"] == np.arange(700.0)).all()


def test_a_recording_at_work_is_left_alone(tmp_path: Path) -> None:
    with DataExporter("live", output_base_dir=str(tmp_path)) as exporter:
        exporter.start_episode()
        exporter.log(timestep=0, reward=1.0)
        assert " running " in run("ls", tmp_path).output
        result = run("repair", exporter.output_dir)
        assert result.exit_code == 1
        assert "being written" in result.output
        verified = run("verify", exporter.output_dir)
        assert verified.exit_code == 0, verified.output


def test_demo(tmp_path: Path) -> None:
    result = run("demo", "--output", tmp_path, "--steps", "200")
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.iterdir()
    assert (folder / "demo.png").stat().st_size > 10_000
    assert f"flightrec info {folder}" in result.output
    assert run("verify", folder).exit_code == 0
    with ExperimentLoader(folder) as experiment:
        assert len(experiment.list_episodes()) == 4
        episode = experiment.get_episode(0)
        assert episode.get_metadata()["total_timesteps"] == 200
        assert len(episode.get_weight_changes()["timesteps"]) > 0
        weights = experiment.get_network_structure()
        assert len(weights["initial_weights"]["data"]) == len(weights["connections"]["weights"])


def test_as_a_program(recording: Path) -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "recorder", *arguments], capture_output=True, text=True, check=False
        )

    sound = program("verify", str(recording))
    assert (sound.returncode, sound.stderr) == (0, "")
    failed = program("info", str(recording.parent))
    assert failed.returncode == 1
    assert failed.stderr.startswith("flightrec: ")
    assert "Traceback" not in failed.stderr
    assert program("nope").returncode == 2


def test_no_progress_bar_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with progress.Progress("verify", unit="B") as bar:
        bar(1, 2)
        bar(2, 2)
    assert capsys.readouterr().err == ""


def test_watch_once(recording: Path, tmp_path: Path) -> None:
    shown = run("watch", recording, "--once").output
    assert "completed" in shown
    assert "steps     100" in shown
    (tmp_path / "empty").mkdir()
    refused = run("watch", tmp_path / "empty", "--once")
    assert refused.exit_code == 1
    assert "no recording is being written" in refused.output


@pytest.mark.parametrize("alarm", ["no-spikes=many", "reward-below", "dead=1", "smoke"])
def test_watch_refuses_unknown_alarms(recording: Path, alarm: str) -> None:
    refused = run("watch", recording, "--alarm", alarm)
    assert refused.exit_code == 2
    assert "no-spikes=STEPS" in refused.output


def test_watch_follows_to_the_end(recording: Path) -> None:
    pytest.importorskip("rich")
    shown = run("watch", recording, "--alarm", "no-spikes=3").output
    assert "completed" in shown


def test_watch_says_what_it_needs(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    refused = run("watch", recording)
    assert refused.exit_code == 1
    assert "pip install 'flightrec[watch]'" in refused.output
    assert run("watch", recording, "--once").exit_code == 0
