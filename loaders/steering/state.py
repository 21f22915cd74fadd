"""What workers of a loader follow while they live: the epoch, and a kind of steering that is forced."""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from recorder.errors import OptionError

_FREE = -1


class State:
    """Epoch and forced kind of steering, in memory that is shared with workers, persistent ones too.

    Parameters
    ----------
    epoch : int

    Raises
    ------
    OptionError
        It is no integer from 0 on.
    """

    def __init__(self, epoch: int) -> None:
        self._shared = torch.tensor([_checked(epoch), _FREE])
        with contextlib.suppress(RuntimeError, OSError):  # without shared memory, workers begin with a copy
            self._shared.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The epoch that was set last."""
        return int(self._shared[0])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._shared[0] = _checked(epoch)

    @property
    def forced(self) -> int | None:
        """Code of the kind of steering that all samples get; None where it is drawn."""
        code = int(self._shared[1])
        return None if code == _FREE else code

    @forced.setter
    def forced(self, code: int | None) -> None:
        self._shared[1] = _FREE if code is None else code


def _checked(epoch: int) -> int:
    if not isinstance(epoch, int | np.integer) or isinstance(epoch, bool) or epoch < 0:
        raise OptionError(f"epoch must be an integer from 0 on, got {epoch!r}")
    return int(epoch)
