"""A plain decorator: what a step function computes is logged whenever it returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from recorder.errors import InputError, OptionError
from recorder.integrations.target import Counter, Target

Given = ParamSpec("Given")
Result = TypeVar("Result")


def record_steps(
    target: Target, what: Callable[..., Mapping[str, Any]] | None = None
) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Log a step function's results, one row a call, and return them as they are.

    Parameters
    ----------
    target : DataExporter or Triggered
        Its episode is active whenever the function is called.
    what : callable, optional
        ``what(result, *arguments, **keywords)``, called with the function's result and its arguments (a
        method's ``self`` is the first of them), returns the arguments of ``log()`` as a mapping. By default
        the result is that mapping.

    Returns
    -------
    callable
        The decorator. Timesteps count the function's calls in each episode from 0, unless the mapping has a
        ``"timestep"``. Values are copied when the function returns; what it raises passes, and logs nothing.

    Raises
    ------
    OptionError
        From the decorator: a coroutine or a generator, which compute nothing by the time they return.
    InputError
        From the decorated function: no mapping, what ``log()`` refuses, or streams that another integration
        counts in the same episode. The step has been taken, and its row was not stored; the next call has
        its timestep.
    NoEpisodeError, ClosedError, WriteError
        From the decorated function, as of ``log()``.
    """

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        for lazy in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if lazy(function):
                raise OptionError(f"record_steps takes a plain function, not {function!r}")
        counter = Counter(f"record_steps of {getattr(function, '__qualname__', function)}")

        @functools.wraps(function)
        def recorded(*arguments: Given.args, **keywords: Given.kwargs) -> Result:
            result = function(*arguments, **keywords)
            row: Any = result if what is None else what(result, *arguments, **keywords)
            if not isinstance(row, Mapping):
                hint = "give record_steps a what= that makes one of the result"
                raise InputError("step", "a mapping of log()'s arguments", type(row).__name__, hint=hint)
            if "timestep" in row:
                target.log(**row)
            else:
                target.log(counter.step(target, row), **row)
                counter.advance(target)
            return result

        return recorded

    return decorate
