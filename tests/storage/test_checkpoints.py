"""A run that is resumed from a checkpoint goes on as it would have, to the bit."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from recorder.storage import HDF5Storage, StorageInputError
from tests.crash.harness import ask
from tests.storage.objects import assert_equal

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_state_comes_back_with_its_types(tmp_path: Path) -> None:
    state = {
        "v": np.arange(6.0).reshape(2, 3),
        "w": scipy.sparse.csr_array(np.eye(5)),
        "nested": {"text": "é", "layers": [{"a": 1}, (2, None)], "none": None},
        "empty": np.zeros((0, 3), np.float32),
        "long": ["x" * 50] * 1000 + [1],
    }
    with HDF5Storage(tmp_path / "s.h5") as storage:
        name = storage.store_checkpoint(3.0, state, metadata={"note": (1, 2)})
        found = storage.retrieve_checkpoint(name)
        assert found is not None
        assert (found.timestamp, found.metadata) == (3.0, {"note": (1, 2)})
        assert sorted(found.state) == sorted(state)
        for key in ("v", "w", "empty", "long"):
            assert_equal(found.state[key], state[key])
        assert found.state["nested"] == state["nested"]
        assert storage.verify() == []
        assert [entry.id for entry in storage.find("checkpoint")] == [name] == ["checkpoint_3000"]
        with pytest.raises(StorageInputError, match="generators/x"):
            storage.store_checkpoint(3.0, {}, generators={"x": 3})
        with pytest.raises(StorageInputError, match="state"):
            storage.store_checkpoint(3.0, [])  # type: ignore[arg-type]
        assert storage.retrieve_checkpoint("checkpoint_1") is None


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


@pytest.mark.skipif(not (find_spec("torch") and find_spec("jax")), reason="needs torch and jax")
def test_generators_of_every_library_go_on(tmp_path: Path) -> None:
    # In a process of its own: a process that has JAX's threads should not fork, as other tests do.
    assert ask(lambda: _generators_go_on(tmp_path)) == {}


def _generators_go_on(tmp_path: Path) -> dict[str, Any]:
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
    return {}


def test_the_example_continues_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "long_run_storage", raising=False)
    example = import_module("long_run_storage")
    example.main(tmp_path / "run.h5")
    said = capsys.readouterr().out
    assert "continues bit for bit" in said
    assert "3 spike trains" in said
    with HDF5Storage(tmp_path / "run.h5") as storage:
        trains = [storage.retrieve_spike_train(entry.id) for entry in storage.find("spike_train")]
        assert trains[1] is not None
        assert trains[2] is not None
        assert len(trains[1].spike_times) > 0
        assert np.array_equal(trains[1].neuron_ids, trains[2].neuron_ids)
        assert storage.verify() == []
