"""Integrations are imported by name when they are asked for, and log into nothing but a recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import recorder
from recorder import OptionError, StandardDataExporter, integrations

LIBRARIES = {"brian2", "gymnasium", "nengo", "torch", "jax"}


def made(name: str) -> Any:
    try:
        return getattr(integrations, name)
    except ImportError as error:
        return pytest.skip(str(error))


def test_names_are_there_and_cost_nothing_before_they_are_used() -> None:
    code = (
        "import sys; import recorder.integrations as i\n"
        "from recorder.integrations import record_steps, Staged\n"
        f"print(set(i.__all__) <= set(dir(i)), {LIBRARIES!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "set()\n"]
    with pytest.raises(AttributeError, match="no attribute 'record_step'"):
        _ = integrations.record_step
    assert {made(name).__name__ for name in ("RecordModules", "Staged", "Triggered", "record_steps")}


def test_a_missing_library_is_named_by_the_short_import_too() -> None:
    code = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "try: from recorder.integrations import RecordEpisodes\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'python -m pip install "flightrec[gymnasium]"' in done.stdout


@pytest.mark.parametrize(
    "name", ["RecordEpisodes", "RecordModules", "Staged", "record_steps", "run_recorded"]
)
@pytest.mark.parametrize("target", [None, "my_run", 3, StandardDataExporter, recorder])
def test_what_is_no_target_is_refused_first(name: str, target: Any) -> None:
    calls: dict[str, Any] = {
        "RecordEpisodes": lambda one: one(None, target),
        "RecordModules": lambda one: one(target, {}),
        "Staged": lambda one: one(target, 0),
        "record_steps": lambda one: one(target),
        "run_recorded": lambda one: one(None, target, 0),
    }
    with pytest.raises(OptionError, match=f"{name} records into a DataExporter"):
        calls[name](made(name))


@pytest.mark.parametrize("name", [None, 3, "", "a/b"])
def test_a_vector_of_environments_wants_a_name(name: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="experiment_name"):
        made("RecordVectorEpisodes")(None, name, tmp_path)
    assert not list(tmp_path.iterdir())
