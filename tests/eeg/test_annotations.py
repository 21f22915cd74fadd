"""Annotations of seizures: TUSZ's files, stored masks, and what cannot be one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from loaders.windows.eeg.annotations import parse_tusz_csv, read_mask, seizure_mask
from recorder.errors import DamagedError, MissingAnnotationError
from tests.eeg.edfs import REFERENCE, write_csv

CSVS = REFERENCE / "edf" / "train"


def test_the_reference_is_parsed() -> None:
    duration, events = parse_tusz_csv(CSVS / "aaaaaaaa_s001_t000.csv")
    assert duration == 100.0
    assert events == [
        (0.0, 10.0, "bckg"),
        (0.0, 72.5, "fnsz"),
        (20.0, 74.0, "cpsz"),
        (74.0, 100.0, "bckg"),
    ]


def test_lines_that_are_no_annotation_are_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "\ufeff# duration = 300.00 secs\r\nchannel,start_time,stop_time,label,confidence\r\n"
        "A,1.0,2.0,seiz,1\r\n\r\nA,x,2.0,seiz,1\r\nA,nan,2.0,seiz,1\r\nA,1.0\r\nB, 3 , 4 , gnsz\r\n".encode()
    )
    with caplog.at_level(logging.WARNING):
        assert parse_tusz_csv(path) == (300.0, [(1.0, 2.0, "seiz"), (3.0, 4.0, "gnsz")])
    assert "3 lines" in caplog.text


def test_the_mask_has_the_ends_of_the_reference() -> None:
    events = [
        (0.0, 0.999, "fnsz"),
        (2.0, 3.0, "SEIZ"),
        (2.5, 2.6, "artf"),
        (3.0, 99.0, "seiz"),
        (-1.0, 2.0, "absz"),
    ]
    mask = seizure_mask(events, 1000)
    assert mask.dtype == np.float32
    assert np.array_equal(np.flatnonzero(mask), [*range(255), *range(768, 1000)])
    assert not seizure_mask([(5.0, 4.0, "seiz"), (4.0, -1.0, "seiz")], 5000).any()


def test_a_missing_file_is_not_a_file_without_seizures(tmp_path: Path) -> None:
    for name in ("a.csv", "a.npy"):
        with pytest.raises(MissingAnnotationError) as caught:
            read_mask(tmp_path / name, 10)
        assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        parse_tusz_csv(tmp_path / "a.csv")
    assert not read_mask(write_csv(tmp_path / "a.csv"), 10).any()


@pytest.mark.parametrize("content", [b"", b"\0\1\2\n\xff\xfe", b"<html>\n</html>\n"])
def test_a_file_of_another_kind_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_mask(path, 10)


def test_stored_masks_have_the_length_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([0, 1, 1, 0], bool))
    found = read_mask(path, 4)
    assert found.dtype == np.float32
    assert found.tolist() == [0, 1, 1, 0]
    with pytest.raises(DamagedError, match=r"\(5,\)"):
        read_mask(path, 5)
    np.save(path, np.array([0, 2]))
    with pytest.raises(DamagedError):
        read_mask(path, 2)
    path.write_bytes(b"nothing")
    with pytest.raises(DamagedError):
        read_mask(path, 2)
