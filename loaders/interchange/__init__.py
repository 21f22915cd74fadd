"""Recordings in the forms of other tools; each adapter is one file and needs its library only when called."""
