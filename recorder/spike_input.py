"""Spikes as users give them: dense vectors, or neuron indices that were declared as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recorder.admission import INT64_MAX, StreamType, as_array, as_index, describe
from recorder.errors import AmbiguousSpikesError, InputError, StreamShapeError, StreamTypeError

SPIKES = "spikes"
DENSE, INDICES = "dense", "indices"
_REAL = np.dtype(np.float64)
_FEW = 64
"""Up to so many indices are looked at one by one: a call of NumPy costs as much."""
_HOW = (
    "say which: spikes=SpikeIndices(ids, n_neurons=N) or "
    "DataExporter(..., spike_format='indices', n_neurons=N) "
    "for indices; a bool array, or spike_format='dense', for one entry per neuron"
)


class SpikeIndices:
    """Neuron indices of one step's spikes, said to be indices.

    Parameters
    ----------
    indices : array_like of int, shape (spikes,)
        Distinct indices of the neurons that fired, in any order; stored as a set.
    n_neurons : int, optional
        How many neurons there are; needed where neither the exporter nor the network structure says so.
    """

    __slots__ = ("indices", "n_neurons")

    def __init__(self, indices: ArrayLike, n_neurons: int | None = None) -> None:
        self.indices = indices
        self.n_neurons = n_neurons

    def __repr__(self) -> str:
        return f"SpikeIndices({self.indices!r}, n_neurons={self.n_neurons})"


@dataclass(frozen=True, slots=True)
class SpikeType:
    """What an episode's spikes are: fixed by the first that came.

    ``form`` is ``"dense"`` (rows of ``dtype``, one entry per neuron) or ``"indices"`` (sorted int64).
    """

    form: str
    dtype: np.dtype[Any]
    n_neurons: int

    @property
    def logged_dtype(self) -> str:
        """The file's ``dtype`` attribute."""
        return INDICES if self.form == INDICES else self.dtype.str

    @property
    def graded(self) -> bool:
        """Whether the entries' values are kept beside their places."""
        return self.form == DENSE and self.dtype.kind != "b"

    def __str__(self) -> str:
        if self.form == INDICES:
            return f"indices of {self.n_neurons} neurons"
        return f"a dense {self.dtype.name} vector of {self.n_neurons} neurons"


def is_empty(value: Any) -> bool:
    """Whether ``value`` is a dense spike vector without entries, which says nothing at all."""
    return not isinstance(value, SpikeIndices) and getattr(value, "ndim", 1) == 1 and _length(value) == 0


def is_plainly(kind: StreamType | SpikeType | None, value: Any) -> bool:
    """Whether the first value of a stream is so plain an array or float that it fixes just this kind."""
    if kind is None:
        return False
    if type(value) is not np.ndarray:
        return (
            type(value) is float and kind.dtype is _REAL and isinstance(kind, StreamType) and not kind.shape
        )
    if value.dtype is not kind.dtype or not value.flags.aligned:
        return False
    if isinstance(kind, StreamType):
        return bool(kind.shape) and value.shape == kind.shape
    # Integers may have to be told from indices.
    return value.dtype.kind == "b" and kind.form == DENSE and value.shape == (kind.n_neurons,)


def learn_spikes(
    step: Any, value: Any, *, n_neurons: int | None, spike_format: str
) -> tuple[SpikeType, NDArray[Any]]:
    """The type that an episode's first spikes fix, and these spikes as an array of that form.

    Raises
    ------
    AmbiguousSpikesError
        Integers that could be dense or indices.
    InputError
        Indices without a known number of neurons, or one of the errors of :func:`admit_spikes`.
    """
    if isinstance(value, SpikeIndices) or spike_format == INDICES:
        count = n_neurons
        if isinstance(value, SpikeIndices) and value.n_neurons is not None:
            count = _count(step, value.n_neurons)
        if count is None:
            raise InputError(
                SPIKES,
                "the number of neurons beside spike indices",
                "none",
                step=step,
                hint="give SpikeIndices(ids, n_neurons=N), DataExporter(..., n_neurons=N), "
                "or save the network first",
            )
        kind = SpikeType(INDICES, np.dtype(np.int64), count)
        return kind, admit_spikes(kind, step, value)
    array = as_array(SPIKES, step, value)
    _require_vector(step, array)
    if (
        spike_format != DENSE
        and array.dtype.kind in "iu"
        and len(array) != n_neurons
        and _could_be_indices(array)
    ):
        raise AmbiguousSpikesError(
            SPIKES,
            "a dense vector or declared indices",
            f"{np.array2string(array, threshold=8, edgeitems=3)}, which could be either",
            step=step,
            hint=_HOW,
        )
    kind = SpikeType(DENSE, array.dtype, len(array))
    return kind, array


