"""Conversions are whole or not there, say what the document says, and give back what they were given."""

from __future__ import annotations

import itertools
import json
import logging
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from loaders.steering import JASPERSteeringDataset, validate_dataset  # noqa: E402
from recorder.errors import MissingFileError, OptionError, ReadError, RecordingLockedError  # noqa: E402
from recorder.format.embeddings import FIELDS  # noqa: E402
from recorder.h5.lock import RecordingLock  # noqa: E402
from tests.steering.making import config, equal, tensors, write  # noqa: E402

convert = JASPERSteeringDataset.convert_pt_to_hdf5
convert_back = JASPERSteeringDataset.convert_hdf5_to_pt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data")


def test_the_log_has_the_lines_of_the_document(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By a relative name, which the original could not take.
    monkeypatch.chdir(folder.parent)
    with caplog.at_level(logging.INFO):
        convert("data")
    assert caplog.messages[:-1] == [
        "Converting PT format to HDF5 in data",
        "Converting embeddings...",
        "Converting pair data...",
        "Converting negatives...",
        "Converting steering tensors...",
        "Converting split indices...",
        "Conversion complete. HDF5 file saved to data/dataset.h5",
    ]
    pattern = r"File sizes: PT format=\d+\.\d MB, HDF5=\d+\.\d MB \(compression: -?\d+\.\d%\)"
    assert re.fullmatch(pattern, caplog.messages[-1])


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_the_file_is_laid_out_as_documented(folder: Path, compression: str | None) -> None:
    given = tensors()
    convert(folder, compression)
    with h5py.File(folder / "dataset.h5", "r") as file:
        for stem, field in FIELDS.items():
            stored = file[field.paths[0]]
            np.testing.assert_array_equal(stored[()], given[stem].numpy())
            assert stored.dtype == given[stem].numpy().dtype
            assert (stored.compression, stored.shuffle) == (compression, compression is not None)
        assert file["negatives/hard"].shape == (50, 3)
        flat, offsets = file["pair_data/keyword_ids/values"], file["pair_data/keyword_ids/offsets"]
        assert (flat.dtype, offsets.dtype) == (np.int32, np.int64)
        lists = [flat[a:b].tolist() for a, b in itertools.pairwise(offsets)]
        assert lists == given["pair_keyword_ids"]
        for name in ("train", "val", "test"):
            assert file[f"splits/{name}"].compression is None
            np.testing.assert_array_equal(file[f"splits/{name}"][()], given[f"{name}_idx"].numpy())
        assert json.loads(file["config"].asstr()[()]) == config()


def test_two_files_are_all_that_another_machine_needs(folder: Path, tmp_path: Path) -> None:
    convert(folder)
    there = tmp_path / "there"
    there.mkdir()
    for name in ("dataset.h5", "config.json"):
        (there / name).write_bytes((folder / name).read_bytes())
    for split in ("train", "val", "test"):
        with (
            JASPERSteeringDataset(there, split) as copied,
            JASPERSteeringDataset(folder, split, storage_format="pt") as given,
        ):
            assert len(copied) == len(given)
            equal(copied[3], given[3])


def test_back_and_forth_changes_nothing(folder: Path) -> None:
    convert(folder)
    before = {path.name: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}
    for path in folder.glob("*.pt"):
        path.unlink()
    (folder / "config.json").unlink()
    convert_back(folder)
    assert json.loads((folder / "config.json").read_text()) == config()
    after = {path.name: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value) if torch.is_tensor(value) else after[name] == value
    # They are as old as what they came from: it still counts as the newest.
    assert JASPERSteeringDataset(folder, "train").storage_format == "hdf5"
    assert {path.stat().st_mtime_ns for path in folder.glob("*.pt")} == {
        (folder / "dataset.h5").stat().st_mtime_ns
    }
    assert not list(folder.glob("*.new"))


def test_a_failed_conversion_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert(folder)
    before = (folder / "dataset.h5").read_bytes()
    (folder / "steering_residual.pt").unlink()
    with pytest.raises(MissingFileError, match=r"Required tensor file not found: .*steering_residual.pt"):
        convert(folder)
    torch.save(torch.zeros(50, 8), folder / "steering_residual.pt")
    torch.save(torch.full((50, 3), 77), folder / "hard_negatives.pt")
    with pytest.raises(ValueError, match="hard_negatives references source 77, but only 20 sources exist"):
        convert(folder)
    torch.save(tensors()["hard_negatives"], folder / "hard_negatives.pt")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recorder.h5.embeddings.writing.EmbeddingWriter.splits", full)
    with pytest.raises(OSError, match="No space left"):
        convert(folder)
    assert (folder / "dataset.h5").read_bytes() == before
    assert not list(folder.glob("*.new"))
    assert not list(folder.glob("*.lock"))


def test_a_file_that_did_not_take_everything_is_not_put_in_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recorder.h5.embeddings import writing

    monkeypatch.setattr(writing, "_padded", lambda part, chunk: np.zeros(chunk, part.dtype))
    with pytest.raises(ReadError, match="did not take question_embs as it is"):
        convert(folder)
    assert not (folder / "dataset.h5").exists()


def test_files_that_change_meanwhile_are_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recorder.h5.embeddings.writing import EmbeddingWriter

    done = EmbeddingWriter.__exit__

    def changed(self: Any, *error: Any) -> None:
        done(self, *error)
        torch.save(tensors()["negative_tiers"], folder / "negative_tiers.pt")

    monkeypatch.setattr(EmbeddingWriter, "__exit__", changed)
    with pytest.raises(ReadError, match="changed while they were converted"):
        convert(folder)
    assert not (folder / "dataset.h5").exists()


FULL = """
import resource, signal, sys
from loaders.steering import JASPERSteeringDataset
from recorder import WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    JASPERSteeringDataset.convert_pt_to_hdf5(sys.argv[1], compression=None)
except WriteError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_leaves_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    # In a process of its own, which HDF5 would crash at its end.
    command = [sys.executable, "-c", FULL, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "could not be written: File too large" in done.stdout
    assert sorted(folder.iterdir()) == before


KILLED = """
import os, signal, sys
from loaders.steering import JASPERSteeringDataset, {module} as module
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{patch}
JASPERSteeringDataset.{call}(sys.argv[1])
"""


def killed(folder: Path, module: str, patch: str, call: str) -> None:
    code = KILLED.format(module=module, patch=patch, call=call)
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_kill_leaves_no_partial_file(folder: Path) -> None:
    killed(folder, "to_hdf5", "module._compare = die", "convert_pt_to_hdf5")
    assert not (folder / "dataset.h5").exists()
    assert JASPERSteeringDataset(folder, "train").storage_format == "pt"
    convert(folder)
    assert JASPERSteeringDataset(folder, "train").storage_format == "hdf5"
    assert not list(folder.glob("*.new"))


def test_a_kill_on_the_way_back_leaves_no_mixture(folder: Path) -> None:
    convert(folder)
    torch.save(tensors()["steering_residual"] + 1, folder / "steering_residual.pt")
    patch = (
        "from pathlib import Path\nreplace = Path.replace\n"
        "Path.replace = lambda self, to: die() if 'steering_r' in self.name else replace(self, to)"
    )
    killed(folder, "to_pt", patch, "convert_hdf5_to_pt")
    # Some files are old and some new: only the whole one is read.
    with JASPERSteeringDataset(folder, "train") as dataset:
        assert dataset.storage_format == "hdf5"
    with pytest.raises(ReadError, match="PT files not found"):
        JASPERSteeringDataset(folder, "train", storage_format="pt")
    convert_back(folder)
    validate_dataset(folder, "pt")


def test_one_conversion_at_a_time(folder: Path) -> None:
    with RecordingLock(folder / "dataset.h5"), pytest.raises(RecordingLockedError, match="being written"):
        convert(folder)


def test_what_cannot_be_converted_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="compression must be"):
        convert(folder, "zip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Dataset directory not found"):
        convert(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="PT files not found in"):
        convert(empty)
    with pytest.raises(ValueError, match="HDF5 file not found"):
        convert_back(folder)
    values = tensors()
    write(folder, values | {"source_embs": values["source_embs"].bfloat16()})
    with pytest.raises(ValueError, match=r"source_embs.pt has values of torch.bfloat16"):
        convert(folder)
    assert not (folder / "dataset.h5").exists()


def test_files_of_torchs_old_format_are_converted_too(folder: Path) -> None:
    for path in folder.glob("*.pt"):
        value = torch.load(path, weights_only=True)
        torch.save(value, path, _use_new_zipfile_serialization=False)
    convert(folder)
    validate_dataset(folder, "hdf5")
    validate_dataset(folder, "pt")
    with JASPERSteeringDataset(folder, "train", storage_format="pt") as dataset:
        assert len(dataset) == 30
    with pytest.raises(ReadError, match="torch's old format"):
        JASPERSteeringDataset(folder, "train", storage_format="pt", use_mmap=True)


def test_without_h5py_there_are_pt_files(folder: Path) -> None:
    convert(folder)
    code = """
import sys
sys.modules["h5py"] = None
from loaders.steering import JASPERSteeringDataset as D
assert D(sys.argv[1], "train").storage_format == "pt"
try:
    D(sys.argv[1], "train", storage_format="hdf5")
except ValueError as error:
    assert str(error) == (
        "HDF5 format requested but h5py is not installed. Install with: pip install h5py"
    ), error
try:
    D.convert_pt_to_hdf5(sys.argv[1])
except ImportError as error:
    assert str(error) == "h5py is required for HDF5 conversion. Install with: pip install h5py", error
    print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, capture_output=True)
    assert done.stdout.strip() == b"fine", done.stderr.decode()


def test_repeated_rows_shrink(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = tensors(pairs=2000, dimension=64)
    rows = torch.from_numpy(rng.standard_normal((4, 64)).astype(np.float32))
    values["steering_centroid"] = rows[values["pair_cluster_id"]]
    folder = write(tmp_path, values, config(dimension=64))
    convert(folder)
    with h5py.File(folder / "dataset.h5", "r") as file:
        left = {
            name: file[f"steering/{name}"].id.get_storage_size() / file[f"steering/{name}"].nbytes
            for name in ("centroid", "residual")
        }
    assert left["centroid"] < 0.1
    assert left["residual"] < 0.9
    given = sum(path.stat().st_size for path in folder.glob("*.pt"))
    assert (folder / "dataset.h5").stat().st_size < 0.7 * given
