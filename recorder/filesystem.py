"""What kind of file system a folder is on, and a warning where that is not a disk of this machine."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import psutil

from recorder.errors import NetworkFileSystemWarning
from recorder.frames import own_frames

REMOTE = (
    *(
        "nfs",
        "cifs",
        "smb",
        "afs",
        "9p",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "pvfs2",
        "orangefs",
    ),
    *("ocfs2", "gfs2", "panfs", "wekafs", "coda", "davfs", "ncpfs", "vboxsf", "prl_fs", "fuse."),
)
"""Beginnings of the names of file systems that other machines write to as well, or a program in between."""
LOCAL_FUSE = frozenset(
    f"fuse.{name}"
    for name in (
        *("fuse-overlayfs", "overlayfs", "bindfs", "mergerfs", "gocryptfs", "encfs", "cryfs", "lxcfs"),
        *("ntfs-3g", "ntfs", "exfat", "ext2", "snapfuse", "squashfuse", "portal", "apfs-fuse"),
    )
)
"""Programs in between that keep their files on a disk of this machine."""

_warned: set[str] = set()


def warn_of_network(folder: Path) -> None:
    """Warn, once for each, where the folder (which need not exist yet) is on a network file system."""
    _warn(
        folder,
        "Other machines see neither its locks nor the ring's newest rows reliably, so nothing there keeps a "
        "second machine from writing or repairing this recording, and a connection that breaks can end the "
        "process (SIGBUS). Record to a local disk, and move the folder when the recording is closed",
        # It counts its own frame, in place of which _warn() adds one.
        stacklevel=own_frames(),
    )


def warn_of_network_reading(folder: Path, *, stacklevel: int) -> None:
    """As :func:`warn_of_network`, for whoever watches a recording there."""
    _warn(
        folder,
        "Of a recording that another machine writes, only what is committed is seen, and late, not the "
        "newest rows; whether its program lives cannot be told for certain. Watch it where it is recorded",
        stacklevel=stacklevel + 1,
    )


def _is_remote(kind: str) -> bool:
    return kind.startswith(REMOTE) and kind not in LOCAL_FUSE


def _warn(folder: Path, what: str, *, stacklevel: int) -> None:
    found = mount_of(folder)
    if found is None:
        return
    place, kind = found
    if place in _warned or not _is_remote(kind):
        return
    _warned.add(place)
    text = f"{folder} is on a {kind} file system ({place}). {what}"
    warnings.warn(text, NetworkFileSystemWarning, stacklevel=stacklevel + 1)


def mount_of(folder: Path) -> tuple[str, str] | None:
    """Mount point and type of the file system that a folder is on; None where the system does not say."""
    path = os.path.realpath(folder)
    best: tuple[str, str] | None = None
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError):
        return None
    for mount in mounts:
        place = mount.mountpoint.rstrip("/")
        within = path == place or path.startswith(place + "/")
        # Of two at the same place, the later one covers the earlier.
        if within and (best is None or len(mount.mountpoint) >= len(best[0])):
            best = mount.mountpoint, mount.fstype.lower()
    return best
