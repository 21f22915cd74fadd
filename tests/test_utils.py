"""Helpers and the checks that only warn."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from recorder import schema, utils
from recorder.errors import InputError, StreamTypeError


def test_ensure_numpy():
    array = np.arange(3)
    assert utils.ensure_numpy(array) is array
    assert utils.ensure_numpy([1.5]).tolist() == [1.5]
    with pytest.raises(StreamTypeError):
        utils.ensure_numpy(["a"])


def test_align_timesteps():
    common, rows = utils.align_timesteps({"a": [0, 2, 2, 4, 6], "b": [6, 4, 2]})
    assert common.tolist() == [2, 4, 6]
    assert rows["a"].tolist() == [1, 3, 4]
    assert rows["b"].tolist() == [2, 1, 0]
    assert utils.align_timesteps({})[0].tolist() == []


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("nearest", [1.0, 1.0, 1.0, 3.0, 3.0, 3.0]),
        ("zero", [1.0, 1.0, 1.0, 1.0, 3.0, 3.0]),
        ("linear", [1.0, 1.0, 2.0, 2.5, 3.0, 3.0]),
    ],
)
def test_interpolation(method, expected):
    found = utils.interpolate_sampled_data([0, 4], [1.0, 3.0], [-1, 0, 2, 3, 4, 9], method)
    assert found.tolist() == expected
    rows = utils.interpolate_sampled_data([0, 4], np.array([[1.0, 0], [3.0, 0]]), [2, 3], method)
    assert rows.shape == (2, 2)


def test_interpolation_keeps_samples_beside_nan():
    values = [1.0, np.nan, np.inf, 5.0]
    assert utils.interpolate_sampled_data([0, 1, 2, 3], values, [0, 2, 3], "linear").tolist() == [
        1.0,
        np.inf,
        5.0,
    ]


@pytest.mark.parametrize(
    "arguments", [([0], [1], [0], "cubic"), ([], [], [0]), ([0, 0], [1, 2], [0]), ([0], [1, 2], [0])]
)
def test_refused_interpolation(arguments):
    with pytest.raises(InputError):
        utils.interpolate_sampled_data(*arguments)


def test_timestep_mapping():
    assert utils.create_timestep_mapping([2, 4, 8], [0, 2, 5, 9]) == {2: 0, 5: 1, 9: 2}
    with pytest.raises(InputError):
        utils.create_timestep_mapping([2, 1], [0])


def test_timestep_problems():
    assert schema.validate_timestep_data(0, {"v": np.zeros(3)}, np.zeros(3), {"x": 1.0, "name": "a"}, 1) == []
    assert schema.validate_timestep_data(np.int64(3)) == []
    problems = schema.validate_timestep_data(1.5, [1], np.zeros((2, 2)), {"x": "a"}, "r")
    assert [problem.split(",")[0] for problem in problems] == [
        "timestep should be int",
        "neural_state should be dict",
        "spikes should be 1D",
        "behavior[x] should be numeric",
        "reward should be numeric",
    ]
    assert schema.validate_timestep_data(-1) == ["timestep should be non-negative, got -1"]
    assert schema.validate_timestep_data(0, {"v": np.zeros((1, 1, 1))}) == []  # stored as any other


def test_weight_problems():
    assert schema.validate_weight_change(0, (1, np.int8(2)), 0.5, 1) == []
    assert schema.validate_weight_change(-1, 1.5, "a", float("nan")) == [
        "Invalid timestep: -1",
        "synapse_id should be int or tuple, got <class 'float'>",
        "old_weight should be numeric, got <class 'str'>",
        "new_weight should be finite, got nan",
    ]
    assert schema.validate_weight_change(0, (1,), 0, 0) == ["synapse_id tuple should have length 2, got 1"]


def test_network_problems():
    assert (
        schema.validate_network_structure({"neuron_ids": [0]}, {"source_ids": [0], "target_ids": [0]}) == []
    )
    assert schema.validate_network_structure({}, {}) == [
        "neurons missing required field 'neuron_ids'",
        "connections missing required field 'source_ids'",
        "connections missing required field 'target_ids'",
    ]
    assert schema.validate_network_structure(
        {"neuron_ids": [0, 1], "type": ["a"]}, {"source_ids": [0], "target_ids": [0, 1], "w": [1, 2]}
    ) == [
        "neurons[type] length 1 doesn't match n_neurons 2",
        "source_ids and target_ids have different lengths",
        "connections[w] length 2 doesn't match n_connections 1",
    ]


def test_schema_version():
    version = schema.SchemaVersion("1.2.3")
    assert version.is_compatible(schema.SchemaVersion(schema.SCHEMA_VERSION))
    assert not version.is_compatible("2.0.0")


def test_helpers_cut_no_timesteps() -> None:
    mapping, align, at = utils.create_timestep_mapping, utils.align_timesteps, utils.interpolate_sampled_data
    assert mapping([0.0, 2.0], np.array([1], np.uint8)) == {1: 0}
    assert align({"a": [1.0, 2.0], "b": np.array([2], np.uint64)})[0].tolist() == [2]
    assert align({"a": [], "b": [1]})[0].tolist() == []
    assert mapping([], [1]) == {}
    for wrong in (
        [0.5, 1.5],
        [float("nan"), 1],
        [1e300],
        ["1"],
        [[1]],
        [[1], 2],
        1,
        [True],
        np.array([2**63], np.uint64),
        [None],
    ):
        for call in (
            lambda bad: mapping(bad, [1]),
            lambda bad: mapping([1], bad),
            lambda bad: align({"a": bad, "b": [1]}),
        ):
            with pytest.raises(InputError):
                call(wrong)
    steps = np.array([10, 20], np.uint8)
    for kind in (np.uint8, np.uint64, np.float32, int):
        assert at(steps, [1.0, 2.0], np.array([5, 14, 16], kind)).tolist() == [1, 1, 2]
    assert at([0.5, 1.5], [1.0, 2.0], [1.2], "linear").tolist() == [1.7]
    for wrong in ([float("nan")], ["1"], [None], 1):
        with pytest.raises(InputError):
            at([1.0], [1.0], wrong)
        with pytest.raises(InputError):
            at(wrong, [1.0], [1.0])


def test_checks_that_only_warn_never_raise() -> None:
    class Odd:
        def __len__(self) -> int:
            raise RuntimeError

    strange = (
        None,
        5,
        "text",
        [1],
        {1},
        Odd(),
        {},
        {"neuron_ids": None},
        {"source_ids": Odd(), "target_ids": 1},
    )
    for neurons in strange:
        for connections in strange:
            assert isinstance(schema.validate_network_structure(neurons, connections), list)
    assert schema.validate_network_structure(None, None)[:2] == [
        "neurons should be dict, got <class 'NoneType'>",
        "connections should be dict, got <class 'NoneType'>",
    ]
    weights = (
        Fraction(1, 2),
        Decimal("NaN"),
        Decimal("Infinity"),
        10**400,
        1j,
        None,
        "x",
        Odd(),
        [1.0],
        np.ones(2),
    )
    for weight in weights:
        for timestep in (0, None, "x", weight):
            schema.validate_weight_change(timestep, timestep, weight, weight)
            schema.validate_timestep_data(timestep, weight, weight, weight, weight)
            schema.validate_timestep_data(timestep, behavior={"x": weight}, reward=weight)
    assert schema.validate_weight_change(0, 0, Fraction(1, 2), 10**400) == []
    assert schema.validate_weight_change(0, 0, Decimal("NaN"), 1) == ["old_weight should be finite, got NaN"]
