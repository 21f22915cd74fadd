"""Watching a recording while it is written."""

from loaders.live.experiment import LiveExperiment
from loaders.live.status import LiveStatus
from loaders.live.update import Samples, Update

__all__ = ["LiveExperiment", "LiveStatus", "Samples", "Update"]
