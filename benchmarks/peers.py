"""flightrec beside what a user would otherwise pick: the same work, each in its own documentation's idiom.

    python benchmarks/peers.py                               everything, an hour or more
    python benchmarks/peers.py --quick                       a look: few steps, one repeat
    python benchmarks/peers.py --list                        who and what there is, and what is not installed
    python benchmarks/peers.py --peers flightrec h5py-strong --workloads facts dense64

`python -m pip install ".[peers]"` installs all of them; one that is missing is left out with a note. Every
measurement has a process of its own, peers take turns, and what each wrote is read back by its own reader and
compared with the inputs: neurons that spiked, positions, rewards and kept potentials, bit by bit. Speed
counts from opening to closed; "own µs" leaves out what the same loop takes around an empty method. Then a
recording is opened by another process while it is written, and killed at a random step: the table says how
many steps the reader saw, and how many of those whose call had returned are lost. Only the ratios within one
run are to be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's, as in the processes that measure

from harness import RESULTS, environment, run_fresh, save, summary, version
from peer import PEERS
from peer.report import plot, print_table, print_verdict, verdict
from peer.survival import SCRIPT, survive
from peer.work import WORKLOADS
from tqdm import tqdm
from workloads import SEED

FIGURES = (
    "steps_per_s",
    "own_steps_per_s",
    "bytes_per_step",
    "cpu_seconds",
    "loop_alone_seconds",
    "peak_rss_above_start",
)
QUICK = 20_000
DISTRIBUTIONS = (
    "hdf5plugin",
    "pyarrow",
    "tables",
    "zarr",
    "pynwb",
    "mcap",
    "mcap-protobuf-support",
    "rerun-sdk",
    "tensorboardX",
    "tensorboard",
)


def run(peers: list[str], workloads: list[str], arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure and kill; of every workload a row a peer, printed as soon as it is whole."""
    results: dict[str, dict[str, Any]] = {}
    killed = set(arguments.killed or workloads)
    turns_of = {name: arguments.repeats + (arguments.kills if name in killed else 0) for name in workloads}
    with tqdm(total=len(peers) * sum(turns_of.values()), unit="run", disable=None) as bar:
        for workload, turns in turns_of.items():
            specs = {peer: _spec(peer, workload, arguments) for peer in peers}
            measured: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
            survived: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
            errors: dict[str, str] = {}
            for turn in range(turns):
                for peer in peers:
                    bar.set_description(f"{workload}, {peer}")
                    try:
                        _turn(specs[peer], turn, arguments, measured[peer], survived[peer])
                    except RuntimeError as error:
                        errors[peer] = str(error).strip().splitlines()[-1]
                    bar.update()
            rows = {peer: _condense(measured[peer], survived[peer], errors.get(peer)) for peer in peers}
            results[workload] = rows
            with bar.external_write_mode():
                print_table(workload, rows)
                print_verdict(verdict(rows))
    return results


def _spec(peer: str, workload: str, arguments: argparse.Namespace) -> dict[str, Any]:
    steps = min(arguments.steps, PEERS[peer].most or arguments.steps)
    chosen = {"peer": peer, "workload": workload, "steps": steps, "seed": SEED}
    return {**chosen, "scratch": arguments.scratch}


def _turn(
    spec: dict[str, Any],
    turn: int,
    arguments: argparse.Namespace,
    measured: list[dict[str, Any]],
    survived: list[dict[str, Any]],
) -> None:
    if turn < arguments.repeats:
        measured.append(json.loads(run_fresh(SCRIPT, json.dumps({**spec, "do": "measure"}))))
    else:
        total = WORKLOADS[spec["workload"]].shortened(spec["steps"]).total
        survived.append(survive(spec, total, SEED + turn))


def _condense(
    measured: list[dict[str, Any]], survived: list[dict[str, Any]], error: str | None
) -> dict[str, Any]:
    out: dict[str, Any] = {"repeats": measured, "survival": survived}
    if error or not measured:
        return {**out, "error": error or "not measured"}
    out["steps"] = measured[0]["steps"]
    for figure in FIGURES:
        values = [one[figure] for one in measured if one[figure] is not None]
        out[figure] = summary(values) if values else None
    return out


def list_all() -> None:
    """Who and what there is."""
    for name, peer in PEERS.items():
        print(f"{name:17}{peer.missing() or peer.note}")
    print()
    for name, work in WORKLOADS.items():
        print(
            f"{name:19}{work.episodes:>7,} × {work.steps:,} steps, {work.neurons:,} neurons "
            f"at {work.rate:.1%} as {work.spikes_as}, {work.dtype} v every {work.sampling}"
        )


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--steps", type=int, help="timesteps of a recording, at most")
    parser.add_argument("--repeats", type=int, help="measurements of each, 3 by default")
    parser.add_argument("--kills", type=int, help="recordings of each that are read and killed, 3 by default")
    parser.add_argument(
        "--killed", nargs="+", choices=WORKLOADS, metavar="NAME", help="workloads to kill: all"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} steps, one repeat, one kill")
    parser.add_argument("--list", action="store_true", help="say who and what there is, and stop")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON and the plot")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    if arguments.list:
        list_all()
        return
    for option, quick, full in (("steps", QUICK, 2_000_000), ("repeats", 1, 3), ("kills", 1, 3)):
        if getattr(arguments, option) is None:
            setattr(arguments, option, quick if arguments.quick else full)

    before = environment(arguments.scratch)
    missing = {name: reason for name in arguments.peers if (reason := PEERS[name].missing())}
    for name, reason in missing.items():
        print(f"without {name}: {reason}")
    present = [name for name in arguments.peers if name not in missing]
    results = run(present, arguments.workloads, arguments)
    record = {
        "environment": {**before, "peers": {name: version(name) for name in DISTRIBUTIONS}},
        "seed": SEED,
        "repeats": arguments.repeats,
        "kills": arguments.kills,
        "missing": missing,
        "notes": {name: PEERS[name].note for name in present},
        "workloads": {name: vars(WORKLOADS[name].shortened(arguments.steps)) for name in results},
        "verdicts": {name: verdict(rows) for name, rows in results.items()},
        "results": results,
    }
    saved = save("peers-quick" if arguments.quick else "peers", record, arguments.output)
    plot(results, saved.with_suffix(".png"))
    print(f"\nsaved {saved} and {saved.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
