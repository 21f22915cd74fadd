"""EDF files, as edfio writes them: signals in µV in one order, and typed errors for what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.windows.eeg.preprocess import preprocess, window_starts
from loaders.windows.eeg.recording import electrode, length_of, read_recording
from loaders.windows.eeg.settings import CHANNELS
from recorder.errors import DamagedError, DiscontinuousError, MissingChannelsError, MissingExtraError
from tests.eeg.edfs import REFERENCE, TUSZ, patched, write_edf

mne = pytest.importorskip("mne")
edfio = pytest.importorskip("edfio")

DATE, RECORDS, RESERVED = 168, 236, 192


@pytest.fixture(scope="module")
def edf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_edf(tmp_path_factory.mktemp("edf") / "p_s001_t000.edf", 5)


@pytest.mark.parametrize("rate", [200, 250, 256, 400])
def test_preprocessing_equals_the_reference(rate: int) -> None:
    with np.load(REFERENCE / "expected_preprocess.npz") as expected:
        found = preprocess(expected[f"in_{rate}"], rate)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected[f"out_{rate}"])


def test_what_is_no_number_becomes_zero() -> None:
    signals = np.ones((2, 1000), np.float32)
    signals[0, 10] = np.nan
    found = preprocess(signals, 256.0)
    assert not found[0].any()
    assert np.abs(found).max() <= 10
    assert preprocess(np.ones((2, 0), np.float32), 200.0).shape == (2, 0)


@pytest.mark.parametrize(
    ("samples", "starts"), [(0, 0), (15359, 0), (15360, 1), (17919, 1), (17920, 2), (25600, 5)]
)
def test_windows_begin_every_ten_seconds_while_they_fit(samples: int, starts: int) -> None:
    assert list(window_starts(samples)) == [2560 * k for k in range(starts)]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("EEG FP1-REF", "Fp1"),
        ("EEG T7-LE", "T3"),
        ("eeg p8-ar", "T6"),
        ("P 7", "T5"),
        ("Cz", "Cz"),
        ("EEG EKG1-REF", None),
        ("EEG FP1-F7", None),
        ("", None),
    ],
)
def test_electrodes_are_found_by_name(label: str, name: str | None) -> None:
    assert electrode(label) == name


def test_channels_are_put_in_order(edf: Path, tmp_path: Path) -> None:
    signals, rate = read_recording(edf)
    assert (signals.shape, signals.dtype, rate) == ((19, 5 * 256), np.float32, 256.0)
    assert length_of(edf) == (5 * 256, 256.0)
    assert np.abs(signals).max() == pytest.approx(50, abs=0.1)
    odd = ["EEG " + name for name in ("T7", "T8", "P7", "P8")]
    new = dict(zip(("T3", "T4", "T5", "T6"), odd, strict=True))
    labels = [new.get(name, f"{name.lower()}-LE") for name in reversed(CHANNELS)]
    other, _ = read_recording(write_edf(tmp_path / "odd é.name.edf", 5, labels=labels))
    # The signals came in the order of their labels.
    assert np.array_equal(other[::-1], signals)


def test_other_signals_do_not_matter(edf: Path, tmp_path: Path) -> None:
    """Neither their rates: MNE would bring all to the highest."""
    source = edfio.read_edf(edf)
    fast = edfio.EdfSignal(np.zeros(5 * 1000), 1000, label="EEG EKG1-REF", physical_range=(-1, 1))
    edfio.Edf([fast, *source.signals], annotations=[edfio.EdfAnnotation(1, None, "x")]).write(
        tmp_path / "a.edf"
    )
    signals, rate = read_recording(tmp_path / "a.edf")
    assert rate == 256.0
    assert np.array_equal(signals, read_recording(edf)[0])


@pytest.mark.parametrize("missing", [["FZ"], ["PZ"], ["FZ", "PZ"]])
def test_fz_and_pz_are_interpolated(tmp_path: Path, missing: list[str]) -> None:
    labels = [label for label in TUSZ if not any(name in label for name in missing)]
    signals, _ = read_recording(write_edf(tmp_path / "a.edf", 5, labels=labels))
    for name in missing:
        row = signals[[c.upper() for c in CHANNELS].index(name)]
        assert row.any()
        assert np.abs(row).max() < 200
    kept = [k for k, c in enumerate(CHANNELS) if c.upper() not in missing]
    plain = 50 * np.sin(2 * np.pi * 3 * np.arange(5 * 256) / 256)
    assert np.allclose(signals[kept[0]], plain, atol=0.01)


def test_other_missing_channels_are_an_error(tmp_path: Path) -> None:
    labels = [label for label in TUSZ if "O1" not in label and "FZ" not in label]
    path = write_edf(tmp_path / "a.edf", 2, labels=labels)
    with pytest.raises(MissingChannelsError, match=r"^Missing required channels: \{'O1'\}") as caught:
        read_recording(path)
    assert isinstance(caught.value, ValueError)
    assert str(path) in str(caught.value)


def test_a_channel_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", 2, labels=[*TUSZ, "EEG T7-REF"])
    with pytest.raises(MissingChannelsError, match="T7"):
        read_recording(path)


@pytest.mark.parametrize("cut", [0, 100, 1000, 5000, -1, -3000])
def test_a_cut_file_is_damaged(edf: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(edf.read_bytes()[:cut])
    with pytest.raises(DamagedError, match=r"a\.edf"):
        read_recording(path)


def test_a_file_of_another_kind_is_damaged(edf: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(np.random.default_rng(0).bytes(10_000))
    with pytest.raises(DamagedError, match="no EDF file"):
        read_recording(path)
    longer = tmp_path / "b.edf"
    longer.write_bytes(edf.read_bytes() + bytes(1000))
    with pytest.raises(DamagedError, match="promises 5"):
        read_recording(longer)
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "c.edf")


def test_a_file_that_does_not_promise_records_is_read(edf: Path, tmp_path: Path) -> None:
    path = patched(edf, tmp_path / "a.edf", RECORDS, b"-1      ")
    assert np.array_equal(read_recording(path)[0], read_recording(edf)[0])


@pytest.mark.parametrize("date", [b"01:01:85", b"00.00.00", b"??.??.??", b"        "])
def test_odd_dates_do_not_matter(edf: Path, tmp_path: Path, date: bytes) -> None:
    path = patched(edf, tmp_path / "a.edf", DATE, date)
    before = path.read_bytes()
    assert np.array_equal(read_recording(path)[0], read_recording(edf)[0])
    assert path.read_bytes() == before


def test_a_date_that_mne_refuses_is_repaired_on_a_copy(
    edf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its older versions do."""
    path = patched(edf, tmp_path / "a.edf", DATE, b"01:02:85")
    before, real, seen = path.read_bytes(), mne.io.read_raw_edf, []

    def strict(given: Any, **options: Any) -> Any:
        seen.append(Path(given))
        if b":" in Path(given).read_bytes()[DATE : DATE + 8]:
            raise ValueError("invalid literal for int()")
        return real(given, **options)

    monkeypatch.setattr(mne.io, "read_raw_edf", strict)
    assert np.array_equal(read_recording(path)[0], read_recording(edf)[0])
    assert path.read_bytes() == before
    assert seen[1] != path
    assert not seen[1].exists()


