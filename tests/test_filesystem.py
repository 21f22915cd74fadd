"""Network file systems are warned about, once each; those of disks and containers are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from recorder import DataExporter, NetworkFileSystemWarning, StandardDataExporter, filesystem
from tests.tmpfs import needs_mount, tmpfs

REMOTE = [
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.s3fs", "lustre", "gpfs", "beegfs"),
    *("ceph", "fuse.ceph", "9p", "afs", "glusterfs", "fuse.glusterfs"),
]
LOCAL = [
    *("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"),
    *("fuseblk", "fuse.fuse-overlayfs", "virtiofs", "apfs", "ntfs3"),
]
Mount = Callable[[str], None]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    def at(kind: str) -> None:
        places = [("/", "ext4"), (str(tmp_path), "ext4"), (str(tmp_path), kind), (f"{tmp_path}x", "nfs")]
        mounts = [SimpleNamespace(mountpoint=place, fstype=fstype) for place, fstype in places]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)  # noqa: ARG005
        monkeypatch.setattr(filesystem, "_warned", set())

    return at


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "fuse.ceph",
        "9p",
        "afs",
        "glusterfs",
        "fuse.glusterfs",
    ],
)
def test_a_network_file_system_is_warned_about_once(tmp_path: Path, mount: Mount, kind: str) -> None:
    mount(kind)
    with pytest.warns(NetworkFileSystemWarning, match="local disk") as caught:
        DataExporter("run", tmp_path / "new" / "folder").close()
    assert kind in str(caught[0].message)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataExporter("run", tmp_path).close()


def test_the_plain_exporter_warns_too(tmp_path: Path, mount: Mount) -> None:
    mount("nfs4")
    with pytest.warns(NetworkFileSystemWarning) as caught:
        StandardDataExporter("run", tmp_path).close()
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "kind",
    [
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "tmpfs",
        "overlay",
        "fuseblk",
        "fuse.fuse-overlayfs",
        "virtiofs",
        "apfs",
        "ntfs3",
    ],
)
def test_disks_and_containers_are_not(tmp_path: Path, mount: Mount, kind: str) -> None:
    mount(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataExporter("run", tmp_path).close()


def test_a_warning_that_is_an_error_leaves_no_folder(tmp_path: Path, mount: Mount) -> None:
    mount("nfs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NetworkFileSystemWarning):
            DataExporter("run", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_does_not_say_is_taken_for_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(all: bool) -> None:  # noqa: ARG001
        raise OSError("no /proc here")

    monkeypatch.setattr(psutil, "disk_partitions", refuse)
    DataExporter("run", tmp_path).close()
    assert filesystem.mount_of(tmp_path) is None


@needs_mount
def test_real_mounts_are_found(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "m", "1m") as place:
        assert filesystem.mount_of(place / "not" / "yet") == (str(place), "tmpfs")
    assert filesystem.mount_of(tmp_path) != (str(place), "tmpfs")
