"""What windows are made from: recordings of many channels, read in pieces.

``source_of`` in :mod:`loaders.windows.sources.find` knows them by their suffix; each format is a module here.
"""
