"""An integration whose library is missing says what to install; the recorder needs none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("gymnasium", "gymnasium", "gymnasium"),
        ("gymnasium_vector", "gymnasium", "gymnasium"),
        ("brian2", "brian2", "brian2"),
    ],
)
def test_what_is_missing_is_named(module: str, library: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"try: import recorder.integrations.{module}\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f'python -m pip install "flightrec[{extra}]"' in done.stdout
