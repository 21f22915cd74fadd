"""A run that is resumed from a checkpoint goes on as it would have, to the bit."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from recorder.storage import HDF5Storage, StorageInputError
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
        for wrong in (np.random.default_rng(0), []):
            with pytest.raises(StorageInputError, match="a dict of random generators"):
                storage.store_checkpoint(3.0, {}, generators=wrong)  # type: ignore[arg-type]
            with pytest.raises(StorageInputError, match="a dict of random generators"):
                storage.restore_checkpoint(name, generators=wrong)  # type: ignore[arg-type]
        with pytest.raises(StorageInputError, match="state"):
            storage.store_checkpoint(3.0, [])  # type: ignore[arg-type]
        assert storage.retrieve_checkpoint("checkpoint_1") is None


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
