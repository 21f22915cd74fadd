"""What a run was: interpreter, machine, libraries, state of the code. Never raises on a strange machine."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from recorder.secrets import allowed_environment, mask_command, strip_url

_LIBRARIES = ("brian2", "gymnasium", "isal", "jax", "matplotlib", "nengo", "nest", "pandas", "scipy", "torch")
_GIT_SECONDS = 30


def runtime_info(output_dir: Path | str, versions: dict[str, str] | None = None) -> dict[str, str | None]:
    """Facts about this process as texts; None where a fact is not to be had.

    ``versions`` (of h5py and HDF5) come from the caller, because only ``recorder.h5`` imports h5py.
    ``jax_version`` and ``jax_devices`` are there only when the program has imported jax already:
    importing it costs a second and may claim a GPU's memory. ``environment`` and ``packages`` are JSON.
    """
    return {
        "python_version": sys.version,
        "platform": platform.platform(),
        "hostname": socket.gethostname(),
        "numpy_version": np.__version__,
        **(versions or {}),
        "hdf5_libver": "v110",
        "working_directory": _attempt(os.getcwd),
        "output_directory": str(output_dir),
        "jax_version": _attempt(lambda: str(sys.modules["jax"].__version__)),
        "jax_devices": _attempt(lambda: str(sys.modules["jax"].devices())),
        "packages": json.dumps(_packages()),
        "cpu_count": str(os.cpu_count()),
        "memory_bytes": _attempt(_memory),
        "process_id": str(os.getpid()),
        "process_start": _attempt(_process_start),
        "command_line": command_line(),
        "environment": json.dumps(allowed_environment(os.environ)),
    }


def command_line() -> str:
    """This process's arguments, shell-quoted, secrets replaced by ``***``."""
    return mask_command([str(argument) for argument in sys.argv])


def git_info(directory: Path | str = ".") -> dict[str, Any] | None:
    """State of the Git repository that ``directory`` is in.

    Keys: ``commit_hash``, ``branch`` (``HEAD`` when detached), ``dirty`` (bool, untracked files
    count), ``uncommitted_files`` (porcelain lines, when dirty), ``remote_url`` (of ``origin``, without
    user info and query); those that do not exist are absent. ``{}`` outside a repository, None when
    Git cannot be run.
    """
    try:
        import git
    except ImportError:
        return None
    try:
        with git.Repo(directory, search_parent_directories=True) as repository:
            return _git_facts(repository, git.GitCommandError)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return {}
    except (git.GitError, OSError, ValueError):
        return None


def _git_facts(repository: Any, failure: type[Exception]) -> dict[str, Any]:
    info: dict[str, Any] = {}
    run = repository.git
    # A look at the state must neither take Git's locks nor write its index.
    with run.custom_environment(GIT_OPTIONAL_LOCKS="0"):
        # Without status nothing else is worth having: its failure is the caller's None.
        lines = []
        if repository.working_tree_dir is not None:
            lines = run.status("--porcelain", kill_after_timeout=_GIT_SECONDS).splitlines()
        facts: dict[str, Callable[[], str]] = {
            "commit_hash": lambda: run.rev_parse("--verify", "HEAD"),
            "branch": lambda: _branch(run, failure),
            "remote_url": lambda: strip_url(run.config("--get", "remote.origin.url")),
        }
        for key, fact in facts.items():
            try:
                info[key] = str(fact())
            except failure:
                continue
    info["dirty"] = bool(lines)
    if lines:
        info["uncommitted_files"] = lines
    return info


def _branch(run: Any, failure: type[Exception]) -> str:
    try:
        return str(run.symbolic_ref("--short", "HEAD"))
    except failure:
        return "HEAD"


def _packages() -> dict[str, str]:
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in _LIBRARIES}
    return {name: str(version) for name, version in loaded.items() if version is not None}


def _memory() -> str:
    import psutil

    return str(psutil.virtual_memory().total)


def _process_start() -> str:
    import psutil

    return datetime.fromtimestamp(psutil.Process().create_time()).isoformat()


def _attempt(fact: Callable[[], str]) -> str | None:
    # Whatever a half-installed library or a container without /proc raises: the run goes on.
    try:
        return fact()
    except Exception:
        return None
