"""The tables and the picture of what ``peers.py`` measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peer import PEERS
from peer.work import WORKLOADS

OURS = "flightrec"


def ratio(rows: dict[str, Any], peer: str) -> float | None:
    """A peer's steps/s over flightrec's."""
    if OURS not in rows or "steps_per_s" not in rows[OURS] or "steps_per_s" not in rows[peer]:
        return None
    return float(rows[peer]["steps_per_s"]["median"] / rows[OURS]["steps_per_s"]["median"])


def print_table(name: str, rows: dict[str, Any]) -> None:
    """One workload: its peers, fastest first; a step counts as readable when all of it is."""
    work = WORKLOADS[name]
    print(
        f"\n{name}: {work.neurons:,} neurons at {work.rate:.1%} as {work.spikes_as}, {work.dtype} v every "
        f"{work.sampling} steps, episodes of {work.steps:,}\n"
        f"{'':17}{'steps':>10}{'steps/s':>12}{'× ours':>8}{'own µs':>9}{'cpu µs':>9}{'bytes/step':>12}"
        f"{'peak MB':>9}{'readable while written':>26}{'lost to SIGKILL':>24}"
    )
    for peer, row in sorted(rows.items(), key=_speed, reverse=True):
        if "error" in row:
            print(f"{peer:17}{row['error']}")
            continue
        share, peak = ratio(rows, peer), row["peak_rss_above_start"]
        cpu = row["cpu_seconds"]["median"] / row["steps"] * 1e6
        print(
            f"{peer:17}{row['steps']:>10,}{row['steps_per_s']['median']:>12,.0f}"
            f"{'' if share is None else format(share, '.2f'):>8}"
            f"{1e6 / row['own_steps_per_s']['median']:>9.2f}{cpu:>9.2f}"
            f"{row['bytes_per_step']['median']:>12.1f}"
            f"{'' if peak is None else format(peak['median'] / 1e6, '.1f'):>9}"
            f"{_live(row['survival']):>26}{_lost(row['survival']):>24}"
        )


def best(rows: dict[str, Any], figure: str, largest: bool) -> tuple[str, float] | None:
    """The best peer that records all of the work, and its median of a figure."""
    values = {
        peer: row[figure]["median"]
        for peer, row in rows.items()
        if row.get(figure) and not peer.startswith(OURS) and not PEERS[peer].scalars
    }
    if not values:
        return None
    peer = (max if largest else min)(values, key=lambda name: values[name])
    return peer, values[peer]


def verdict(rows: dict[str, Any]) -> dict[str, Any]:
    """flightrec against the best peer of each figure."""
    ours = rows.get(OURS, {})
    out: dict[str, Any] = {}
    for figure, largest in (
        ("steps_per_s", True),
        ("own_steps_per_s", True),
        ("bytes_per_step", False),
        ("peak_rss_above_start", False),
    ):
        found = best(rows, figure, largest)
        if found and ours.get(figure):
            peer, value = found
            mine = ours[figure]["median"]
            out[figure] = {"best_peer": peer, "its": value, "ours": mine, "ours_over_its": mine / value}
    return out


def print_verdict(found: dict[str, Any]) -> None:
    """In a line."""
    words = {
        "steps_per_s": "speed",
        "own_steps_per_s": "speed without the loop",
        "bytes_per_step": "size",
        "peak_rss_above_start": "memory",
    }
    parts = [
        f"{words[figure]} {one['ours_over_its']:.2f} × that of {one['best_peer']}"
        for figure, one in found.items()
    ]
    if parts:
        print("  flightrec: " + ", ".join(parts))


def _speed(item: tuple[str, Any]) -> float:
    return float(item[1].get("steps_per_s", {}).get("median", 0.0))


def _live(survival: list[dict[str, Any]]) -> str:
    if not survival:
        return "–"
    seen = max(one["live"]["seen"] for one in survival)
    if seen:
        logged = max(one["live"]["logged"] for one in survival)
        return f"{seen:,} of {logged:,}"
    first = survival[0]["live"]
    in_part = max((first["rows"].get(name, 0) for name in ("counts", "x")), default=0)
    if in_part:  # some streams are there, but no step with all of them
        return f"in part {in_part:,} of {first['logged']:,}"
    error = first["error"]
    return f"no: {error.partition(':')[0]}" if error else "no: nothing yet"


def _lost(survival: list[dict[str, Any]]) -> str:
    if not survival:
        return "–"
    worst = max((one["killed"] for one in survival), key=lambda one: one["lost"])
    if worst["lost"] == worst["logged"]:
        return f"all {worst['logged']:,}"
    return f"{worst['lost']:,} of {worst['logged']:,}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def plot(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Steps/s and bytes a step of every workload, a panel each, as PNG."""
    from matplotlib.figure import Figure

    height = 1.4 + 0.24 * max(len(rows) for rows in results.values())
    figure = Figure(figsize=(11, height * len(results)), layout="constrained")
    panels = figure.subplots(len(results), 2, squeeze=False)
    for (name, rows), (speed, size) in zip(results.items(), panels, strict=True):
        measured = {peer: row for peer, row in sorted(rows.items(), key=_speed) if "error" not in row}
        for axes, key, title in ((speed, "steps_per_s", "steps/s"), (size, "bytes_per_step", "bytes a step")):
            colors = ["#0072b2" if peer.startswith(OURS) else "#b0b0b0" for peer in measured]
            bars = axes.barh(list(measured), [row[key]["median"] for row in measured.values()], color=colors)
            axes.bar_label(bars, fmt=_short, fontsize=7, padding=2)
            axes.set_title(f"{name}: {title}", fontsize=9)
            axes.tick_params(labelsize=8)
            axes.margins(x=0.15)
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)
