"""Reading recordings: guarded handles, range reads of committed rows, decoding of encodings."""
