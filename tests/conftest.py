"""Shared by all tests: one hypothesis profile, so that runs repeat exactly."""

import pytest
from hypothesis import Phase, settings

for part in ("life", "stream", "spike", "table"):
    pytest.register_assert_rewrite(f"tests.contracts.{part}_contract")

settings.register_profile("flightrec", derandomize=True, deadline=None, max_examples=50)
settings.register_profile(
    "dbg",
    derandomize=True,
    deadline=None,
    max_examples=100,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile("flightrec")
