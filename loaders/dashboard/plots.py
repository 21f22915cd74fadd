"""The plots of an episode, one below the other over the same timesteps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    FactorRange,
    HoverTool,
    Legend,
    LegendItem,
    LinearAxis,
    LinearColorMapper,
    Range1d,
)
from bokeh.palettes import Colorblind, Viridis256
from bokeh.plotting import figure

from loaders.dashboard.picture import LINES, Bands, Lines, Picture, Raster

COLORS = Colorblind[8]
_TOOLS = "xpan,xwheel_zoom,xbox_zoom,save"


class Plots:
    """The figures, empty until :meth:`show`; ``window`` is the range of timesteps that all of them share."""

    def __init__(self) -> None:
        self.window = Range1d(0, 1000)
        self.raster = RasterPlot(self.window)
        self.rate = BandPlot(self.window, "firing", "share of neurons that fire in a step", COLORS[0])
        self.traces = LinesPlot(self.window, "traces", 180)
        self.behavior = LinesPlot(self.window, "behaviour", 150)
        self.rewards = BandPlot(self.window, "reward", "reward", COLORS[3])
        self.weights = BandPlot(self.window, "weights", "weights that changed: new values", COLORS[5])
        self.events = EventsPlot(self.window)

    def figures(self) -> list[Any]:
        """From top to bottom."""
        parts = (
            self.raster,
            self.rate,
            self.traces,
            self.behavior,
            self.rewards,
            self.weights,
            self.events,
        )
        return [part.figure for part in parts]

    def show(self, picture: Picture, stream: str | None) -> None:
        """Draw a picture; ``stream`` is whose traces it has. What it has not got is hidden."""
        self.raster.show(picture.raster)
        raster = picture.raster
        if raster is not None:
            self.rate.draw(raster.grid.middles, raster.rate, None, None, _partly(raster.grid.whole))
        self.rate.figure.visible = raster is not None
        self.traces.show(picture.traces, stream or "")
        self.behavior.show(picture.behavior, "behaviour")
        self.rewards.show(picture.rewards)
        self.weights.show(picture.weights)
        self.events.show(picture.events, picture.events_before)


class RasterPlot:
    """Neurons over time: ticks, or their density as an image."""

    def __init__(self, window: Range1d) -> None:
        self.figure = _figure(window, "raster", 280)
        self.figure.y_range = self._neurons = Range1d(-0.5, 0.5)
        self.figure.yaxis.axis_label = "neuron"
        self.spikes = ColumnDataSource({"timestep": [], "neuron": []})
        self.density = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self._mapper = LinearColorMapper(Viridis256, low=0, high=1, nan_color="rgba(0, 0, 0, 0)")
        self.figure.image(
            "image", x="x", y="y", dw="dw", dh="dh", color_mapper=self._mapper, source=self.density
        )
        self._ticks = self.figure.scatter(
            "timestep", "neuron", marker="dash", angle=np.pi / 2, size=4, color=COLORS[0], source=self.spikes
        )
        self._bar = ColorBar(color_mapper=self._mapper, width=8, title="", visible=False)
        self.figure.add_layout(self._bar, "right")
        self.figure.add_tools(
            HoverTool(renderers=[self._ticks], tooltips=[("timestep", "@timestep"), ("neuron", "@neuron")])
        )

    def show(self, raster: Raster | None) -> None:
        """Draw it."""
        self.figure.visible = raster is not None
        if raster is None:
            return
        self._neurons.update(start=-0.5, end=raster.n_neurons - 0.5)
        self.spikes.data = {"timestep": raster.timesteps, "neuron": raster.neurons}
        self._ticks.glyph.size = min(14.0, max(2.0, 220 / raster.n_neurons))
        cells = raster.image
        self._bar.visible = cells is not None
        if cells is None:
            self.density.data = {"image": [], "x": [], "y": [], "dw": [], "dh": []}
            what = "spikes"
        else:
            low, high = raster.grid.edges[[0, -1]]
            place = {"x": [low], "y": [-0.5], "dw": [high - low], "dh": [raster.n_neurons]}
            self.density.data = {"image": [cells], **place}
            most = float(np.nanmax(cells)) if np.isfinite(cells).any() else 0.0
            self._mapper.update(low=0, high=most or 1.0)
            what = "spikes: share of neurons that fire in a step"
        self.figure.title.text = f"{what}, {raster.n_neurons:,} neurons{_partly(raster.grid.whole)}"


class BandPlot:
    """A mean over time, and between which values it lies."""

    def __init__(self, window: Range1d, name: str, title: str, color: str) -> None:
        self.figure, self._title = _figure(window, name, 120), title
        self.figure.yaxis.ticker.desired_num_ticks = 4
        self.source = ColumnDataSource({"x": [], "mean": [], "low": [], "high": []})
        self.figure.varea("x", "low", "high", fill_alpha=0.25, fill_color=color, source=self.source)
        self.figure.line("x", "mean", line_width=1.5, color=color, source=self.source)

    def show(self, bands: Bands | None) -> None:
        """Draw it; bins without a value are left out."""
        self.figure.visible = bands is not None
        if bands is not None:
            band, kept = bands.band, bands.band.counts > 0
            x = bands.grid.middles[kept]
            self.draw(x, band.mean[kept], band.low[kept], band.high[kept], _partly(bands.grid.whole))

    def draw(self, x: Any, mean: Any, low: Any, high: Any, remark: str) -> None:
        """Arrays ``(bins,)`` each."""
        low, high = (mean if edge is None else edge for edge in (low, high))
        self.source.data = {"x": x, "mean": mean, "low": low, "high": high}
        self.figure.title.text = self._title + remark


class LinesPlot:
    """Some traces over time."""

    def __init__(self, window: Range1d, name: str, height: int) -> None:
        self.figure = _figure(window, name, height)
        self.figure.yaxis.ticker.desired_num_ticks = 4
        self.sources = [ColumnDataSource({"x": [], "y": []}) for _ in range(LINES)]
        self._items = [
            LegendItem(
                label={"value": ""},
                renderers=[self.figure.line("x", "y", color=color, line_width=1.2, source=source)],
            )
            for color, source in zip(COLORS, self.sources, strict=True)
        ]
        self._legend = Legend(
            orientation="horizontal",
            label_text_font_size="8pt",
            border_line_alpha=0,
            padding=0,
            margin=0,
            click_policy="hide",
        )
        self.figure.add_layout(self._legend, "above")

    def show(self, lines: Lines, title: str) -> None:
        """Draw them."""
        self.figure.visible = bool(lines.labels)
        traces = list(zip(lines.labels, lines.timesteps, lines.values, strict=True))
        for number, source in enumerate(self.sources):
            _, x, y = traces[number] if number < len(traces) else ("", [], [])
            source.data = {"x": x, "y": y}
        for item, label in zip(self._items, lines.labels, strict=False):
            item.label = {"value": label}
        if len(self._legend.items) != len(traces):
            self._legend.items = self._items[: len(traces)]
        wrong = f" — {lines.not_finite:,} values are not finite" if lines.not_finite else ""
        self.figure.title.text = f"{title}{_partly(lines.whole)}{wrong}"


class EventsPlot:
    """Events by type."""

    def __init__(self, window: Range1d) -> None:
        self.figure = _figure(window, "events", 110, y_range=FactorRange())
        self.source = ColumnDataSource({"timestep": [], "kind": [], "data": []})
        marks = self.figure.scatter(
            "timestep", "kind", marker="inverted_triangle", size=9, color=COLORS[6], source=self.source
        )
        shown = [("timestep", "@timestep"), ("event", "@kind"), ("data", "@data")]
        self.figure.add_tools(HoverTool(renderers=[marks], tooltips=shown))

    def show(self, events: list[tuple[int, str, str]], before: int) -> None:
        """Draw them, and say how many more there were before."""
        self.figure.visible = bool(events)
        kinds = sorted({kind for _, kind, _ in events})
        if self.figure.y_range.factors != kinds:
            self.figure.y_range.factors = kinds
        steps, names, texts = ([event[part] for event in events] for part in range(3))
        self.source.data = {"timestep": steps, "kind": names, "data": texts}
        some = f", the last {len(events):,} of {len(events) + before:,}" if before else ""
        self.figure.title.text = f"events{some}"


class WriterPlot:
    """The writer's rate and lag over the time that the page is open."""

    def __init__(self) -> None:
        self.figure = figure(
            height=140,
            sizing_mode="stretch_width",
            x_axis_type="datetime",
            tools="",
            name="writer",
            title="writer: steps a second (left), seconds until a step is in the file (right)",
        )
        self.source = ColumnDataSource({"at": [], "rate": [], "lag": []})
        self.figure.line("at", "rate", color=COLORS[0], line_width=1.5, source=self.source)
        self.figure.extra_y_ranges = {"lag": Range1d(0, 1)}
        self.figure.line("at", "lag", color=COLORS[3], line_width=1.5, y_range_name="lag", source=self.source)
        right = LinearAxis(y_range_name="lag", axis_label="s", axis_label_text_color=COLORS[3])
        self.figure.add_layout(right, "right")
        self.figure.yaxis[0].update(axis_label="steps/s", axis_label_text_color=COLORS[0])
        self.figure.y_range.only_visible = True
        self.figure.y_range.start = 0
        _framed(self.figure)

    def show(self, history: Iterable[tuple[float, float, float]]) -> None:
        """Draw (unix time in ms, steps a second, seconds) of each status."""
        rows = np.array(list(history)).reshape(-1, 3)
        self.figure.visible = len(rows) > 1
        self.source.data = {"at": rows[:, 0], "rate": rows[:, 1], "lag": rows[:, 2]}
        lags = rows[:, 2][np.isfinite(rows[:, 2])]
        self.figure.extra_y_ranges["lag"].end = max(1e-3, 1.1 * float(lags.max(initial=0.0)))


def _figure(window: Range1d, name: str, height: int, **options: Any) -> Any:
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        x_range=window,
        tools=_TOOLS,
        active_drag="xpan",
        active_scroll="xwheel_zoom",
        name=name,
        title="",
        visible=False,
        **options,
    )
    _framed(made)
    made.xaxis.formatter.use_scientific = False
    made.toolbar.autohide = True
    return made


def _framed(made: Any) -> None:
    made.min_border_left = 70
    made.min_border_right = 60
    made.title.text_font_size = "9pt"


def _partly(whole: bool) -> str:
    return "" if whole else " (read in part)"
