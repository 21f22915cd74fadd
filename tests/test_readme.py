"""Every Python snippet of the README runs, in order, in one namespace; what it says agrees with the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from recorder.cli import COMMANDS
from recorder.options import RecordingOptions

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "readme"}
    for number, snippet in enumerate(SNIPPETS):
        exec(compile(snippet, f"README.md, snippet {number}", "exec"), namespace)
    assert len(list((tmp_path / "experiments").iterdir())) == 2
    assert len(namespace["config"]) == 2  # type: ignore[arg-type]
    assert namespace["v"].shape == (2, 100)  # type: ignore[attr-defined]
    assert namespace["x"].shape == (1000,)  # type: ignore[attr-defined]


def test_the_quick_start_is_the_example() -> None:
    example = (ROOT / "examples/quickstart.py").read_text()
    assert example.split('"""\n\n', 1)[1] == SNIPPETS[0]


def test_the_options_table_says_what_the_code_does() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", README, re.MULTILINE))
    fields = {
        field.name: field.default
        for field in dataclasses.fields(RecordingOptions)
        if field.init and field.name != "experiment_name"
    }
    assert {name: eval(default) for name, default in table.items()} == fields


def test_the_commands_are_listed() -> None:
    for name in COMMANDS:
        assert f"flightrec {name} " in README


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
