"""The page: the list of recordings at its side, and what is to be seen of the chosen one."""

from __future__ import annotations

import asyncio
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import panel as pn
from panel.theme.fast import Fast

from loaders.dashboard.facts import facts, neurons_of, written
from loaders.dashboard.library import Entry, Library
from loaders.dashboard.picture import Choice, Picture
from loaders.dashboard.plots import Plots, WriterPlot
from loaders.dashboard.view import Seen, View, Wish
from recorder.format.layout import BEHAVIOR, NEURAL

WIDTHS = {"200": 200, "1,000": 1_000, "10,000": 10_000, "100,000": 100_000, "all": None}
WIDTH = "10,000"
COLUMNS = ["recording", "state", "steps"]
_PERIOD_MS = 250
_MODESTY = 3
"""A look that takes long is followed by a pause so many times as long: the processor is the simulation's."""


# It would have browsers load a font from elsewhere, which they may not reach, or want to.
Fast._resources.pop("font", None)


class Page:
    """One browser's view of a library."""

    def __init__(self, library: Library, chosen: str | None = None) -> None:
        self._library = library
        self._view, self._plots, self._writer = View(library), Plots(), WriterPlot()
        self._path: Path | None = None
        self._asked = chosen
        self._paths: dict[str, Path] = {}
        self._setting = False
        self._busy, self._rest = False, 0.0
        self._due = True
        self._settled = False
        """Whether streams were proposed for this recording."""
        self._window: tuple[int, int] | None = None
        self._drawn: tuple[Path | None, int | None] | None = None
        """Whose picture is shown."""
        self._counts: dict[str, int] = {}
        library.look_again()
        # A table that is filled while the browser still builds it may stay empty.
        self._make_widgets(_rows(library.entries()))

    def _make_widgets(self, recordings: Any) -> None:
        self.table = pn.widgets.Tabulator(
            recordings,
            disabled=True,
            selectable=1,
            show_index=False,
            height=320,
            sizing_mode="stretch_width",
            widths={"recording": "58%", "state": "22%", "steps": "20%"},
            text_align={"steps": "right"},
            name="recordings",
        )
        self.remark = pn.pane.HTML("", sizing_mode="stretch_width")
        self.facts = pn.pane.HTML("", sizing_mode="stretch_width")
        self.follow = pn.widgets.Toggle(name="Pause", value=True, button_type="primary", width=110)
        self.width = pn.widgets.Select(
            name="timesteps shown", options=list(WIDTHS), value="10,000", width=130
        )
        self.newest = pn.widgets.Checkbox(name="newest episode", value=True, margin=(28, 5, 0, 5))
        self.episode = pn.widgets.IntInput(name="episode", value=0, start=0, end=0, width=110)
        self.position = pn.widgets.EditableIntSlider(
            name="from timestep", start=0, end=1, value=0, sizing_mode="stretch_width"
        )
        self.stream = pn.widgets.Select(name="neural state", options=[], width=200)
        self.neurons = pn.widgets.TextInput(name="neurons", value="0-2", placeholder="0-2, 17", width=140)
        self.behavior = pn.widgets.MultiChoice(name="behaviour", options=[], sizing_mode="stretch_width")
        self.table.param.watch(self._picked, "selection")
        self.follow.param.watch(self._followed, "value")
        self.position.param.watch(self._moved, "value")
        self.episode.param.watch(self._episode_chosen, "value")
        self.width.param.watch(self._widened, "value")
        for widget in (self.newest, self.stream, self.neurons, self.behavior):
            widget.param.watch(self._wanted, "value")
        self._plots.window.on_change("start", self._dragged)
        self._plots.window.on_change("end", self._dragged)

    def layout(self) -> Any:
        """The page as a template, which looks for itself as long as it is open."""
        controls = pn.Row(self.follow, self.width, self.position, align="end", sizing_mode="stretch_width")
        choice = pn.Row(
            self.episode, self.newest, self.stream, self.neurons, self.behavior, sizing_mode="stretch_width"
        )
        plots = [pn.pane.Bokeh(one, sizing_mode="stretch_width") for one in self._plots.figures()]
        writer = pn.pane.Bokeh(self._writer.figure, sizing_mode="stretch_width")
        page = pn.template.FastListTemplate(
            title="flightrec",
            font="system-ui, sans-serif",
            sidebar=[self.table, self.remark],
            sidebar_width=380,
            main=[pn.Column(self.facts, controls, choice, *plots, writer, sizing_mode="stretch_width")],
            main_layout=None,
        )
        self._context = pn.state.curdoc.session_context
        pn.state.add_periodic_callback(self.tick, period=_PERIOD_MS)
        pn.state.on_session_destroyed(lambda _: self._view.close())
        return page

    async def tick(self) -> None:
        """Look, and show what is seen; not while the last look goes on, or the processor shall rest."""
        loop = asyncio.get_running_loop()
        if self._busy or (loop.time() < self._rest and not self._due):
            return
        session = self._context.session
        if session is None or not session.connection_count:
            return
        self._busy, self._due = True, False
        begun = loop.time()
        try:
            seen = await asyncio.to_thread(self._view.look, self._wish())
            self._show(seen)
        except Exception as error:
            # The server's log has all of it.
            self.facts.object = facts(Seen(problem=f"{type(error).__name__}: {error}"), following=True)
            raise
        finally:
            self._rest = loop.time() + _MODESTY * (loop.time() - begun)
            self._busy = False

    def _wish(self) -> Wish:
        count = None if self.stream.value is None else self._counts.get(self.stream.value)
        return Wish(
            self._path,
            None if self.newest.value and self.follow.value else self.episode.value,
            None if self.follow.value else self._window,
            WIDTHS[self.width.value],
            Choice(self.stream.value, neurons_of(self.neurons.value, count), tuple(self.behavior.value)),
        )

    def _show(self, seen: Seen) -> None:
        self._setting = True
        try:
            self._list(seen.entries)
            self.facts.object = facts(seen, following=self.follow.value)
            if self._path is None:
                return
            self.follow.visible = seen.status is None or seen.status.alive or not self.follow.value
            self._offer(seen)
            self._writer.show(self._view.history)
            here = self._path, seen.episode
            if seen.picture is not None:
                self._plots.show(seen.picture, self.stream.value)
                if self.follow.value or self._window is None:
                    self._frame(seen.picture.window)
            elif not (seen.problem and self._drawn and self._drawn[0] == self._path):
                # What cannot be read for a moment stays; of another recording or episode nothing does.
                self._plots.show(Picture((0, 1)), None)
            self._drawn = here if seen.picture is not None else self._drawn
        finally:
            self._setting = False
        if not self._settled and seen.streams:
            self._settled = self._due = True

    def _list(self, entries: list[Entry]) -> None:
        self._paths = {entry.name: entry.path for entry in entries}
        shown = _rows(entries)
        if not shown.equals(self.table.value):
            self.table.value = shown
        if self._asked in self._paths:
            self._choose(self._asked)
            self._asked = None
        elif self._path is None and entries:
            running = next((entry.name for entry in entries if entry.state == "running"), entries[0].name)
            self._choose(running)
        older = self._library.hidden
        self.remark.object = f"{older:,} older recordings are not in this list" if older else ""
        if self._asked is not None:
            self.remark.object = f"{escape(self._asked)} is not in this list. {self.remark.object}"
        names = [entry.name for entry in entries if entry.path == self._path]
        wanted = [list(self._paths).index(names[0])] if names else []
        if self.table.selection != wanted:
            self.table.selection = wanted

    def _offer(self, seen: Seen) -> None:
        """Fit the widgets to what the recording has."""
        self._counts = seen.n_neurons
        neural = [name for name in seen.streams if name.startswith(f"{NEURAL}/")]
        behavior = [name for name in seen.streams if name.startswith(f"{BEHAVIOR}/")]
        if self.stream.options != neural:
            self.stream.options = neural
            if self.stream.value not in neural:
                self.stream.value = neural[0] if neural else None
        if self.behavior.options != behavior:
            self.behavior.options = behavior
            self.behavior.value = [name for name in self.behavior.value if name in behavior] or behavior[:4]
        if seen.episodes:
            first, last = seen.episodes[0], seen.episodes[-1]
            # One after the other, so that no browser gets a first one behind the last.
            for bound, value in (("end", last), ("start", first))[:: 1 if last >= self.episode.end else -1]:
                self.episode.param.update({bound: value})
            if self.newest.value and seen.episode is not None:
                self.episode.value = seen.episode
        if seen.span is not None:
            low, high = seen.span
            self.position.param.update(start=low, end=max(low + 1, high))

    def _frame(self, window: tuple[int, int]) -> None:
        self._plots.window.update(start=window[0], end=window[1])
        self._window = window
        self.position.value = window[0]

    def _choose(self, name: str) -> None:
        self._path, self._due, self._settled = self._paths[name], True, False
        self._window = None
        if pn.state.location is not None:
            pn.state.location.update_query(recording=name)

    def _picked(self, event: Any) -> None:
        if not self._setting and event.new:
            self._asked = None
            self._choose(str(self.table.value["recording"].iloc[event.new[0]]))
            self.newest.value = self.follow.value = True

    def _followed(self, event: Any) -> None:
        self.follow.name = "Pause" if event.new else "Follow"
        self._due = True

    def _widened(self, event: Any) -> None:
        self._due = True
        width = WIDTHS[event.new]
        if self.follow.value or self._window is None:
            return
        if width is None:
            self.follow.value = True
        else:
            self._go(self._window[0], width)

    def _wanted(self, _: Any) -> None:
        if not self._setting:
            self._due = True

    def _episode_chosen(self, event: Any) -> None:
        if not self._setting and event.new is not None:
            self.newest.value = False
            self.follow.value = self._due = True

    def _moved(self, event: Any) -> None:
        if self._setting:
            return
        start, stop = self._window or (0, 1)
        self.follow.value = False
        self._go(event.new, stop - start)
        self._due = True

    def _go(self, start: int, width: int) -> None:
        self._setting = True
        self._frame((start, start + width))
        self._setting = False

    def _dragged(self, _: str, __: Any, ___: Any) -> None:
        if self._setting:
            return
        start, stop = (round(edge) for edge in (self._plots.window.start, self._plots.window.end))
        self.follow.value = False
        self._window = written(start, stop)
        self._due = True


def _rows(entries: list[Entry]) -> Any:
    rows = [(entry.name, entry.state or "…", f"{entry.steps:,}") for entry in entries]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)
