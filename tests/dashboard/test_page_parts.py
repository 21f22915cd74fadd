"""The parts of the page that need no browser: the list, the line above the plots, and what users write."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from loaders.dashboard.facts import facts, neurons_of
from loaders.dashboard.library import Entry, Library
from loaders.dashboard.token import is_local
from loaders.dashboard.view import Seen, View, Wish
from loaders.live.status import LiveStatus
from recorder import DataExporter
from recorder.command.dashboard import command
from tests.live.writer import main as record


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("0-2", None, (0, 1, 2)),
        ("3, 1;2", None, (3, 1, 2)),
        (" 5 , 5-6 ", None, (5, 6)),
        ("0-99", None, tuple(range(8))),
        ("0-999999999999", 5, tuple(range(5))),
        ("7, 8, 9", 9, (7, 8)),
        ("", None, ()),
        ("a, -3, 4-b, 1.5, 2", None, (2,)),
        ("5-3", None, ()),
    ],
)
def test_neurons_as_they_are_written(text: str, count: int | None, found: tuple[int, ...]) -> None:
    assert neurons_of(text, count) == found


def test_names_are_text_and_no_html() -> None:
    name, at = "<img src=x onerror=alert(1)>", datetime(2026, 1, 1)
    status = LiveStatus(Path(name), name, name, True, at, 1, name, 0, 1, 2, 3.0, 4, 5.0, 6, 7)
    shown = facts(Seen([Entry(name, Path(name), name, 1, 2, 0.0, 3)], status, problem=name), following=False)
    assert "<img" not in shown
    assert "paused" in shown
    assert "no recordings" in facts(Seen(), following=True)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True)]
    + [(address, False) for address in ("0.0.0.0", "::", "", "192.168.1.5", "example.org")],
)
def test_what_others_can_reach(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_the_list_of_recordings(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert library.entries() == []
    record(str(tmp_path / "a"), 2, 30, 0.0)
    with DataExporter("b", tmp_path) as exporter:
        exporter.start_episode()
        (tmp_path / "no recording").mkdir()
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "experiment_data.h5").write_bytes(b"no HDF5")
        states = {
            entry.name: (entry.state, entry.episodes, entry.steps) for entry in Library(tmp_path).entries()
        }
        (name,) = (key for key in states if key.startswith("a"))
        assert states[name] == ("completed", 2, 60)
        assert states[exporter.output_dir.name] == ("running", 0, 0)
        assert states["broken"][0] == "unreadable"
    with pytest.raises(FileNotFoundError):
        Library(tmp_path / "nothing")


def test_one_recording_is_a_library(tmp_path: Path) -> None:
    record(str(tmp_path), 1, 10, 0.0)
    (file,) = tmp_path.glob("*/experiment_data.h5")
    for path in (file, file.parent):
        (entry,) = Library(path).entries()
        assert (entry.path, entry.name) == (file, file.parent.name)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    record(str(tmp_path / "good"), 1, 10, 0.0)
    bad = tmp_path / "bad" / "experiment_data.h5"
    bad.parent.mkdir()
    bad.write_bytes(b"no HDF5")
    view = View(Library(tmp_path))
    assert view.look(Wish(bad)).problem
    (good,) = (tmp_path / "good").glob("*/experiment_data.h5")
    seen = view.look(Wish(good))
    assert (seen.problem, seen.episode, seen.span) == ("", 0, (0, 11))
    assert view.look(Wish(good, episode=99)).episode == 0
    good.unlink()
    view.close()
    assert view.look(Wish(good)).problem
    view.close()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--token=", "is empty"),
        ("--address=::1", "IPv6"),
        *((f"--port={port}", "not in the range 0<=x<=65535") for port in (-1, 65536, 99_999_999)),
    ],
)
def test_what_is_not_served(tmp_path: Path, option: str, message: str) -> None:
    done = CliRunner().invoke(command, [str(tmp_path), option])
    assert done.exit_code == 2
    assert message in done.output


def test_a_folder_of_another_does_no_harm(tmp_path: Path) -> None:
    record(str(tmp_path / "mine"), 1, 10, 0.0)
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (file,) = (tmp_path / "mine").glob("*/experiment_data.h5")
    file.parent.rename(tmp_path / os.fsdecode(b"caf\xe9") / "run")
    names = [entry.name for entry in Library(tmp_path).entries()]
    assert names == ["caf\N{REPLACEMENT CHARACTER}/run"]
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        with subprocess.Popen(
            [sys.executable, "-c", AS_NOBODY, str(tmp_path)], text=True, stdout=subprocess.PIPE
        ) as one:
            out, _ = one.communicate()
        assert (one.returncode, out) == (0, "['run']\n")


AS_NOBODY = """
import os, sys
from pathlib import Path
from loaders.find import recordings
place = Path(sys.argv[1])
os.chdir(place)
os.seteuid(65534)
print([file.parent.name for file in recordings(Path("."))])
"""
