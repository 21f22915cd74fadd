"""Collections with recordings that nothing keeps, or that have no lock of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentCollection
from loaders.collection import collection as collection_module
from loaders.collection.facts import facts_of
from recorder import StandardDataExporter
from recorder.h5.summary import summarize
from recorder.h5.unlocked import is_open_to_write
from tests.loaders.test_collection_unreadable import record


def test_a_row_that_no_document_holds_keeps_no_other_out_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        record(tmp_path, name)
    read: list[str] = []

    def facts(file: Path) -> dict[str, Any]:
        read.append(file.parent.name)
        found = facts_of(file)
        # As of an attribute of the original system that is an array of texts.
        return found | {"config.layers": np.array(["l1"], object)} if file.parent.name == "b" else found

    monkeypatch.setattr(collection_module, "facts_of", facts)
    assert len(ExperimentCollection(tmp_path, workers=1)) == 3
    assert read == ["a", "b", "c"]
    for _ in range(2):
        read.clear()
        runs = ExperimentCollection(tmp_path, workers=1)
        assert list(runs["b"]["config.layers"]) == ["l1"]
        assert read == ["b"]


def test_names_that_are_not_utf_8_are_rows_of_a_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    record(tmp_path, "a")
    record(tmp_path, "b").rename(tmp_path / os.fsdecode(b"b\xff"))
    runs = ExperimentCollection(tmp_path, index=False)
    frame = runs.to_pandas()
    assert list(frame.index) == ["a", r"b\udcff"]
    assert list(frame["config.lr"]) == [1.0, 1.0]
    assert runs["b\udcff"].name == "b\udcff"


_PLAIN = """
import sys
from recorder import StandardDataExporter
exporter = StandardDataExporter("plain", sys.argv[1])
exporter.start_episode()
exporter.log(timestep=0, reward=1.0)
exporter.h5_file.flush()
print(exporter.h5_path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("locking", ["TRUE", "FALSE"])
def test_a_plain_exporter_is_running_until_its_process_is_gone(tmp_path: Path, locking: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PLAIN, str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path), "HDF5_USE_FILE_LOCKING": locking},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        file = Path(process.stdout.readline().strip())
        assert summarize(file).status == "running"
        assert [run["status"] for run in ExperimentCollection(tmp_path)] == ["running"]
        process.kill()
        process.wait()
    # Not a byte of the file has changed, and what was said of it is not kept.
    assert [run["status"] for run in ExperimentCollection(tmp_path)] == ["killed"]


def test_a_plain_exporter_of_this_process_is_running(tmp_path: Path) -> None:
    with StandardDataExporter("plain", tmp_path) as exporter:
        exporter.start_episode()
        assert summarize(exporter.h5_path).status == "running"
        exporter.end_episode()
    assert summarize(exporter.h5_path).status == "completed"


def test_of_another_machine_only_the_lock_says_that_a_file_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    file.touch()
    assert not is_open_to_write(file, {"hostname": "elsewhere", "process_id": "1", "process_start": "x"})
    assert not is_open_to_write(file, {})
