"""Files and folders that others read, written beside their place and moved there when they are whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recorder.errors import WriteError
from recorder.h5.draft import FULL, failed


@contextmanager
def aside(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes ``target`` unless an exception leaves the block.

    Then it is removed, and with it the folders above it that were made for it.

    Raises
    ------
    FileExistsError
        ``target`` is there already: nothing is overwritten.
    WriteError
        The disk is full.
    """
    _free(target)
    made = [above for above in target.parents if not above.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        part = home / target.name
        if folder:
            part.mkdir()
        yield part
        _free(target)
        part.rename(target)
        made = []
    except OSError as error:
        cause = error.__cause__ if isinstance(error, WriteError) else error
        if isinstance(cause, OSError) and cause.errno in FULL:
            raise failed(target, cause) from cause
        raise
    finally:
        shutil.rmtree(home, ignore_errors=True)
        with suppress(OSError):  # somebody else has put something there
            for above in made:
                above.rmdir()


def _free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise FileExistsError(17, "File exists", str(target))
