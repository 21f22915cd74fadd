"""``python -m recorder`` is the ``flightrec`` command."""

from recorder.cli import main

main()
