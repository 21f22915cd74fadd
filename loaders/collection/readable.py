"""What becomes of recordings that cannot be read, where something is to be made of all of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

from loaders.collection.facts import UNREADABLE
from loaders.collection.run import Run
from recorder.errors import OptionError, ReadError

_NAMED = 20
Unreadable = Literal["raise", "skip"]


def readable(runs: Sequence[Run], unreadable: Unreadable) -> list[Run]:
    """Those to be read.

    Parameters
    ----------
    unreadable : {"raise", "skip"}
        ``skip`` opens each, and leaves those out that do not open, with one warning that names them. Those of
        which the table says that they cannot be read are not opened again: one may end the process.

    Raises
    ------
    ReadError
        ``raise``, and the table says that some cannot be read: before anything is made of the others.
    OptionError
        Another word.
    """
    bad: list[tuple[Run, object]] = [(run, run.get("error")) for run in runs if run["status"] == UNREADABLE]
    if unreadable == "raise":
        if bad:
            raise ReadError(f'{_said(bad)}. unreadable="skip" leaves them out, refresh() looks again')
        return list(runs)
    if unreadable != "skip":
        raise OptionError(f'unreadable must be "raise" or "skip", got {unreadable!r}')
    found = []
    for run in runs:
        if run["status"] == UNREADABLE:
            continue
        try:
            with run.load() as loader:
                loader.list_episodes()
        except (ReadError, OSError) as error:
            bad.append((run, error))
        else:
            found.append(run)
    if bad:
        warnings.warn(f"left out: {_said(bad)}", UserWarning, stacklevel=3)
    return found


def _said(bad: list[tuple[Run, object]]) -> str:
    what = "1 recording" if len(bad) == 1 else f"{len(bad):,} recordings"
    run, why = bad[0]
    rest = [repr(other.name) for other, _ in bad[1:_NAMED]] + (["…"] if len(bad) > _NAMED else [])
    return f"{what} cannot be read: {run.name!r} ({why})" + (f"; and {', '.join(rest)}" if rest else "")
