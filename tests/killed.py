"""What a kill leaves, without killing: the recording's files as they are between two calls."""

from __future__ import annotations

import shutil
from pathlib import Path

from recorder import DataExporter
from recorder.format.layout import DATA_FILE, LOCK_SUFFIX


def as_killed(exporter: DataExporter, folder: Path) -> Path:
    """A copy of a living recording, its file, ring and journal, as a SIGKILL now would leave them.

    The kernel keeps what was stored in a shared map, and other programs read the same pages; the lock
    is the dead process's alone.
    """
    folder.mkdir()
    # The ring first: with a writer thread at work, records that are finished meanwhile come twice to the
    # file, not never. Callers that compare exactly let the writer rest.
    for path in sorted(exporter.output_dir.iterdir(), key=lambda p: not p.name.endswith(".ring")):
        if path.is_file() and not path.name.endswith(LOCK_SUFFIX):
            shutil.copyfile(path, folder / path.name)
    return folder / DATA_FILE