def with_gap(path: Path, gap: float) -> Path:
    """An EDF+D file of ten records of a second, of which the last five come so much later."""
    whole = write_edf(path, 10, annotations=[edfio.EdfAnnotation(0, None, "begin")])
    file = edfio.read_edf(whole)
    samples = [*[signal.samples_per_data_record for signal in file.signals]]
    data = bytearray(whole.read_bytes())
    data[RESERVED : RESERVED + 5] = b"EDF+D"
    header = int(data[184:192])
    record = (len(data) - header) // file.num_data_records
    for k in range(file.num_data_records // 2, file.num_data_records):
        at = header + k * record + 2 * sum(samples)
        end = data.index(b"\x14", at)
        onset = f"{float(data[at:end]) + gap:+g}".encode()
        rest = bytes(data[end : header + (k + 1) * record])
        data[at : header + (k + 1) * record] = (onset + rest).ljust(record - 2 * sum(samples), b"\0")[
            : record - 2 * sum(samples)
        ]
    path.write_bytes(data)
    return path


def test_a_recording_with_gaps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscontinuousError, match=r"after 5 s the next record is at 35 s"):
        read_recording(with_gap(tmp_path / "a.edf", 30.0))
    plain = write_edf(tmp_path / "c.edf", 5)
    with pytest.raises(DiscontinuousError, match=r"EDF\+D"):
        read_recording(patched(plain, tmp_path / "d.edf", RESERVED, b"EDF+D"))
    # One that is said to have gaps and has none is as good as any.
    assert read_recording(with_gap(tmp_path / "b.edf", 0.0))[0].shape == (19, 2560)


def test_without_mne_the_extra_is_named(edf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r"flightrec\[eeg\]") as caught:
        read_recording(edf)
    assert isinstance(caught.value, ImportError)
