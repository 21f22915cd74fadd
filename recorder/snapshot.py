"""Source files that are kept with a recording."""

from __future__ import annotations

import io
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.errors import InputError

_WHERE = "code_snapshot"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A source file: the name it is kept under, where it came from, and its text as UTF-8."""

    name: str
    path: Path
    text: bytes


def read_sources(code_files: Iterable[str | Path] | None = None) -> list[SourceFile]:
    """Read Python files; None means the running script (none in an interactive session).

    A file given twice is kept once. Files that share a base name keep distinct names: the second
    ``model.py`` becomes ``model_2.py``. Text in another encoding, as its first lines declare, is
    turned into UTF-8.

    Raises
    ------
    InputError
        No such file, not a ``.py`` file, or no text in the encoding it declares. Nothing is skipped.
    """
    if code_files is None:
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        code_files = [main] if main is not None and Path(main).suffix == ".py" else []
    elif isinstance(code_files, str | Path):
        raise InputError(_WHERE, "a list of files", repr(code_files), hint="put it in a list")
    found: dict[Path, SourceFile] = {}
    names: set[str] = set()
    for given in code_files:
        path = _python_file(given)
        if path.resolve() in found:
            continue
        name, n = path.name, 1
        while name in names:
            n += 1
            name = f"{path.stem}_{n}{path.suffix}"
        names.add(name)
        found[path.resolve()] = SourceFile(name, path, _utf8(path))
    return list(found.values())


def _python_file(given: Any) -> Path:
    if not isinstance(given, str | Path):
        raise InputError(_WHERE, "paths as str or Path", type(given).__name__)
    path = Path(given)
    if path.suffix != ".py":
        raise InputError(_WHERE, "a .py file", repr(str(given)))
    if not path.is_file():
        raise InputError(_WHERE, "an existing file", repr(str(given)))
    return path


def _utf8(path: Path) -> bytes:
    raw = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return raw if encoding == "utf-8" and raw.decode() is not None else raw.decode(encoding).encode()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(_WHERE, "Python source in the encoding it declares", f"{path}: {error}") from error
