"""What two recordings do not have in common."""

from loaders.comparing.difference import Difference
from loaders.comparing.recordings import differences

__all__ = ["Difference", "differences"]
