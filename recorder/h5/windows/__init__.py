"""Windows of many subjects in one HDF5 file: made subject by subject, read row by row."""
