"""The commands of ``flightrec``, one file each; every file offers its click command as ``command``."""
