"""Rows of recordings as a frame of pandas."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from loaders.collection.run import Run


def frame(runs: Sequence[Run], columns: Sequence[str]) -> Any:
    """See :meth:`ExperimentCollection.to_pandas`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: python -m pip install pandas") from error
    made = pd.DataFrame([run.encodable() for run in runs], columns=list(columns))
    for name in columns:
        given = [run.get(name) for run in runs]
        # Beside a gap, or a float, pandas makes floats of integers.
        if made[name].dtype.kind == "f" and any(map(_is_rounded, given)):
            made[name] = pd.Series(given, dtype=object)
    return made.set_index("name")


def _is_rounded(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and int(float(value)) != value
