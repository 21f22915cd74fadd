"""States of random generators: taken from the generators of any library, and put back, encode beside decode.

Libraries are only used where the program has imported them already, or where a state of theirs is put back.
"""

from __future__ import annotations

import importlib
import random
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from recorder.errors import DamagedError, InputError
from recorder.frames import own_frames

_WHERE = "generators"
States = dict[str, Any]


class _Form(NamedTuple):
    """One sort of generator: what is one, its state, a new one of a state, and one put into a state."""

    fits: Callable[[Any], bool]
    take: Callable[[Any], Any]
    make: Callable[[Any], Any]
    put: Callable[[Any, Any], None] | None


def _of(module: str, name: str) -> Callable[[Any], bool]:
    return lambda value: type(value).__module__.partition(".")[0] == module and type(value).__name__ == name


def _numpy(state: Mapping[str, Any]) -> np.random.Generator:
    kind = getattr(np.random, str(state["bit_generator"]), None)
    if kind is None:
        raise DamagedError(f"NumPy has no bit generator {str(state['bit_generator'])[:40]!r}")
    made = np.random.Generator(kind())
    made.bit_generator.state = state
    return made


def _is_ours(bit_generator: Any) -> bool:
    """Whether it is one of NumPy's own, which can be made by its name."""
    return getattr(np.random, type(bit_generator).__name__, None) is type(bit_generator)


def _put_numpy(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    generator.bit_generator.state = state


def _legacy(state: Any) -> np.random.RandomState:
    made = np.random.RandomState()
    made.set_state(state)
    return made


def _python(state: Any) -> random.Random:
    made = random.Random()
    made.setstate(state)
    return made


def _torch_state(generator: Any) -> States:
    return {"device": str(generator.device), "state": generator.get_state().cpu().numpy()}


def _torch(state: Any) -> Any:
    torch = importlib.import_module("torch")
    made = torch.Generator(device=state["device"] if isinstance(state, Mapping) else "cpu")
    _put_torch(made, state)
    return made


def _put_torch(generator: Any, state: Any) -> None:
    plain = state["state"] if isinstance(state, Mapping) else state
    generator.set_state(importlib.import_module("torch").from_numpy(np.array(plain)))


def _is_key(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib") and hasattr(value, "dtype")


def _key_state(key: Any) -> States:
    jax = sys.modules["jax"]
    if not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        return {"data": np.asarray(key), "impl": None}
    return {"data": np.asarray(jax.random.key_data(key)), "impl": str(jax.random.key_impl(key))}


def _key(state: States) -> Any:
    jax = importlib.import_module("jax")
    data = jax.numpy.asarray(state["data"])
    return data if state["impl"] is None else jax.random.wrap_key_data(data, impl=state["impl"])


_FORMS = {
    "numpy": _Form(
        lambda value: isinstance(value, np.random.Generator) and _is_ours(value.bit_generator),
        lambda generator: generator.bit_generator.state,
        _numpy,
        _put_numpy,
    ),
    "numpy legacy": _Form(
        lambda value: (
            isinstance(value, np.random.RandomState)
            and value.get_state(legacy=False)["bit_generator"] == "MT19937"
        ),
        lambda generator: generator.get_state(legacy=False),
        _legacy,
        lambda generator, state: generator.set_state(state),
    ),
    "python": _Form(
        lambda value: type(value) is random.Random,
        lambda generator: generator.getstate(),
        _python,
        lambda generator, state: generator.setstate(state),
    ),
    "torch": _Form(_of("torch", "Generator"), _torch_state, _torch, _put_torch),
    "jax": _Form(_is_key, _key_state, _key, None),
}


def by_name(generators: Any) -> Mapping[str, Any]:
    """The generators that were given, {} for None.

    Raises
    ------
    InputError
        No mapping.
    """
    if generators is None:
        return {}
    if not isinstance(generators, Mapping):
        raise InputError(_WHERE, "a dict of random generators", type(generators).__name__)
    return generators


def take(generators: Mapping[str, Any] | None) -> States:
    """States of the global generators of Python, NumPy and (where imported) torch, and of those given.

    Raises
    ------
    InputError
        No mapping, or a value in it that is no generator known here.
    """
    named = {}
    for name, generator in by_name(generators).items():
        form = next((form for form, how in _FORMS.items() if how.fits(generator)), None)
        if form is None or not isinstance(name, str):
            what = f"{type(generator).__module__}.{type(generator).__qualname__}"
            raise InputError(f"{_WHERE}/{name}", "a generator of NumPy, random or torch, or a JAX key", what)
        named[name] = {"form": form, "state": _FORMS[form].take(generator)}
    return {"global": _take_global(), "named": named}


def _take_global() -> States:
    # The global generator of NumPy is there whether or not a program uses it.
    found: States = {"python": random.getstate(), "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.get_rng_state().numpy()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found["cuda"] = [state.cpu().numpy() for state in torch.cuda.get_rng_state_all()]
    return found


def new(states: States, *, without: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """New generators in the states that were taken, by name, but for those in ``without``.

    One whose library or device is not here is left out with a warning.

    Raises
    ------
    DamagedError
    """
    made = {}
    try:
        for name, entry in states["named"].items():
            if name in (without or {}):
                continue
            try:
                made[name] = _FORMS[entry["form"]].make(entry["state"])
            except (ImportError, RuntimeError) as error:
                warnings.warn(
                    f"random generator {name!r} cannot be made here: {error}", stacklevel=own_frames()
                )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"states of random generators that cannot be: {error}") from error
    return made


def check(states: States, generators: Mapping[str, Any]) -> None:
    """Make sure that generators can be put into the states of their names.

    Raises
    ------
    InputError
        A generator of another name or sort than was stored.
    DamagedError
    """
    try:
        _check(states["named"], generators)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"states of random generators that cannot be: {error}") from error


def _check(named: States, generators: Mapping[str, Any]) -> None:
    for name, generator in generators.items():
        form = _FORMS.get(named.get(name, {}).get("form"))
        if form is None or form.put is None or not form.fits(generator):
            stored = named.get(name, {}).get("form", "none")
            raise InputError(
                f"{_WHERE}/{name}", f"a generator as it was stored ({stored})", type(generator).__qualname__
            )
        bits = getattr(generator, "bit_generator", None)
        kind = named[name]["state"]["bit_generator"] if bits is not None else ""
        if bits is not None and kind != type(bits).__name__:
            raise InputError(f"{_WHERE}/{name}", f"bits by {kind}, as stored", type(bits).__name__)


def put(states: States, generators: Mapping[str, Any]) -> None:
    """Put global generators, and those given, into the states that were taken.

    Of global ones, those whose library or device is not here are left alone, with a warning.

    Raises
    ------
    InputError
        A generator of another name or sort than was stored; none was changed.
    DamagedError
    """
    check(states, generators)
    named = states["named"]
    try:
        for name, generator in generators.items():
            form = _FORMS[named[name]["form"]]
            assert form.put is not None
            form.put(generator, named[name]["state"])
        _put_global(states["global"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedError(f"states of random generators that cannot be: {error}") from error


def _put_global(states: States) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    if "torch" not in states:
        return
    try:
        torch = importlib.import_module("torch")
        torch.set_rng_state(torch.from_numpy(np.array(states["torch"])))
        if "cuda" in states:
            torch.cuda.set_rng_state_all([torch.from_numpy(np.array(state)) for state in states["cuda"]])
    except (ImportError, RuntimeError, AssertionError) as error:
        warnings.warn(
            f"torch's random generators were saved and cannot be put back: {error}", stacklevel=own_frames()
        )
