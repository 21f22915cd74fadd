"""flightrec with ``enable_swmr=True``: commits every second, for readers of the running recording.

README.md, "Options". All else is as in `peer.flightrec`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from peer import flightrec
from peer.flightrec import drive, read

__all__ = ["Recorder", "drive", "read"]


class Recorder(flightrec.Recorder):
    """An exporter that commits by the clock as well."""

    OPTIONS: ClassVar[dict[str, Any]] = {"enable_swmr": True}
