"""A real browser, a real server and a real writer."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 40.0

T = TypeVar("T")

DRAWN = """(name) => {
    const figure = Bokeh.documents[0].get_model_by_name(name)
    const plain = ([key, column]) => [key, Array.from(column, (value) => value)]
    const columns = (source) => Object.fromEntries(Array.from(Object.entries(source.data), plain))
    const drawn = figure === null ? [] : figure.renderers.filter((one) => one.glyph.type !== "Image")
    return drawn.map((one) => columns(one.data_source))
}"""


@contextmanager
def served(path: Path, *options: str) -> Iterator[str]:
    """``flightrec dashboard PATH`` in a process of its own; its address."""
    command = [sys.executable, "-m", "recorder", "dashboard", str(path), "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert "is shown at " in line, line
            yield line.partition("is shown at ")[2].split()[0]
        finally:
            server.terminate()


@contextmanager
def writing(folder: Path, episodes: int, steps: int, pause: float) -> Iterator[subprocess.Popen[str]]:
    """``tests.live.writer``, until it is left."""
    command = [sys.executable, "-m", "tests.live.writer", str(folder), str(episodes), str(steps), str(pause)]
    with subprocess.Popen(command, text=True, cwd=ROOT) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def until(look: Callable[[], T], good: Callable[[T], Any]) -> T:
    """What ``look`` finds, once it is good."""
    deadline = time.monotonic() + PATIENCE
    while not good(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


class Shown:
    """What a page shows, as its plots have it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def drawn(self, name: str) -> list[dict[str, list[Any]]]:
        """Columns of every glyph of a plot; [] while there is none."""
        if not self.page.evaluate("() => window.Bokeh !== undefined && Bokeh.documents.length > 0"):
            return []
        found: list[dict[str, list[Any]]] = self.page.evaluate(DRAWN, name)
        return found

    def spikes(self) -> set[tuple[int, int]]:
        """Of the raster, as (timestep, neuron)."""
        for columns in self.drawn("raster"):
            return set(zip(columns["timestep"], columns["neuron"], strict=True))
        return set()

    def state(self) -> str:
        """Of the recording, as the page says it; "" while it says none."""
        badge = self.page.locator(".state")
        return str(badge.first.inner_text()) if badge.count() else ""

    def look_at(self, start: int, stop: int) -> None:
        """As a user who drags and zooms."""
        move = "([a, b]) => Bokeh.documents[0].get_model_by_name('raster').x_range.setv({start: a, end: b})"
        self.page.evaluate(move, [start, stop])
