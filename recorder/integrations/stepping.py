"""A plain decorator: what a step function computes is logged whenever it returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import AsyncGeneratorType, GeneratorType
from typing import Any, ParamSpec, TypeVar

from recorder.errors import FlightrecError, InputError, OptionError
from recorder.integrations.target import Counter, Target, require_target

Given = ParamSpec("Given")
Result = TypeVar("Result")
_YET_TO_COME = (GeneratorType, AsyncGeneratorType)
_LAZY = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


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
        A target that nothing can be logged into. From the decorator:
        a coroutine or a generator, which compute nothing by the time they return.
    InputError
        From the decorated function: no mapping, what ``log()`` refuses, or streams that another integration
        counts in the same episode. The step has been taken, and its row was not stored; the next call has
        its timestep. Also a result that has yet to be awaited or iterated over: there the step was not taken.
    NoEpisodeError, ClosedError, WriteError
        From the decorated function, as of ``log()``.
    """

    require_target(target, "record_steps")

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        for lazy in _LAZY:
            if lazy(function) or lazy(type(function).__call__):
                raise OptionError(f"record_steps takes a plain function, not {function!r}")
        counter = Counter(f"record_steps of {getattr(function, '__qualname__', function)}")

        @functools.wraps(function)
        def recorded(*arguments: Given.args, **keywords: Given.kwargs) -> Result:
            result = function(*arguments, **keywords)
            if isinstance(result, _YET_TO_COME) or hasattr(result, "__await__"):
                raise _yet_to_come(result)
            row: Any = result if what is None else what(result, *arguments, **keywords)
            if not isinstance(row, Mapping):
                hint = "give record_steps a what= that makes one of the result"
                raise InputError("step", "a mapping of log()'s arguments", type(row).__name__, hint=hint)
            try:
                if "timestep" in row:
                    target.log(**row)
                else:
                    target.log(counter.step(target, row), **row)
                    counter.advance(target)
            except TypeError as error:
                _require_names(row, error)
                raise
            return result

        return recorded

    return decorate


def _yet_to_come(result: Any) -> InputError:
    got = type(result).__name__
    if inspect.iscoroutine(result):
        result.close()  # else Python warns of it a second time
    return InputError("step", "a result that was computed", got, hint="decorate what computes it")


def _require_names(row: Mapping[Any, Any], error: TypeError) -> None:
    """Say that a mapping's keys are not what a function takes, where that is the error."""
    odd = [key for key in row if not isinstance(key, str) or key == "self"]
    if odd and not isinstance(error, FlightrecError):
        got = f"the key {odd[0]!r}"
        raise InputError("step", "a mapping of log()'s arguments by their names", got) from error
