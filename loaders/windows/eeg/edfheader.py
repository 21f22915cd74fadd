"""What an EDF or BDF file says of itself, looked at before its samples: cut files, and recordings with gaps.

MNE reads as many records as a file has, whatever its header promises, and takes records as following each
other. The fields are those of the EDF and EDF+ specifications (edfplus.info); those of BDF differ in what
:class:`Kind` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recorder.errors import DamagedError, DiscontinuousError

_FIXED, _EACH = 256, 256
DATE = slice(168, 176)
"""Where the date of the recording stands."""
_MOST_SIGNALS = 4096


@dataclass(frozen=True)
class Kind:
    """Of the two formats.

    Attributes
    ----------
    name : str
    begin : bytes
        Of the file.
    width : int
        Bytes of a sample.
    """

    name: str
    begin: bytes
    width: int


EDF = Kind("EDF", b"0       ", 2)
BDF = Kind("BDF", b"\xffBIOSEMI", 3)


@dataclass(frozen=True)
class EdfHeader:
    """The fields that matter here.

    Attributes
    ----------
    labels : list of str
        Of the signals, blanks around them removed.
    samples : list of int
        Of each signal in a record.
    records : int
        That are in the file.
    seconds : float
        That a record lasts.
    date : bytes
    """

    labels: list[str]
    samples: list[int]
    records: int
    seconds: float
    date: bytes


def look(path: Path, kind: Kind = EDF) -> EdfHeader:
    """The header of a file that is whole and has no gaps.

    Raises
    ------
    FileNotFoundError
    DamagedError
        It is no such file, or has another length than its header says.
    DiscontinuousError
        It is an EDF+D or BDF+D file whose records do not follow each other.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(_FIXED)
        if len(fixed) < _FIXED or fixed[:8] != kind.begin:
            raise DamagedError(f"{path} is no {kind.name} file: it begins with {fixed[:8]!r}")
        signals = _number(path, "number of signals", fixed[252:256], 1, _MOST_SIGNALS)
        each = file.read(_EACH * signals)
    if len(each) < _EACH * signals:
        raise DamagedError(f"{path} ends within its header")
    begin = _number(path, "length of the header", fixed[184:192], 0, 1 << 40)
    if begin != _FIXED + _EACH * signals:
        raise DamagedError(
            f"{path}: a header of {signals} signals has {_FIXED + _EACH * signals} bytes, not {begin}"
        )
    labels = [_text(each[16 * k : 16 * k + 16]) for k in range(signals)]
    at = 216 * signals
    samples = [
        _number(path, f"samples of {label!r}", each[at + 8 * k : at + 8 * k + 8], 0, 1 << 30)
        for k, label in enumerate(labels)
    ]
    try:
        seconds = float(fixed[244:252])
    except ValueError:
        raise DamagedError(f"{path}: a record lasts {fixed[244:252]!r} seconds") from None
    record = kind.width * sum(samples)
    promised = _number(path, "number of records", fixed[236:244], -1, 1 << 40)
    if not record or not 0 <= seconds < 1e9:
        raise DamagedError(f"{path}: records of {record} bytes and {seconds} seconds")
    there, rest = divmod(size - begin, record)
    if promised >= 0 and (there, rest) != (promised, 0):
        raise DamagedError(
            f"{path} has {(size - begin) / record:.4g} records and its header promises {promised}: "
            "it is cut off, or was never finished"
        )
    found = EdfHeader(labels, samples, there, seconds, fixed[DATE])
    if fixed[192:197] == f"{kind.name}+D".encode():
        _check_follow(path, found, begin, kind)
    return found


def _check_follow(path: Path, header: EdfHeader, begin: int, kind: Kind) -> None:
    """Compare the onsets of the records, which stand first in the first signal of annotations."""
    annotations = f"{kind.name} Annotations"
    if annotations not in header.labels:
        raise DiscontinuousError(
            f"{path} is a discontinuous recording ({kind.name}+D) without a signal {annotations!r} that says "
            "when its records are"
        )
    signal = header.labels.index(annotations)
    offset, record = kind.width * sum(header.samples[:signal]), kind.width * sum(header.samples)
    length = kind.width * header.samples[signal]
    onsets = np.empty(header.records)
    with path.open("rb") as file:
        for k in range(header.records):
            file.seek(begin + k * record + offset)
            onset = file.read(length).partition(b"\x14")[0]
            try:
                onsets[k] = float(onset)
            except ValueError:
                raise DamagedError(f"{path}: record {k} does not say when it is: {onset[:20]!r}") from None
    gaps = np.flatnonzero(np.abs(np.diff(onsets) - header.seconds) > 1e-3)
    if len(gaps):
        first = int(gaps[0])
        raise DiscontinuousError(
            f"{path} is a discontinuous recording ({kind.name}+D) with {len(gaps)} gaps: after "
            f"{onsets[first] + header.seconds - onsets[0]:g} s the next record is at "
            f"{onsets[first + 1] - onsets[0]:g} s. Windows and filters would reach over them: "
            "cut it into continuous files"
        )


def _number(path: Path, what: str, field: bytes, least: int, most: int) -> int:
    try:
        value = int(field)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise DamagedError(f"{path}: the {what} is {field!r}")
    return value


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip()
