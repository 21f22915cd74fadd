"""A page in the browser that shows recordings while they are written, and afterwards.

``flightrec dashboard PATH`` serves it; :func:`serve` does from Python. Panel and Bokeh draw it (extra
``dashboard``); reading is that of :class:`~loaders.LiveExperiment`.
"""

from loaders.dashboard.server import serve

__all__ = ["serve"]
