"""Arrays and random generators of torch and JAX."""

from __future__ import annotations

import random
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder.storage import HDF5Storage, StorageInputError
from tests.apart import run_apart
from tests.storage.objects import assert_equal

T = 1_699_990_000.125


@pytest.mark.skipif(not (find_spec("torch") and find_spec("jax")), reason="needs torch and jax")
def test_arrays_and_generators_of_other_libraries(tmp_path: Path) -> None:
    run_apart(__name__, "arrays_and_generators", tmp_path)


def arrays_and_generators(folder: str) -> None:
    """Both, in a process of its own."""
    _arrays_of_other_libraries(Path(folder) / "arrays.h5")
    _generators_go_on(Path(folder))


def _arrays_of_other_libraries(path: Path) -> None:
    torch, jnp = import_module("torch"), import_module("jax.numpy")
    storage = HDF5Storage(path)
    name = storage.store_network_snapshot(
        T, torch.eye(3, requires_grad=True), jnp.arange(6.0).reshape(2, 3), [[1, 2], [3, 4]]
    )
    found = storage.retrieve_network_snapshot(name)
    assert found is not None
    assert_equal(found.adjacency_matrix, np.eye(3, dtype=np.float32))
    assert_equal(found.weight_matrix, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert_equal(found.neuron_states, np.array([[1, 2], [3, 4]]))
    storage.close()


def draw(generators: dict[str, Any]) -> list[Any]:
    """Numbers of every generator, and of the global ones."""
    torch, jax = import_module("torch"), import_module("jax")
    found: list[Any] = [random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist()]  # noqa: NPY002
    for name in sorted(generators):
        it = generators[name]
        if name.startswith("key"):
            # What follows from a key is JAX's affair, and takes it seconds to compile.
            typed = jax.dtypes.issubdtype(it.dtype, jax.dtypes.prng_key)
            found.append((str(it.dtype), np.asarray(jax.random.key_data(it) if typed else it).tolist()))
        elif name == "torch":
            found.append(torch.rand(3, generator=it).tolist())
        else:
            found.append([it.random() for _ in range(3)])
        if hasattr(it, "standard_normal"):
            found.append(it.standard_normal(3).tolist())
        if name == "legacy":
            found.append(it.randn())
    return found


def _generators_go_on(tmp_path: Path) -> None:
    torch, jax = import_module("torch"), import_module("jax")
    generators: dict[str, Any] = {
        kind.__name__: np.random.Generator(kind(5))
        for kind in (
            np.random.PCG64,
            np.random.MT19937,
            np.random.Philox,
            np.random.SFC64,
            np.random.PCG64DXSM,
        )
    }
    generators |= {
        "legacy": np.random.RandomState(3),
        "python": random.Random(4),
        "torch": torch.Generator().manual_seed(7),
        "key": jax.random.key(1),
        "key old": jax.random.PRNGKey(2),
        "keys": jax.random.key(3, impl="rbg"),
    }
    generators["legacy"].randn()  # it keeps the second of a pair
    generators["PCG64"].integers(0, 9, dtype=np.uint32)  # and this one half of a word
    draw(generators)
    with HDF5Storage(tmp_path / "s.h5") as storage:
        name = storage.store_checkpoint(1.0, {}, generators)
        wanted = draw(generators)
        mine = {n: g for n, g in generators.items() if not n.startswith("key")}
        found = storage.restore_checkpoint(name, mine)
        assert found is not None
        assert found.generators["PCG64"] is generators["PCG64"]
        assert draw(found.generators) == wanted
        assert storage.restore_checkpoint(name) is not None
        new = storage.retrieve_checkpoint(name)
        assert new is not None
        assert new.generators["PCG64"] is not generators["PCG64"]
        assert draw(new.generators) == wanted
        before = generators["python"].getstate()
        with pytest.raises(StorageInputError, match="as it was stored"):
            storage.restore_checkpoint(name, {"python": random.Random(1), "PCG64": random.Random(1)})
        assert generators["python"].getstate() == before
