"""``build-cache`` and ``scan-cache``: their lines and exit codes, by either name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from loaders.__main__ import cli as loaders_cli
from recorder.cli import cli
from tests.eeg.edfs import REFERENCE, recordings, reference_edfs

pytest.importorskip("mne")
pytest.importorskip("edfio")

COUNTS = "partial=4, full=2, none=5"


def run(*arguments: object, program: Any = cli) -> Result:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "edf"
    place.mkdir()
    reference_edfs(place)
    return place


@pytest.mark.parametrize("program", [cli, loaders_cli])
@pytest.mark.parametrize("stored", ["npz", "hdf5"])
def test_the_documented_commands(data: Path, tmp_path: Path, program: Any, stored: str) -> None:
    place = tmp_path / "cache" / "train"
    arguments = ["build-cache", "--data-dir", data, "--cache-dir", place, "--split", "train"]
    arguments += ["--workers", 1, "--format", stored, "--allow-missing-labels"]
    done = run(*arguments, program=program)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == f"Building cache for train split (5 files) from {data}"
    assert lines[1] == "Cache status: 0/5 present, missing 5"
    assert lines[-1] == f"✅ Cache build complete + manifest: {COUNTS}"
    manifest = json.loads((place / "manifest.json").read_text())
    given = json.loads((REFERENCE / "cache" / "train" / "manifest.json").read_text())
    assert {name: manifest[name] for name in given} == given
    again = run(*arguments, program=program)
    assert again.exit_code == 0
    assert "Cache status: 5/5 present, missing 0" in again.output
    (place / "manifest.json").unlink()
    scanned = run("scan-cache", "--cache-dir", place, program=program)
    assert scanned.exit_code == 0
    assert scanned.output.splitlines()[-1] == f"✅ Manifest created: {COUNTS} at {place / 'manifest.json'}"
    assert json.loads((place / "manifest.json").read_text()) == manifest


def test_a_missing_annotation_file_is_an_error(data: Path, tmp_path: Path) -> None:
    done = run("build-cache", "--data-dir", data, "--cache-dir", tmp_path / "c")
    assert done.exit_code == 1
    assert "Cache build error: 1 of 5 recordings have no annotation file" in done.output


def test_damaged_recordings_are_said(tmp_path: Path) -> None:
    edfs, _ = recordings(tmp_path / "edf", 3)
    edfs[1].write_bytes(b"nothing")
    arguments = ["build-cache", "--data-dir", tmp_path / "edf", "--cache-dir", tmp_path / "c", "--workers", 1]
    done = run(*arguments)
    assert done.exit_code == 1
    assert "⚠️ Cache incomplete: 1 missing after build" in done.output
    assert f"Cache build error: 1 of 3 recordings could not be built: {edfs[1]} is no EDF file" in done.output
    done = run(*arguments, "--allow-damaged")
    assert done.exit_code == 0
    assert "⚠️ Cache incomplete: 1 missing after build" in done.output
    assert "✅ Cache build complete + manifest: partial=1, full=2, none=1" in done.output


def test_no_seizures_are_an_exit_code_of_their_own(tmp_path: Path) -> None:
    edfs, csvs = recordings(tmp_path / "edf", 2)
    for path in (edfs[0], csvs[0]):
        path.unlink()
    done = run("build-cache", "--data-dir", tmp_path / "edf", "--cache-dir", tmp_path / "c", "--workers", 1)
    assert done.exit_code == 2
    assert done.output.endswith("❌ No seizures found in cache. Refusing to proceed to training.\n")
    done = run("scan-cache", "--cache-dir", tmp_path / "c")
    assert done.exit_code == 2
    assert done.output.endswith("❌ No seizures detected across cache — investigate CSV parsing/paths\n")


def test_wrong_folders(tmp_path: Path) -> None:
    done = run("scan-cache", "--cache-dir", tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "Manifest scan error: " in done.output
    done = run("build-cache", "--data-dir", tmp_path, "--cache-dir", tmp_path / "c")
    assert done.exit_code == 1
    assert "Cache build error: there are no EDF files below" in done.output
    assert run("build-cache", "--data-dir", tmp_path / "nowhere", "--cache-dir", tmp_path).exit_code == 2


def test_files_can_be_limited_and_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings(tmp_path / "edf", 5)
    arguments = ["build-cache", "--data-dir", tmp_path / "edf", "--workers", 1]
    done = run(*arguments, "--cache-dir", tmp_path / "a", "--limit-files", 1)
    assert "Limiting to 1 files (from --limit-files)" in done.output
    assert "train split (1 files)" in done.output
    monkeypatch.setenv("BGB_LIMIT_FILES", "2")
    done = run(*arguments, "--cache-dir", tmp_path / "a")
    assert "Limiting to 2 files (from BGB_LIMIT_FILES)" in done.output
    monkeypatch.delenv("BGB_LIMIT_FILES")
    # Nothing is set aside unless it is asked for.
    done = run(*arguments, "--cache-dir", tmp_path / "b", "--split", "val", "--validation-split", 0.2)
    assert "val split (1 files)" in done.output
    assert [path.name for path in (tmp_path / "b").glob("*.npz")] == ["pat0_s001_t000_windows.npz"]


def test_the_module_is_a_program(tmp_path: Path) -> None:
    given = REFERENCE / "cache" / "train"
    shutil.copy(given / "aaaaaaac_s002_t001_windows.npz", tmp_path)
    np.savez(tmp_path / "b_windows.npz", windows=np.zeros((0, 19, 15360), np.float32))
    done = subprocess.run(
        [sys.executable, "-m", "loaders", "scan-cache", "--cache-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "⚠️  NPZ file b_windows.npz has NO LABELS! " in done.stdout
    assert "✅ Manifest created: partial=1, full=0, none=1" in done.stdout
