"""Kills of recordings that keep steps; ``benchmarks/capture_crash.py`` has many more."""

from __future__ import annotations

import pytest

from tests.crash.captures import Flight, fly


@pytest.mark.parametrize("seed", range(10))
def test_what_is_captured_and_what_is_kept_survive_a_kill(seed: int) -> None:
    verdict = fly(Flight.at_random(seed))
    assert not verdict.get("error"), verdict["error"]
