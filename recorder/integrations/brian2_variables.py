"""Variables and events of a Brian2 group, read where Brian2 has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.errors import OptionError
from recorder.integrations.extra import missing

try:
    import brian2
    from brian2.core.variables import ArrayVariable, Subexpression
except ImportError as error:
    raise missing("brian2", error) from error


def _bounds(group: Any) -> tuple[int, int] | None:
    return (group.start, group.stop) if isinstance(group, brian2.Subgroup) else None


def reader_of(group: Any, name: str) -> Callable[[], Any]:
    """Reads a variable as Brian2 has it now: an array of its own that it updates in place, where it can."""
    if not isinstance(name, str) or name not in group.variables:
        raise OptionError(f"{group.name} has no variable {name!r}")
    variable, bounds = group.variables[name], _bounds(group)
    if isinstance(variable, Subexpression):
        view = group.state(name, use_units=False)
        return lambda: view[:]
    if not isinstance(variable, ArrayVariable):
        raise OptionError(
            f"{name!r} of {group.name} is a constant and no state variable: save it as metadata"
        )
    if variable.scalar:
        return lambda: variable.get_value()[0]
    if group.variables.indices[name] != "_idx":
        linked = group.state(name, use_units=False)
        return lambda: linked[:]
    if bounds is None:
        get: Callable[[], Any] = variable.get_value
        return get
    start, stop = bounds
    return lambda: variable.get_value()[start:stop]


def events_of(group: Any, name: str) -> Callable[[], Any]:
    """Reads the indices of the step's spikes, which stand before their number in one array."""
    variable, bounds = group.variables[name], _bounds(group)

    def whole() -> Any:
        space = variable.get_value()
        return space[: space[-1]]

    if bounds is None:
        return whole
    start, stop = bounds

    def part() -> Any:
        ids = whole()
        return ids[(ids >= start) & (ids < stop)] - start

    return part


def maker_of(group: Any, event: str) -> Any:
    """The object of the network that finds the group's events in each step."""
    source = group.source if isinstance(group, brian2.Subgroup) else group
    return getattr(source, "thresholder", {}).get(event, source)


def unit_of(dim: Any) -> str:
    """The name of the base unit, ``"1"`` without one."""
    return "1" if dim.is_dimensionless else str(brian2.get_unit(dim))
