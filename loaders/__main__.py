"""``python -m loaders``: the commands that make caches for training, as ``flightrec`` has them too."""

from __future__ import annotations

import click

from loaders.windows.eeg.command import build_cache, scan_cache


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Caches of windows for training."""


cli.add_command(build_cache)
cli.add_command(scan_cache)

if __name__ == "__main__":
    cli(prog_name="python -m loaders")
