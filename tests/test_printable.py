"""Names and values of files that nobody vouches for do not drive the terminal of who looks at them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tqdm
from click.testing import CliRunner

from loaders import ExperimentCollection, ExperimentLoader, describe
from recorder import DataExporter
from recorder.cli import cli
from recorder.command.progress import Progress
from recorder.format.printable import printable
from recorder.h5.verify.finding import Finding

EVIL = "\x1b[2J\x1b]0;owned\x07\nfake_run  completed  9\u202e"
SAFE = r"\x1b[2J\x1b]0;owned\x07\nfake_run  completed  9\u202e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a recording whose every name is evil, the folder's own as well."""
    root = tmp_path_factory.mktemp("evil")
    with DataExporter("a", root, neural_sampling_rate=1) as exporter:
        exporter.save_config({"note": EVIL, f"key{EVIL}": 1})
        exporter.save_metadata({"meta": EVIL})
        exporter.start_episode()
        exporter.log_batch(np.arange(3), neural_state={f"v{EVIL}": np.zeros((3, 2))})
        exporter.save_checkpoint(f"c{EVIL}", {"x": np.zeros(2)})
        exporter.end_episode()
    with h5py.File(exporter.h5_path, "r+") as file:
        file.attrs["experiment_name"] = EVIL
        next(iter(file["episodes"].values())).attrs["status"] = EVIL
    return exporter.output_dir.rename(root / f"run{EVIL}")


def run(*arguments: Any) -> str:
    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert not isinstance(done.exception, UnicodeError), done.exception
    return done.output


def is_safe(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n")) and "\nfake_run" not in text


def test_what_is_printable_stays() -> None:
    for text in ("", "naïve — 10 µs × 3 … 値", "a b"):
        assert printable(text) is text
    assert printable(EVIL) == SAFE
    assert printable("\udcff\u2028\x7f") == r"\udcff\u2028\x7f"


def test_no_command_writes_control_characters(folder: Path, tmp_path: Path) -> None:
    listed = run("ls", folder.parent, "--column", "config.note", "--sort", "config.note")
    assert len(listed.splitlines()) == 2
    assert SAFE in listed
    outputs = [listed, run("ls", folder.parent, "--all-columns"), run("ls", folder, "--where", "status=no")]
    outputs += [run("info", folder, "--config"), run("verify", folder), run("verify", "--all", folder)]
    outputs += [run("repair", folder), run("watch", "--once", folder), run("diff", folder, folder)]
    outputs += [run("pack", folder, "-o", tmp_path / f"packed{EVIL}")]
    outputs += [run("split", folder, "--episodes", "0", "-o", tmp_path / f"split{EVIL}")]
    outputs += [run("export", folder, "--to", "sonata", "-o", tmp_path / f"out{EVIL}", "--dt", "0.001")]
    for text in outputs:
        assert text
        assert is_safe(text), text
    assert sum("owned" in text for text in outputs) >= 9


def test_neither_do_tables_and_overviews(folder: Path) -> None:
    runs = ExperimentCollection(folder.parent, index=False)
    with ExperimentLoader(folder) as loader:
        texts = [describe(loader), str(loader), repr(loader), repr(loader.episodes)]
    for text in (*texts, repr(runs), repr(runs[0]), str(Finding(EVIL, EVIL))):
        assert "owned" in text
        assert is_safe(text), text


def test_bars_and_warnings_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    monkeypatch.setattr(tqdm, "tqdm", lambda *, desc, **_: labels.append(desc))
    Progress(f"verify {EVIL}", unit="B")
    assert labels == [f"verify {SAFE}"]
    code = "import recorder.cli as c, warnings, sys\nc.cli = lambda **_: warnings.warn(sys.argv[1])\nc.main()"
    told = subprocess.run(
        [sys.executable, "-c", code, EVIL], capture_output=True, text=True, check=True
    ).stderr
    assert "UserWarning" in told
    assert is_safe(told)


def test_what_watch_draws_is_no_markup(folder: Path) -> None:
    rich = pytest.importorskip("rich.console")
    from loaders.live import LiveExperiment
    from loaders.live.glance import Glance
    from recorder.command.watch import _picture

    glance = Glance(60)
    glance.last_event = (3, f"[red]{EVIL}")
    with LiveExperiment(folder, wait=0) as live:
        picture = _picture(live.status(), glance)
    console = rich.Console(width=300, file=None, record=True, force_terminal=False)
    with console.capture() as drawn:
        console.print(picture)
    assert is_safe(drawn.get())
    assert rf"[red]{SAFE}" in drawn.get()
