"""Many recordings as one table."""

from loaders.collection.collection import ExperimentCollection
from loaders.collection.run import Run

__all__ = ["ExperimentCollection", "Run"]
