"""Some of the mutations that ``python -m tests.fuzz`` tries by the thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.beside import Killed, killed_folders
from tests.fuzz.judge import Subject, golden_files

TRIES = 6
"""For each recording; the same ones in every run."""


def faults(subject: Any) -> list[str]:
    return [
        f"{subject.name} seed {seed} ({verdict.what}): {fault}"
        for seed in range(TRIES)
        for verdict in [subject.judge(seed)]
        for fault in verdict.faults
    ]


@pytest.mark.parametrize("source", golden_files(), ids=lambda path: path.parent.name)
def test_damage_is_named_or_does_no_harm(source: Path, tmp_path: Path) -> None:
    assert faults(Subject(source, tmp_path)) == []


@pytest.mark.parametrize("source", killed_folders(), ids=lambda path: path.name)
def test_damage_beside_a_killed_recording_spares_what_is_committed(source: Path, tmp_path: Path) -> None:
    assert faults(Killed(source, tmp_path)) == []