def admit_spikes(kind: SpikeType, step: Any, value: Any) -> NDArray[Any]:
    """Later spikes: a dense row ``(neurons,)`` of ``kind.dtype``, or sorted int64 indices ``(spikes,)``.

    Raises
    ------
    StreamTypeError, StreamShapeError
        Another form, dtype or length than the episode's first spikes.
    InputError
        Indices that repeat or lie outside the network.
    """
    if kind.form == DENSE:
        if isinstance(value, SpikeIndices):
            raise StreamTypeError(SPIKES, f"{kind} as before", "SpikeIndices", step=step)
        array = as_array(SPIKES, step, value)
        _require_vector(step, array)
        if array.dtype != kind.dtype:
            raise StreamTypeError(
                SPIKES, f"{kind} (fixed by the episode's first spikes)", describe(array), step=step
            )
        if len(array) != kind.n_neurons:
            raise StreamShapeError(
                SPIKES, f"{kind} (fixed by the episode's first spikes)", describe(array), step=step, hint=_HOW
            )
        return array
    if isinstance(value, SpikeIndices):
        if value.n_neurons is not None and _count(step, value.n_neurons) != kind.n_neurons:
            raise StreamShapeError(SPIKES, str(kind), f"indices of {value.n_neurons} neurons", step=step)
        value = value.indices
    if _length(value) == 0 and getattr(value, "ndim", 1) == 1:
        return np.empty(0, np.int64)
    # What is integers in any case need not be asked for what a conversion would lose.
    plain = type(value) is np.ndarray and value.dtype.isnative and value.dtype.kind in "iu"
    array = value if plain else as_array(SPIKES, step, value)
    _require_vector(step, array)
    if array.dtype.kind not in "iu":
        raise StreamTypeError(SPIKES, f"{kind}, as integers", describe(array), step=step)
    ascending = _ascends(array)
    ids = array if ascending else np.sort(array)
    first, last = int(ids[0]), int(ids[-1])
    if first < 0 or last >= kind.n_neurons:
        outside = first if first < 0 else last
        raise InputError(SPIKES, f"indices from 0 to {kind.n_neurons - 1}", str(outside), step=step)
    if not ascending:
        _require_distinct(step, ids)
    return ids.astype(np.int64)


def _count(step: Any, value: Any) -> int:
    count = as_index(value)
    if count is None or not 0 < count <= INT64_MAX:
        raise InputError(SPIKES, "n_neurons as an int above 0", repr(value)[:200], step=step)
    return count


def _length(value: Any) -> int:
    try:
        return len(value)
    except MemoryError:
        raise
    except Exception:
        return -1


def _require_vector(step: Any, array: NDArray[Any]) -> None:
    if array.ndim != 1:
        raise StreamShapeError(SPIKES, "one dimension", describe(array), step=step)


def _require_distinct(step: Any, ids: NDArray[Any]) -> None:
    repeated = ids[1:] == ids[:-1]
    if repeated.any():
        raise InputError(
            SPIKES, "distinct indices", f"{int(ids[1:][repeated][0])} more than once", step=step, hint=_HOW
        )


def _ascends(ids: NDArray[Any]) -> bool:
    """Whether indices are sorted and distinct already, as simulators have them."""
    if len(ids) <= _FEW:
        listed = ids.tolist()
        return bool(listed == sorted(set(listed)))
    return bool((ids[1:] > ids[:-1]).all())


def _could_be_indices(array: NDArray[Any]) -> bool:
    if len(array) == 0 or int(array.min()) < 0:
        return False
    return len(np.unique(array)) == len(array)
