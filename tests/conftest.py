"""Shared by all tests: one hypothesis profile, so that runs repeat exactly.

``HYPOTHESIS_PROFILE=search`` looks further, at other examples each time.
"""

import os

import pytest
from hypothesis import settings

for part in ("life", "stream", "spike", "table"):
    pytest.register_assert_rewrite(f"tests.contracts.{part}_contract")

settings.register_profile("flightrec", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=1000, report_multiple_bugs=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "flightrec"))
