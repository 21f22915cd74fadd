"""Rows of :mod:`tests.test_inputs`: spikes, weight changes, events, episodes, batches, states."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from recorder import (
    AmbiguousSpikesError,
    ClosedError,
    DuplicateError,
    InputError,
    NoEpisodeError,
    SpikeIndices,
    UnknownFieldError,
)
from tests.input_calls import INPUT, SHAPE, TYPE, calls, kept, log, names, refused, streams, timesteps
from tests.input_rows import Refused, Row, Try


def spikes() -> list[Row]:
    """Spikes of every form."""
    plain = ("caller", "thread", "standard")

    def raster(loader: Any) -> Any:
        return loader.get_episode(0).get_spike_raster()

    graded = np.array([0.0, -0.0, np.nan, np.inf, 5e-324])
    indices = np.zeros((1, 5), bool)
    indices[0, [1, 4]] = True
    rows = [
        calls("spikes: graded", kept(901, raster, graded[None], "spikes", spikes=graded)),
        calls(
            "spikes: bool",
            kept(901, raster, np.array([[True, False]]), "spikes", spikes=np.array([True, False])),
        ),
        calls(
            "spikes: big-endian",
            kept(901, raster, np.array([[0, 3, 3]], "i2"), "spikes", spikes=np.array([0, 3, 3], ">i2")),
        ),
        calls(
            "spikes: indices",
            kept(901, raster, indices, "spikes", spikes=SpikeIndices([4, 1], 5)),
            kinds=plain,
        ),
        calls(
            "spikes: unsigned",
            kept(901, raster, indices, "spikes", spikes=SpikeIndices(np.array([4, 1], "u1"), 5)),
            kinds=plain,
        ),
        calls(
            "spikes: none of five",
            kept(901, raster, np.zeros((1, 5), bool), "spikes", spikes=SpikeIndices([], 5)),
            kinds=plain,
        ),
        calls(
            "spikes: ambiguous",
            log(Refused(AmbiguousSpikesError, ("SpikeIndices",)), spikes=[1, 3]),
            kinds=plain,
        ),
        calls("spikes: two dimensions", log(SHAPE, spikes=np.zeros((2, 2)))),
        calls("spikes: scalar", log(SHAPE, spikes=1.5)),
    ]
    for name, given in {
        "without a number": SpikeIndices([1]),
        "number 0": SpikeIndices([1], 0),
        "number -1": SpikeIndices([1], -1),
        "number 1.5": SpikeIndices([1], 1.5),  # type: ignore[arg-type]
        "number True": SpikeIndices([0], True),
        "number 2**63": SpikeIndices([1], 2**63),
        "number text": SpikeIndices([1], "5"),  # type: ignore[arg-type]
        "number list": SpikeIndices([1], [5]),  # type: ignore[arg-type]
        "outside": SpikeIndices([5], 5),
        "negative": SpikeIndices([-1], 5),
        "repeated": SpikeIndices([1, 1], 5),
        "floats": SpikeIndices([1.0], 5),
        "bools": SpikeIndices([True], 5),
        "two dimensions": SpikeIndices([[1]], 5),
        "uint64 past int64": SpikeIndices(np.array([2**63], "u8"), 5),
        "text": SpikeIndices("ab", 5),  # type: ignore[arg-type]
    }.items():
        rows.append(
            calls(f"indices: {name}", log(Refused(InputError, ("spikes",)), spikes=given), kinds=plain)
        )
    dense = kept(901, raster, np.array([[1.0, 0.0], [0.0, 2.0]]), "spikes", spikes=np.array([1.0, 0.0]))
    again = kept(902, raster, np.array([[1.0, 0.0], [0.0, 2.0]]), "spikes", spikes=np.array([0.0, 2.0]))
    for name, given in {
        "longer": np.zeros(3),
        "bool": np.array([True, False]),
        "float32": np.zeros(2, "f4"),
        "scalar": 1.0,
        "text": "ab",
    }.items():
        rows.append(calls(f"later spikes: {name}", dense, log(INPUT, spikes=given), again))
    rows.append(
        calls("later spikes: indices", dense, log(TYPE, spikes=SpikeIndices([1], 2)), again, kinds=plain)
    )
    return rows


def sides() -> list[Row]:
    """Weight changes, events and what goes with neither."""
    plain = ("caller", "thread", "standard")
    weight = {"synapse_id": 1, "old_weight": 0.0, "new_weight": 1.0}

    def column(name: str) -> Callable[[Any], Any]:
        return lambda loader: loader.get_episode(0).get_weight_changes()[name]

    rows = [
        calls("unknown keyword", log(Refused(UnknownFieldError, ("colour",)), colour=3), kinds=plain),
        calls("data without a type", log(INPUT, data={"a": 1}), kinds=plain),
        calls("half a weight change", log(INPUT, synapse_id=3), log(INPUT, old_weight=3.0), kinds=plain),
        calls(
            "reserved column",
            log(INPUT, **weight, deltas=1.0),
            log(INPUT, **weight, old_weights=1.0),
            kinds=plain,
        ),
        calls("array as a column", log(TYPE, **weight, extra=np.zeros(2)), kinds=plain),
        calls("complex column", log(TYPE, **weight, extra=1j), kinds=plain),
        calls(
            "other columns later",
            kept(901, column("extra"), np.array([1.5]), "weight_changes", **weight, extra=1.5),
            log(TYPE, **weight),
            log(TYPE, **weight, extra=1),
            log(TYPE, **weight, other=1.5),
            kinds=plain,
        ),
        calls(
            "pair as array",
            kept(
                901,
                column("target_ids"),
                np.array([7]),
                "weight_changes",
                **{**weight, "synapse_id": np.array([3, 7], ">u2")},
            ),
            kinds=plain,
        ),
        calls("cyclic data", log(INPUT, event_type="e", data=cyclic()), kinds=plain),
        calls(
            "keys of data",
            kept(
                901,
                lambda loader: next(loader.get_episode(0).iter_events())[2],
                {1: "a", "$b": None, (1, 2): 2**70},
                "events",
                event_type="e/..\0",
                data={1: "a", "$b": None, (1, 2): 2**70},
            ),
            kinds=plain,
        ),
    ]
    for name, synapse in {
        "float": 1.0,
        "bool": True,
        "text": "a",
        "triple": (1, 2, 3),
        "pair of floats": (1.0, 2.0),
        "empty": (),
        "2**63": 2**63,
        "matrix": np.zeros((2, 2), int),
        "object": object(),
        "sparse": scipy.sparse.csr_array(np.eye(2)),
    }.items():
        rows.append(calls(f"synapse: {name}", log(TYPE, **{**weight, "synapse_id": synapse}), kinds=plain))
    for name, kind in {"empty": "", "int": 3, "bytes": b"e", "list": ["e"]}.items():
        rows.append(calls(f"event type: {name}", log(TYPE, event_type=kind, data={}), kinds=plain))
    for number in (-1, 2**63, 1.5, True, np.True_, "1", [1], object(), np.array([1, 2])):
        rows.append(
            calls(
                f"episode {str(number)[:12]}", refused(lambda s, n=number: s.exporter.start_episode(n), INPUT)
            )
        )
    rows.append(
        calls("episode again", refused(lambda s: s.exporter.start_episode(0), Refused(DuplicateError)))
    )
    for what in (np.zeros(2), {"laps": 3}, "no", "", math.nan, 2, [True], object()):
        rows.append(
            calls(f"success: {str(what)[:12]}", refused(lambda s, v=what: s.exporter.end_episode(v), INPUT))
        )
    return rows


def cyclic() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = data
    return data


def batches() -> list[Row]:
    """What only batches can be given."""
    rows = []
    for name, given in {
        "unequal lengths": {"timesteps": [1, 2], "reward": [1.0]},
        "no axis": {"timesteps": [1], "reward": 1.0},
        "integer without an axis": {"timesteps": [1], "reward": 3},
        "rewards of two dimensions": {"timesteps": [1, 2], "reward": np.ones((2, 3))},
        "rewards of rows of one": {"timesteps": [1, 2], "reward": np.ones((2, 1))},
        "text as rewards": {"timesteps": [1], "reward": ["a"]},
        "complex rewards": {"timesteps": [1], "reward": [1j]},
        "rewards past float64": {"timesteps": [1], "reward": [2**53 + 1]},
        "rewards past int64": {"timesteps": [1], "reward": [2**64 - 1]},
        "float timesteps": {"timesteps": [1.0], "reward": [1.0]},
        "bool timesteps": {"timesteps": [True], "reward": [1.0]},
        "scalar timestep": {"timesteps": 1, "reward": [1.0]},
        "no timesteps": {"timesteps": None, "reward": [1.0]},
        "matrix of timesteps": {"timesteps": [[1]], "reward": [1.0]},
        "spikes of one dimension": {"timesteps": [1], "spikes": [True]},
        "spikes of no neurons": {"timesteps": [1], "spikes": np.zeros((1, 0))},
        "spikes of three dimensions": {"timesteps": [1], "spikes": np.zeros((1, 2, 2))},
        "declared indices": {"timesteps": [1], "spikes": SpikeIndices([1], 5)},
        "rows of nothing": {"timesteps": [1], "behavior": {"new": np.zeros((1, 0))}},
        "wrong dtype later": {"timesteps": [1], "behavior": {"x": [1]}},
        "wrong name": {"timesteps": [1], "behavior": {"a/b": [1.0]}},
    }.items():
        rows.append(calls(f"batch: {name}", refused(lambda s, g=given: s.exporter.log_batch(**g), INPUT)))
    rows.append(
        calls(
            "batch of nothing",
            Try(lambda s, _: s.exporter.log_batch([], behavior={"never": []}, reward=[]), None),
            Try(lambda s, _: s.exporter.log_batch(np.empty(0, int)), None),
        )
    )
    rows.append(
        calls(
            "batch of rewards 2**63",
            Try(
                lambda s, _: s.exporter.log_batch(
                    [901], behavior={"x": [1.0]}, reward=np.array([2**63], "u8")
                ),
                np.array([2.0**63]),
                lambda loader: loader.get_episode(0).get_rewards(901, 902)["rewards"],
                "rewards",
                901,
            ),
        )
    )
    return rows


def states() -> list[Row]:
    """Calls that do not fit the state of the recording; each ends it or begins anew."""

    def closed(s: Any) -> None:
        s.exporter.close()

    after = [
        lambda s: s.exporter.log(900, reward=1.0),
        lambda s: s.exporter.log_batch([900], reward=[1.0]),
        lambda s: s.exporter.start_episode(),
        lambda s: s.exporter.end_episode(),
        lambda s: s.exporter.save_config({}),
        lambda s: s.exporter.save_metadata({}),
        lambda s: s.exporter.save_checkpoint("c", {}),
        lambda s: s.exporter.save_network_structure({}, {}),
        lambda s: s.exporter.save_runtime_info(),
        lambda s: s.exporter.save_git_info(),
        lambda s: s.exporter.save_code_snapshot(),
        lambda s: s.exporter.log_static_episode_data("a", {}),
        lambda s: s.exporter.__enter__(),
    ]
    idle = [after[0], after[1], after[11]]

    def end(s: Any) -> None:
        s.exporter.end_episode()

    return [
        calls(
            "after close",
            *(
                refused(lambda s, c=call: (closed(s), c(s)), Refused(ClosedError))  # type: ignore[misc]
                for call in after
            ),
        ),
        calls(
            "without an episode",
            Try(lambda s, _: end(s), None),
            *(refused(call, Refused(NoEpisodeError)) for call in idle),
        ),
        calls(
            "two starts",
            Try(lambda s, _: s.exporter.start_episode(), [0, 1], lambda loader: loader.list_episodes()),
            Try(
                lambda s, _: s.exporter.end_episode(success=True),
                {},
                lambda loader: loader.get_episode(1).get_rewards(),
            ),
        ),
        calls(
            "an empty episode",
            Try(lambda s, _: end(s), None),
            Try(lambda s, _: s.exporter.start_episode(7), [0, 7], lambda loader: loader.list_episodes()),
            Try(
                lambda s, _: end(s), 0, lambda loader: loader.get_episode(7).get_metadata()["total_timesteps"]
            ),
        ),
    ]


CALLS: list[Row] = [*names(), *timesteps(), *streams(), *spikes(), *sides(), *batches(), *states()]
