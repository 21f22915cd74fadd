"""What windows are made from: recordings of many channels, read in pieces.

``open_source`` in :mod:`loaders.windows.sources.find` opens a file by its suffix; each format is a module
here.
"""
