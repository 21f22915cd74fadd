"""A process that reads recordings' rows for another one: paths come by its input, rows go by its output."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loaders.collection.facts import facts_of


def main() -> None:
    """Read batches until there are no more, or whoever wanted them is gone."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a library prints is no answer.
    os.dup2(2, 1)
    try:
        while True:
            batch = pickle.load(source)
            target.write(_pickled(batch))
            target.flush()
    except (EOFError, BrokenPipeError):
        pass
    finally:
        os._exit(0)


def _pickled(batch: Sequence[Path]) -> bytes:
    file = None
    try:
        found: list[tuple[Path, dict[str, Any] | None]] = []
        for file in batch:
            try:
                found.append((file, facts_of(file)))
            except FileNotFoundError:
                found.append((file, None))
        return pickle.dumps(found)
    except Exception as error:
        error.add_note(f"while {file} was read, in a process of its own:\n{traceback.format_exc()}")
        try:
            return pickle.dumps(_checked(error))
        except Exception:
            return pickle.dumps(RuntimeError("\n".join([repr(error), *error.__notes__])))


def _checked(error: Exception) -> Exception:
    """The same, if it comes back from its pickle."""
    pickle.loads(pickle.dumps(error))
    return error
