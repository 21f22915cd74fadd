"""Copies of a row's values on the host: begun without waiting where they are on a GPU.

Neither torch nor JAX is imported: who gives a tensor has imported its library.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array
from recorder.errors import InputError
from recorder.plan import GROUP_ARGUMENTS
from recorder.spike_input import SpikeIndices

_STREAMS = {argument: group for group, argument in GROUP_ARGUMENTS.items()}
_FIXED = (type(None), bool, int, float, complex, str, bytes, np.generic)
"""What nobody can change, and needs no copy."""


def on_device(row: Mapping[str, Any]) -> bool:
    """Whether any of the arguments of ``log()`` is, or has, a CUDA tensor of torch or a JAX array."""
    for value in row.values():
        if isinstance(value, Mapping):
            if any(map(is_there, value.values())):
                return True
        elif value is not None and is_there(value.indices if isinstance(value, SpikeIndices) else value):
            return True
    return False


def is_there(value: Any) -> bool:
    """Whether a value is a CUDA tensor of torch or a JAX array."""
    return bool(getattr(value, "is_cuda", False)) or hasattr(value, "copy_to_host_async")


class Slot:
    """Host memory of one row that is under way, used again and again."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str], tuple[Any, NDArray[Any]]] = {}
        """Pinned tensors by argument and key, and the same memory as arrays."""
        self._events: dict[Any, Any] = {}
        """By device: when the row's copies from it are done."""

    def begin(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of ``log()`` with copies in their place, which are whole after :meth:`wait`.

        Raises
        ------
        InputError
            A value that no stream can hold; nothing is under way.
        """
        devices: dict[Any, None] = {}
        step = row["timestep"]
        out: dict[str, Any] = {}
        try:
            for name, value in row.items():
                if isinstance(value, Mapping):
                    out[name] = {
                        key: self._copied(devices, step, (name, key), part) for key, part in value.items()
                    }
                elif isinstance(value, SpikeIndices):
                    ids = self._copied(devices, step, (name, ""), value.indices)
                    out[name] = SpikeIndices(ids, value.n_neurons)
                else:
                    out[name] = self._copied(devices, step, (name, ""), value)
            if devices or self._events:
                cuda = sys.modules["torch"].cuda
                self._events = {device: self._events.get(device) or cuda.Event() for device in devices}
                for device, event in self._events.items():
                    event.record(cuda.current_stream(device))
        except BaseException:
            # Copies into this memory may be under way still; torch keeps it until they are done.
            self._hosts = {}
            raise
        return out

    def wait(self) -> None:
        """Until what :meth:`begin` returned is whole."""
        for event in self._events.values():
            event.synchronize()

    def _copied(self, devices: dict[Any, None], step: Any, place: tuple[str, str], value: Any) -> Any:
        if isinstance(value, _FIXED):
            return value
        if getattr(value, "is_cuda", False):
            source = value.detach()
            host, array = self._hosts.get(place, (None, None))
            if host is None or host.dtype != source.dtype or host.shape != source.shape:
                host = sys.modules["torch"].empty(source.shape, dtype=source.dtype, pin_memory=True)
                array = as_array(_stream(place), step, host)
                self._hosts[place] = host, array
            host.copy_(source, non_blocking=True)
            devices[source.device] = None
            return array
        if hasattr(value, "copy_to_host_async"):
            return _of_jax(step, place, value)
        if isinstance(value, np.ndarray):
            return value.copy()
        if hasattr(value, "detach") and hasattr(value, "clone"):
            return value.detach().clone()
        if place[0] in _STREAMS:
            return np.array(as_array(_stream(place), step, value))
        try:
            return copy.deepcopy(value)
        except Exception as error:
            got = f"{type(value).__name__} ({error})"
            raise InputError(_stream(place), "what can be copied", got, step=step) from error


def _stream(place: tuple[str, str]) -> str:
    argument, key = place
    return f"{_STREAMS.get(argument, argument)}/{key}" if key else _STREAMS.get(argument, argument)


def _of_jax(step: Any, place: tuple[str, str], value: Any) -> Any:
    try:
        own = value.copy()  # a step that donates its arguments may take the array away
        own.copy_to_host_async()
    except Exception:
        return np.array(as_array(_stream(place), step, value))  # or what is wrong with it
    return own
