"""Does anything that was logged get lost when the process is killed?

    python benchmarks/crash.py --kills 5000                 SIGKILL at random instants
    python benchmarks/crash.py --kills 0 --sweep            and after the 1st, 2nd, 3rd … file operation

Processes record mixed work (tests/crash/work.py) and tell in shared memory which calls had returned. After
each kill the file is opened plainly and its committed rows are compared; then the recording is brought back
(by the loader, by repair, by a repair that is itself killed, or after having been read without being
written) and everything in it is compared with what was told. The sweep needs a C compiler.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # forked children have no other threads to wait for
sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import RESULTS, environment, save
from tqdm import tqdm

from tests.crash import shim
from tests.crash.harness import Flight, Verdict, fly, open_alongside, sweep_repair

SWEPT = {"chunk_size": 100, "ring_bytes": 1 << 20}
"""Little chunks make many operations of little work."""


def at_random(kills: int, seed: int) -> Iterator[tuple[Flight, str]]:
    """Flights of all sorts, killed at any instant."""
    for index in range(kills):
        yield Flight.at_random(seed + index), "random"


def sweep(stride: int, seed: int, episodes: int) -> Iterator[tuple[Flight, str]]:
    """The same work, killed after its n-th operation, by both writers, until it ends before that."""
    for threaded in (False, True):
        options = {**SWEPT, "async_write": threaded}
        whole = fly(Flight(seed, kill_after=1 << 40, options=options, episodes=episodes, longest=400))
        if whole.error:
            raise SystemExit(f"the work itself fails: {whole.error}")
        # A thread takes records as they come, so the same work may take some operations more.
        for n in range(1, int(whole.told["operations"] * (1.3 if threaded else 1.0)) + stride, stride):
            yield (
                Flight(
                    seed, kill_after=n, options=options, episodes=episodes, longest=400, way=n // stride % 4
                ),
                f"sweep, {'thread' if threaded else 'caller'}",
            )


def killed_repairs(stride: int, seed: int, episodes: int) -> tuple[int, list[str]]:
    """Repairs of the swept work, killed after each of their operations."""
    kills, errors = 0, []
    for n in range(60, 60 + 50 * 20, 50 * stride):
        flight = Flight(seed, kill_after=n, options=SWEPT, episodes=episodes, longest=400)
        more, wrong = sweep_repair(flight)
        kills, errors = kills + more, errors + wrong
    return kills, errors


def alongside(seconds: float) -> dict[str, Any]:
    """Plain opens beside a writer, with many boundaries and with few."""
    flights = {
        "episodes of 5 to 60 steps": ({"ring_bytes": 1 << 20, "enable_swmr": True}, 60),
        "episodes of 5 to 20,000 steps": ({}, 20_000),
    }
    return {name: open_alongside(seconds, options, longest) for name, (options, longest) in flights.items()}


class Account:
    """What became of all flights of one mode."""

    def __init__(self) -> None:
        self.kills = self.ended = self.steps = self.acknowledged = self.lost = 0
        self.window_ns = self.windows = 0
        self.plain: collections.Counter[str] = collections.Counter()
        self.failures: list[dict[str, Any]] = []

    def add(self, flight: Flight, verdict: Verdict) -> None:
        """Count one verdict."""
        self.kills += not verdict.ended
        self.ended += verdict.ended
        self.steps += verdict.steps
        self.acknowledged += verdict.told["calls"]
        self.windows += verdict.told["windows"]
        self.window_ns += verdict.told["window_ns"]
        kind = verdict.plain.partition(":")[0]
        if kind not in {"exact", "no file"}:
            kind += " in the window" if verdict.in_window else " OUTSIDE THE WINDOW"
        self.plain[kind] += 1
        if verdict.error or kind.endswith("OUTSIDE THE WINDOW"):
            self.lost += bool(verdict.error)
            self.failures.append(
                {"seed": flight.seed, "kill_after": flight.kill_after, "plain": verdict.plain}
                | {"way": verdict.way, "told": verdict.told, "error": verdict.error}
            )

    def result(self) -> dict[str, Any]:
        """For the saved file."""
        return {
            "kills": self.kills,
            "ended_before_the_kill": self.ended,
            "steps_compared": self.steps,
            "recordings_with_a_loss_or_an_error": self.lost,
            "plain_opens": dict(self.plain),
            "windows": self.windows,
            "mean_window_us": self.window_ns / 1e3 / self.windows if self.windows else 0.0,
            "failures": self.failures,
        }


def under_the_shim() -> bool:
    """Whether file operations of this process can be counted."""
    return "flightrec-shim" in os.environ.get("LD_PRELOAD", "")


def main() -> None:
    """Parse, kill, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5000, help="kills at random instants")
    parser.add_argument("--sweep", action="store_true", help="also kill after each file operation")
    parser.add_argument("--stride", type=int, default=1, help="of the sweep")
    parser.add_argument("--episodes", type=int, default=12, help="of the sweep's work")
    parser.add_argument("--opens", type=float, default=0.0, help="seconds of plain opens beside a writer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.sweep and not under_the_shim():
        os.execve(sys.executable, [sys.executable, *sys.argv], shim.environment())
    before = environment()
    flights: list[Iterator[tuple[Flight, str]]] = [at_random(arguments.kills, arguments.seed)]
    if arguments.sweep:
        flights.append(sweep(arguments.stride, arguments.seed, arguments.episodes))
    accounts: dict[str, Account] = {}
    for source, total in zip(flights, (arguments.kills, None), strict=False):
        for flight, mode in tqdm(source, total=total, unit="kill", mininterval=1.0, disable=None):
            accounts.setdefault(mode, Account()).add(flight, fly(flight))
    results = {mode: account.result() for mode, account in accounts.items()}
    errors: list[str] = []
    if arguments.sweep:
        kills, errors = killed_repairs(arguments.stride, arguments.seed, arguments.episodes)
        print(f"killed repairs: {kills:,}, with a loss or an error: {len(errors)}")
        print("\n".join(errors))
    for mode, result in results.items():
        print(f"{mode}: {result['kills']:,} kills, {result['steps_compared']:,} steps compared")
        print(f"  recordings with a loss or an error: {result['recordings_with_a_loss_or_an_error']}")
        print(f"  plain opens before any repair: {result['plain_opens']}")
        print(f"  the window at a boundary: {result['mean_window_us']:.0f} µs, {result['windows']:,} of them")
        for failure in result["failures"]:
            print(f"  {failure}")
    if arguments.opens:
        results["opens"] = opens = alongside(arguments.opens)
        for name, found in opens.items():
            refused = sum(found["refused"].values())
            print(f"opens beside {name}: {found['opens']:,} in {found['changes']:,} changes, ", end="")
            print(f"{refused} refused: {found['refused']}")
    if arguments.sweep:
        results["killed repairs"] = {"kills": kills, "failures": errors}
    saved = save("crash", {"environment": before, "seed": arguments.seed, **results}, arguments.output)
    print(f"\nsaved {saved}")
    if errors or any(account.failures for account in accounts.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
