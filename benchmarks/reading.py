"""What does reading cost, beside plain h5py on the same file?

    python benchmarks/reading.py
    python benchmarks/reading.py --quick

Recordings of ``peer/work.py`` are written once. Then ExperimentLoader and plain h5py (reading_ways.py) answer
the same questions in turns, each in a process of its own that has read another file before the clock starts,
from opening the file to arrays in memory:

    full      everything
    trace     one neuron's potential and spikes, over all of the recording
    slice     a share of the timesteps (0.1 %, 1 %, 10 %), everything in it
    window    the next random window of 1,000 timesteps from a file that is open already

The h5py that it is compared with is a knowledgeable user's: it takes datasets as a whole or by ranges,
decodes spikes and rewards with NumPy as the specification shows, and knows that rows are timesteps here,
which the loader has to find out. "raw" reads every dataset and decodes nothing. What both return is compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's, as in the processes that measure

from harness import RESULTS, environment, run_fresh, save, summary
from tqdm import tqdm
from workloads import SEED

WORKLOADS = ("facts", "dense64", "1k-2.0%-raster", "10k-2.0%-indices")
QUESTIONS = ("full", "trace", "slice 0.1%", "slice 1%", "slice 10%", "window")
OTHERS = {"full": ("loader", "h5py", "h5py raw")}
WAYS = ("loader", "h5py")
QUICK = 20_000
FIGURES = ("seconds", "cpu_seconds")


def run(workloads: list[str], repeats: int, steps: int, scratch: str | None) -> dict[str, Any]:
    """Record, read in turns; every repeat and the medians by workload, question and way."""
    results: dict[str, Any] = {}
    cases = [(question, way) for question in QUESTIONS for way in OTHERS.get(question, WAYS)]
    with tqdm(total=len(workloads) * (1 + repeats * len(cases)), unit="run", disable=None) as bar:
        for workload in workloads:
            with tempfile.TemporaryDirectory(prefix="flightrec-reading-", dir=scratch) as folder:
                bar.set_description(f"{workload}, recording")
                given = {"workload": workload, "steps": steps, "seed": SEED, "folder": folder}
                recorded = _ask({**given, "do": "record"})
                bar.update()
                spec = {**given, "do": "read"} | {name: recorded.pop(name) for name in ("path", "warm")}
                done: dict[tuple[str, str], list[dict[str, Any]]] = {case: [] for case in cases}
                for _ in range(repeats):
                    for question, way in cases:
                        bar.set_description(f"{workload}, {question}, {way}")
                        done[question, way].append(_ask({**spec, "question": question, "way": way}))
                        bar.update()
            results[workload] = {**recorded, "questions": _condense(workload, done)}
    return results


def _ask(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_fresh("reading_ways.py", json.dumps(spec)))
    return found


def _condense(workload: str, done: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    out: dict[str, Any] = {question: {} for question in QUESTIONS}
    for (question, way), repeats in done.items():
        figures = {figure: summary([one[figure] for one in repeats]) for figure in FIGURES}
        out[question][way] = {**figures, "repeats": repeats}
    for question, ways in out.items():
        answers = {one["answer"] for way in WAYS for one in ways[way]["repeats"]}
        if len(answers) > 1:
            raise SystemExit(f"{workload}, {question}: the loader and h5py do not read the same")
        for way in ways:
            if way != "loader":
                ways[way]["over_loader"] = {
                    figure: ways[way][figure]["median"] / ways["loader"][figure]["median"]
                    for figure in FIGURES
                }
    return out


def print_table(results: dict[str, Any]) -> None:
    """Medians, and how many times longer h5py takes."""
    for workload, found in results.items():
        print(
            f"\n{workload}: {found['episodes']} × {found['steps_an_episode']:,} steps, "
            f"{found['neurons']:,} neurons, {found['file_bytes'] / 1e6:.1f} MB\n"
            f"{'ms':22}{'loader':>10}{'h5py':>10}{'×':>7}{'loader cpu':>14}{'h5py cpu':>12}{'×':>7}"
        )
        for question, ways in found["questions"].items():
            for way in ways:
                if way == "loader":
                    continue
                pairs = [
                    (ways["loader"][figure]["median"], ways[way][figure]["median"]) for figure in FIGURES
                ]
                (ours, theirs), (cpu, their_cpu) = ((one * 1e3, other * 1e3) for one, other in pairs)
                label = question if way == "h5py" else f"{question}, {way.removeprefix('h5py ')}"
                print(
                    f"{label:22}{ours:>10.2f}{theirs:>10.2f}{theirs / ours:>7.2f}"
                    f"{cpu:>14.2f}{their_cpu:>12.2f}{their_cpu / cpu:>7.2f}"
                )


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2_000_000, help="timesteps of a recording, at most")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} steps, one repeat")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.steps = 1, min(arguments.steps, QUICK)
    before = environment(arguments.scratch)
    results = run(arguments.workloads, arguments.repeats, arguments.steps, arguments.scratch)
    print_table(results)
    record = {"environment": before, "seed": SEED, "repeats": arguments.repeats, "results": results}
    print(f"\nsaved {save('reading-quick' if arguments.quick else 'reading', record, arguments.output)}")


if __name__ == "__main__":
    main()
