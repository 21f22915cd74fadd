"""A cache of the older system loads value for value, and its inputs give the same cache through this code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loaders.windows import create_hdf5_cache
from recorder.errors import DamagedError
from recorder.h5.windows.reading import WindowFile

FOLDER = Path(__file__).parents[1] / "data" / "reference" / "meg_windows_a"
GIVEN: dict[str, Any] = json.loads((FOLDER / "inputs.json").read_text())
DATASETS = ("windows", "subject_ids", "subject_names", "subject_start_indices", "subject_counts")


def rebuilt(path: Path, **options: Any) -> Any:
    return create_hdf5_cache(
        GIVEN["subject_ids"],
        window_size=GIVEN["window_size"],
        stride=GIVEN["stride"],
        subject_cache_dir=FOLDER / "meg_cache",
        hdf5_path=path,
        **{"compression": GIVEN["compression"], "dtype": "float32", **options},
    )


def test_the_same_inputs_give_the_same_datasets(tmp_path: Path) -> None:
    report = rebuilt(tmp_path / "mine.hdf5")
    with h5py.File(FOLDER / "meg_windows.hdf5") as theirs, h5py.File(tmp_path / "mine.hdf5") as mine:
        for name in DATASETS:
            assert mine[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(mine[name][:], theirs[name][:])
        assert mine["windows"].chunks == theirs["windows"].chunks
        assert mine["windows"].compression == "gzip"
    assert report.too_short == ["sub-CC110056"]
    assert list(report.failed) == ["sub-CC999999"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.hdf5"]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_any_filter_and_dtype_gives_the_same_windows(
    tmp_path: Path, compression: str | None, dtype: str
) -> None:
    rebuilt(tmp_path / "mine.hdf5", compression=compression, dtype=dtype, verbose=False)
    theirs, mine = WindowFile(FOLDER / "meg_windows.hdf5"), WindowFile(tmp_path / "mine.hdf5")
    rows = [8, 0, 3, 3]
    np.testing.assert_array_equal(mine.read(rows), theirs.read(rows).astype(dtype))
    theirs.close()
    mine.close()


def test_the_dataset_reads_the_older_file() -> None:
    pytest.importorskip("torch")
    from loaders.windows import HDF5SubjectPairDataset

    with h5py.File(FOLDER / "meg_windows.hdf5") as file:
        windows, counts = file["windows"][:], file["subject_counts"][:]
    dataset = HDF5SubjectPairDataset(FOLDER / "meg_windows.hdf5", seed=1)
    assert dataset.subject_names == ["sub-CC110033", "sub-CC110062"]
    assert dataset.subject_start_indices.tolist() == [0, 6]
    assert dataset.subject_counts.tolist() == [count for count in counts if count > 1]
    for subject, start in enumerate(dataset.subject_start_indices):
        for number in range(dataset.subject_counts[subject]):
            first, second = dataset[subject, number]
            np.testing.assert_array_equal(first.numpy(), windows[start + number])
            assert not np.array_equal(first, second)
    dataset.close()


def test_the_build_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rebuilt(tmp_path / "mine.hdf5")
    out = capsys.readouterr().out
    rule = "=" * 50
    for title in (
        "CREATING HDF5 WINDOW CACHE - STEP 1: COUNT WINDOWS",
        "STEP 2: CREATE EMPTY HDF5 ARRAY",
        "STEP 3: FILL HDF5 WITH DATA (VECTORIZED)",
        "HDF5 CACHE CREATION COMPLETE",
    ):
        assert f"{rule}\n{title}\n{rule}" in out
    for line in ("✗ Error with sub-CC999999: ", "✓ Total windows to create: 9", "✓ HDF5 structure created"):
        assert line in out


def test_a_cache_that_a_failure_shifted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shifted.hdf5"
    path.write_bytes((FOLDER / "meg_windows.hdf5").read_bytes())
    with h5py.File(path, "r+") as file:
        ids = file["subject_ids"][:]
        file["subject_ids"][:] = [*ids[4:], b"", b"", b"", b""]
    with pytest.raises(DamagedError, match="shifted the others"):
        WindowFile(path)
