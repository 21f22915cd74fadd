"""Shared by all tests: one hypothesis profile, so that runs repeat exactly.

``HYPOTHESIS_PROFILE=search`` looks further, at other examples each time.
"""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from recorder import hotpath
from recorder.format import native

HOT_PATHS = (hotpath.PYTHON, hotpath.COMPILED)

for part in ("life", "stream", "spike", "table"):
    pytest.register_assert_rewrite(f"tests.contracts.{part}_contract")

UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("flightrec", derandomize=True, max_examples=60, **UNTIMED)
settings.register_profile("search", max_examples=1000, report_multiple_bugs=False, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "flightrec"))


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What users' caches keep stays out of the user's who runs the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, whatever a library that was tested before has made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


@pytest.fixture
def use_hot_path(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take ``"python"`` or ``"compiled"`` for log() and encoders, here and in processes that are started."""

    def use(path: str) -> None:
        try:
            _, generate = hotpath.choose(path)
            native.load(path)
        except ImportError as error:
            pytest.skip(f"{error}: python setup.py build_ext --inplace")
        monkeypatch.setenv(native.VARIABLE, path)
        monkeypatch.setattr("recorder.steplog.generate", generate)
        monkeypatch.setattr(native, "MODULE", native.load(path))
        if path == native.PYTHON:
            monkeypatch.setattr("recorder.exporter.front", lambda _: None)

    return use


@pytest.fixture(params=HOT_PATHS)
def each_hot_path(request: pytest.FixtureRequest, use_hot_path: Callable[[str], None]) -> str:
    """The test runs twice, once with either body of log()."""
    use_hot_path(request.param)
    return str(request.param)
