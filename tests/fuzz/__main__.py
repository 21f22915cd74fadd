"""Damage recordings at random and read them; everything that must not happen is printed.

``python -m tests.fuzz 1000`` tries that many mutations of the golden recordings, ``--from`` says with
which seed to begin, ``--beside`` damages what lies beside killed ones, and paths name other recordings.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.beside import Killed, killed_folders
from tests.fuzz.judge import Subject, golden_files


def main() -> int:
    """The number of faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("paths", type=Path, nargs="*", help="HDF5 files; default: the golden recordings")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED")
    parser.add_argument("--quiet", action="store_true", help="one line a fault")
    parser.add_argument("--beside", action="store_true", help="damage rings, journals and locks")
    arguments = parser.parse_args()
    tally: collections.Counter[str] = collections.Counter()
    faults, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        subjects: list[Any] = [Killed(path, Path(folder)) for path in killed_folders()]
        if not arguments.beside:
            subjects = [Subject(path, Path(folder)) for path in arguments.paths or golden_files()]
        for seed in range(arguments.first, arguments.first + arguments.count):
            subject = subjects[seed % len(subjects)]
            verdict = subject.judge(seed)
            tally[verdict.kind] += 1
            for fault in verdict.faults:
                faults += 1
                text = fault.strip().splitlines()
                print(f"{subject.name} seed {seed} ({verdict.what}): {text[0]}")
                if not arguments.quiet:
                    print("\n".join(f"    {line}" for line in text[1:]))
    print(f"{arguments.count} mutations in {time.monotonic() - start:.0f} s: {dict(tally)}; {faults} faults")
    return min(faults, 1)


if __name__ == "__main__":
    raise SystemExit(main())
