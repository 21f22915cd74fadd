"""Children of a process that has imported everything: hundreds of interpreter exits in seconds.

Each child runs its code as a script would: an exception that nobody catches leaves the interpreter, whose
exit is the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """How a child ended; a negative code is the signal that killed it."""

    code: int
    out: str
    err: str


class Zygote:
    """Runs code in forked children, one at a time."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, code: str, *arguments: Any, patience: int = 60) -> Ended:
        """Run ``code`` with these ``sys.argv[1:]``; it is killed by SIGALRM after ``patience`` seconds."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        out, err = Path(self._place.name, "out"), Path(self._place.name, "err")
        job = [code, [str(a) for a in arguments], str(out), str(err), patience]
        print(json.dumps(job), file=self._server.stdin, flush=True)
        return Ended(int(self._server.stdout.readline()), out.read_text(), err.read_text())

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._server:
            pass
        self._place.cleanup()


def _next_code() -> str:
    """In a child, the code to run; in the process itself, "" once there is nothing more to do."""
    import signal

    import recorder.exporter
    import recorder.h5.repair

    assert recorder.h5.repair

    for line in sys.stdin:
        code, arguments, out, err, patience = json.loads(line)
        pid = os.fork()
        if pid == 0:
            # What started the tests may have ignored it (nohup does), and children inherit that.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            for descriptor, name in ((0, os.devnull), (1, out), (2, err)):
                opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                os.dup2(opened, descriptor)
                os.close(opened)
            sys.argv = ["child", *arguments]
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.alarm(patience)
            return str(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return ""


if __name__ == "__main__":
    exec(compile(_next_code(), "<child>", "exec"), {"__name__": "__main__"})
