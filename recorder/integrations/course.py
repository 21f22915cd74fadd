"""How an episode of an environment goes, and how it ends whatever goes wrong in that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recorder.admission import as_array
from recorder.errors import InputError
from recorder.format.document import dumps
from recorder.integrations.host import to_host
from recorder.integrations.target import Target

Success = Callable[[bool, bool, Mapping[str, Any]], Any]
"""Takes ``terminated``, ``truncated`` and ``info`` of an episode's last step; returns a truth value."""


class Course:
    """How an environment's episode has gone so far.

    Attributes
    ----------
    observation : dict
        The arrays of the last one.
    seed
        Of the reset that began it.
    steps : int
        Those that were taken: the next row's timestep.
    over, won : bool
        Whether it terminated or was truncated; whether it succeeded.
    """

    __slots__ = ("ended", "gained", "observation", "seed", "steps", "won")

    def __init__(self, observation: dict[str, Any] | None = None, seed: Any = None) -> None:
        self.observation, self.seed = observation or {}, seed
        self.steps, self.gained = 0, 0.0
        self.ended = False, False
        self.won = False

    @property
    def over(self) -> bool:
        """Whether it terminated or was truncated."""
        return self.ended[0] or self.ended[1]

    def count(self, reward: Any, terminated: bool, truncated: bool) -> int:
        """A step was taken, whatever will be wrong with its row; returns the row's timestep."""
        step = self.steps
        self.steps = step + 1
        self.ended = terminated, truncated
        try:
            self.gained += float(reward)
        except Exception:
            # log() says what is wrong with it.
            self.gained = float("nan")
        return step

    def judge(self, success: Success, info: Any) -> None:
        """Ask whether it succeeded, at its end.

        Raises
        ------
        InputError
            The answer is no truth value. Whatever ``success`` raises passes.
        """
        answer = success(*self.ended, info)
        try:
            self.won = bool(answer)
        except Exception as error:
            raise InputError("success", "a truth value", f"{type(answer).__name__} ({error})") from error

    def end(self, target: Target, environment: str) -> None:
        """End the active episode with what has come of it, in the environment of this name.

        Raises
        ------
        InputError
            Something in the last observation cannot be stored: the episode ended without it.
        """
        final: dict[str, Any] = {}
        first: Exception | None = None
        for name, part in self.observation.items():
            try:
                final[name] = as_array(name, self.steps, to_host(part))[()]
            except InputError as error:
                first = noted(first, error)
        target.end_episode(self.won, {"environment": environment, **self._summary(final)})
        if first is not None:
            raise first

    def _summary(self, final: dict[str, Any]) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "return": self.gained,
            "terminated": self.ended[0],
            "truncated": self.ended[1],
            "seed": _storable(self.seed),
            "final": final,
        }


def _storable(seed: Any) -> Any:
    # An environment may take seeds that have no place in a file; for them no episode shall stay open.
    try:
        dumps(seed)
    except InputError:
        return repr(seed)[:200]
    return seed


def told(terminated: bool, truncated: bool, info: Mapping[str, Any]) -> bool:  # noqa: ARG001
    """What the environment says itself: ``info["is_success"]``, or else ``info["success"]``.

    Raises
    ------
    InputError
        It says several things at once, or nothing that is true or false.
    """
    key = "is_success" if "is_success" in info else "success"
    value = info.get(key)
    if value is None or isinstance(value, bool | np.bool_):
        return bool(value)
    hint = "Give success=, a function of terminated, truncated and info"
    try:
        array = as_array("success", None, to_host(value))
    except InputError as error:
        raise InputError("success", f"one truth value in info[{key!r}]", error.got, hint=hint) from error
    if array.size != 1:
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError("success", f"one truth value in info[{key!r}]", got, hint=hint)
    return bool(array.item())


def noted(first: Exception | None, error: Exception, where: str = "") -> Exception:
    """Which of the errors of one call to raise when all is done: the first, with notes about the others."""
    note = where
    if first is None:
        first = error
    elif error is not first:
        note = f"{where}{': ' if where else ''}{type(error).__name__}: {error}"
    if note and note not in getattr(first, "__notes__", ()):
        first.add_note(note)
    return first


def each(*calls: Callable[[], object]) -> None:
    """Make all of the calls, whatever they raise; the first error is raised at the end."""
    first: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as error:
            first = noted(first, error)
    if first is not None:
        raise first
