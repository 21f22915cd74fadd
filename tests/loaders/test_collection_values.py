"""What a collection takes for equal, and in which order it puts what configurations hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentCollection
from loaders.collection.values import alike, ordered
from recorder import DataExporter
from recorder.cli import cli
from recorder.errors import OptionError

NAN = float("nan")
LONG = np.zeros(5000)
OTHER = LONG.copy()
OTHER[2500] = 1.0


def record(root: Path, name: str, config: dict[str, Any]) -> None:
    with DataExporter(name, output_base_dir=str(root)) as exporter:
        exporter.save_config(config)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> ExperimentCollection:
    root = tmp_path_factory.mktemp("values")
    fine = np.array([0.1, 0.2])
    same = {"nan": NAN, "deep": {"list": [{"x": np.array([NAN, 1])}]}, "pair": (1, 2)}
    own = {"yes": True, "grid": np.arange(4).reshape(2, 2), "layers": np.array([64, 32])}
    record(root, "a", {"batch": 100, "w": LONG, "fine": fine, "lr": 3.0, **same, **own})
    record(root, "b", {"batch": 20, "w": OTHER, "fine": fine + 1e-10, "layers": [8, 32], "lr": NAN, **same})
    record(root, "c", {"batch": 3, "w": LONG, "fine": fine, "layers": (16, 32), "lr": 1.0, **same})
    record(root, "d", {"batch": "auto", "w": LONG, "fine": fine, "layers": np.array([16, 4]), **same})
    return ExperimentCollection(root, index=False)


def order(runs: ExperimentCollection) -> str:
    return "".join(run.name[0] for run in runs)


def test_numbers_are_sorted_as_numbers_beside_a_text_and_nan(runs: ExperimentCollection) -> None:
    assert order(runs.sort("config.batch")) == "cbad"
    assert order(runs.sort("config.batch", descending=True)) == "abcd"
    assert order(runs.sort("config.lr")) == "cabd"
    assert order(runs.sort("config.lr", descending=True)) == "acbd"


def test_arrays_lists_and_tuples_are_sorted_by_their_elements(runs: ExperimentCollection) -> None:
    assert order(runs.sort("config.layers")) == "bdca"
    assert order(runs.sort("config.layers", descending=True)) == "acdb"


def test_what_has_no_order_is_a_typed_error(runs: ExperimentCollection) -> None:
    with pytest.raises(OptionError, match="of type dict have none"):
        runs.sort(lambda run: run.config)
    with pytest.raises(OptionError, match="of type set have none"):
        runs.sort(lambda run: {run["name"]})


def test_a_callable_is_asked_once_of_each(runs: ExperimentCollection) -> None:
    asked: list[str] = []
    runs.sort(lambda run: asked.append(run.name))
    assert len(asked) == 4


def test_configurations_are_compared_entry_by_entry(runs: ExperimentCollection) -> None:
    assert sorted(runs.compare()) == ["batch", "fine", "grid", "layers", "lr", "w", "yes"]


def test_recordings_are_filtered_by_arrays_and_nan(runs: ExperimentCollection) -> None:
    def found(**columns: Any) -> str:
        return order(runs.filter(**{f"config.{key}": value for key, value in columns.items()}))

    assert found(w=LONG) == "acd"
    assert found(w=OTHER) == "b"
    assert found(fine=[0.1, 0.2]) == "acd"
    assert found(layers=[64, 32]) == "a"
    assert found(layers=np.array([8.0, 32.0])) == "b"
    assert found(layers=64) == ""
    assert found(nan=NAN) == "abcd"
    assert found(lr=np.float32(3)) == "a"


def test_a_column_that_no_recording_has_is_an_error(runs: ExperimentCollection) -> None:
    """A slip of the pen would find another recording to be the best, or none."""
    for look in (lambda some: some.sort("config.bacth"), lambda some: some.filter(stauts="completed")):
        for some in (runs, runs.filter(lambda run: run.name.startswith("b"))):
            with pytest.raises(
                KeyError, match=r"no recording has a column .*; there is (config.batch|status)"
            ):
                look(some)
        assert len(look(runs[:0])) == 0
    # Of a part, a column counts that others have.
    part = runs.filter(lambda run: run.name.startswith("b"))
    assert "config.grid" not in part.columns
    assert len(part.filter(**{"config.grid": 1})) == 0
    assert order(part.sort("config.grid")) == "b"
    assert len(runs.filter(**{"config.none": None})) == 4
    done = CliRunner().invoke(cli, ["ls", str(runs.folder), "--where", "stauts=completed"])
    assert done.exit_code == 2
    assert "no recording has a column 'stauts'" in done.output


def test_the_command_takes_values_as_they_are_printed_or_written(runs: ExperimentCollection) -> None:
    def listed(*wanted: str) -> str:
        options = [part for one in wanted for part in ("--where", f"config.{one}")]
        found = CliRunner().invoke(cli, ["ls", str(runs.folder), "--sort", "config.batch", *options])
        assert found.exit_code == 0, found.output
        return "".join(line[0] for line in found.output.splitlines()[1:])

    assert listed() == "cbad"
    assert listed("layers=[64, 32]") == "a"
    assert listed("layers=[16,32]") == "c"
    assert listed("lr=1e0") == listed("lr=1.0") == "c"
    assert listed("batch=auto") == "d"
    assert listed(f"w={LONG}") == ""
    assert listed(f"w={LONG.tolist()}") == "cad"
    assert listed("yes=True") == "a"
    assert listed("yes=1") == ""
    shown = CliRunner().invoke(cli, ["ls", str(runs.folder), "--column", "config.grid"]).output
    assert "[[0, 1], [2, 3]]" in shown


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (1, 1.0, True),
        (np.float32(0.1), 0.1, True),
        (np.array(3.0), 3, True),
        (np.array([3]), 3, False),
        ([1, (2, NAN)], (1, np.array([2, NAN])), True),
        (np.zeros((2, 3)), np.zeros((3, 2)), False),
        (np.array([]), [], True),
        (np.array(["a"]), np.array([1]), False),
        (np.array(["2020-01-01"], "M8[D]"), np.array([1.5]), False),
        (np.datetime64("NaT"), np.datetime64("NaT"), True),
        (complex(1, NAN), complex(2, NAN), False),
        (complex(1, NAN), complex(1, NAN), True),
        ({1, NAN}, {NAN, 1}, True),
        ({"NaN"}, {NAN}, False),
        ({"a": NAN}, {"a": NAN}, True),
        ("1", 1, False),
        (None, NAN, False),
    ],
)
def test_two_values_are_alike_if_they_are_worth_the_same(a: Any, b: Any, wanted: bool) -> None:
    assert alike(a, b) is wanted
    assert alike(b, a) is wanted


def test_every_kind_of_value_has_its_place() -> None:
    day, huge = np.datetime64("2020-01-01"), 2**60
    several = [
        None,
        day,
        "b",
        NAN,
        np.uint64(huge + 1),
        np.True_,
        float(huge),
        "a",
        (2, "x"),
        (2, 1),
        -1,
        huge - 1,
    ]
    found = ordered(several, lambda one: one)
    assert found[:5] == [-1, True, huge - 1, huge, huge + 1]
    assert found[5:10] == ["a", "b", day, (2, 1), (2, "x")]
    assert repr(found[10:]) == "[nan, None]"


def test_integers_that_no_float_holds_stay_what_they_are_in_a_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    seed = 2**60 + 1
    record(tmp_path, "a", {"seed": seed, "n": 1})
    record(tmp_path, "b", {"none": 1})
    frame = ExperimentCollection(tmp_path, index=False).to_pandas()
    assert frame["config.seed"].iloc[0] == seed
    assert frame["config.seed"].isna().tolist() == [False, True]
    assert frame["config.n"].dtype == float
