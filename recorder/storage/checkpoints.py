"""A running simulation stored in one call and gone on with in another, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder import randomness
from recorder.h5.store import checkpoints
from recorder.storage.core import Core
from recorder.storage.objects import Checkpoint


class Checkpoints(Core):
    """State and random generators together: only both make a run go on as it would have."""

    def store_checkpoint(
        self,
        timestamp: float,
        state: Mapping[str, Any],
        generators: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store the state of a simulation. Returns ``checkpoint_<ms>``.

        Parameters
        ----------
        state : mapping
            Arrays of any library, SciPy's sparse matrices, numbers, text, and mappings and lists of these.
        generators : mapping, optional
            Random generators by name: NumPy's ``Generator`` and ``RandomState``, ``random.Random``, torch's
            ``Generator``, JAX keys. The global ones of Python, NumPy and torch are stored in any case.
        """
        return self._store(
            "a checkpoint",
            lambda: checkpoints.plan_checkpoint(timestamp, state, randomness.take(generators), metadata),
        )

    def retrieve_checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        """A checkpoint with new generators in their states; the global ones stay as they are."""
        found = self._find("Checkpoint", checkpoint_id, checkpoints.find_checkpoint)
        if found is None:
            return None
        timestamp, state, states, metadata = found
        with self._speaking(f"retrieve checkpoint {checkpoint_id!r}"):
            return Checkpoint(timestamp, state, randomness.new(states), metadata)

    def restore_checkpoint(
        self, checkpoint_id: str, generators: Mapping[str, Any] | None = None
    ) -> Checkpoint | None:
        """As :meth:`retrieve_checkpoint`, and put generators into their states: global ones and those given.

        Parameters
        ----------
        generators : mapping, optional
            Those to be put into the state of their name, in place. Others, and JAX keys, which cannot be
            changed, come new in the result.

        Raises
        ------
        StorageInputError
            No mapping, or a generator of another name or sort than was stored; none was changed.
        """
        found = self._find("Checkpoint", checkpoint_id, checkpoints.find_checkpoint)
        if found is None:
            return None
        timestamp, state, states, metadata = found
        with self._speaking(f"restore checkpoint {checkpoint_id!r}"):
            given = randomness.by_name(generators)
            made = randomness.new(states)
            randomness.put(states, given)
            return Checkpoint(timestamp, state, made | dict(given), metadata)
