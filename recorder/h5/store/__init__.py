"""The HDF5 side of a store of network states: transactions that are taken in turns, kinds, an index."""
