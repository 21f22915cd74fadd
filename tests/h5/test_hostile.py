"""Files made to harm their reader: every loader and verify name the harm, with little memory and time.

Each file is read whole, by every public method, in a process of its own (:mod:`tests.fuzz`): an attempt to
allocate what no budget holds, a raw traceback, a crash or a hang fails the test.
"""

# ruff: noqa: E501 - the table of cases has one line each
from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recorder.h5.verify import verify
from tests.fuzz.probe import Answers, probe
from tests.fuzz.sandbox import sandboxed
from tests.loaders import synthetic

BEHAVIOR = "episodes/episode_0000/behavior"
TREE = "checkpoints/point"
SECRET = b"no business of yours"
Harm = Callable[[h5py.File, Path], None]


def harmless(path: Path) -> h5py.File:
    """A small recording with a stream, spikes, rewards and a checkpoint."""
    file = synthetic.recording(path)
    for name in ("metadata", "config", "runtime", "network_structure", TREE):
        file.create_group(name)
    episode = synthetic.episode(file)
    synthetic.timed(episode["behavior"], range(50), x=np.arange(50))
    synthetic.spikes(episode["spikes"], range(50), np.eye(50, dtype=bool)[:, :10])
    synthetic.rewards(episode["rewards"], range(50), [0.0] * 50)
    synthetic.column(file[TREE], "w", np.arange(20.0))
    return file


def read(path: Path) -> tuple[Answers, list[str]]:
    """Every reader's answer and verify's findings, from a process with a budget."""
    outcome, found = sandboxed(lambda: (probe(path), list(map(str, verify(path)))), path.with_name("output"))
    assert outcome == "done", found
    answers: Answers = found[0]
    for name, (kind, text) in answers.items():
        assert kind in ("value", "error"), f"{name}: {text}"
    return answers, found[1]


def _replace(file: h5py.File, path: str) -> tuple[h5py.Group, str]:
    group, _, name = path.rpartition("/")
    if path in file:
        del file[path]
    return file[group or "/"], name


def _claim(path: str, shape: tuple[int, ...], **facts: object) -> Harm:
    def make(file: h5py.File, _: Path) -> None:
        group, name = _replace(file, path)
        group.create_dataset(name, shape, "f8", **facts)
        if path.startswith(BEHAVIOR):
            group[name].attrs["timesteps"] = "timesteps"

    return make


def _chunk(path: str, payload: Callable[[], bytes], elements: int = 50) -> Harm:
    """One chunk of int64, of these stored bytes."""

    def make(file: h5py.File, _: Path) -> None:
        group, name = _replace(file, path)
        dataset = group.create_dataset(name, (elements,), "i8", chunks=(elements,), compression="gzip")
        if path.startswith(BEHAVIOR):
            dataset.attrs["timesteps"] = "timesteps"
        dataset.id.write_direct_chunk((0,), payload())

    return make


def bomb() -> bytes:
    """A megabyte of deflate that is a gigabyte of zeros."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\x01" + block * (1 << 10) + b"\x03\x00" + b"\0\0\0\1"


def _honest_bomb(file: h5py.File, _: Path) -> None:
    group, name = _replace(file, f"{TREE}/bomb")
    dataset = group.create_dataset(name, (1 << 27,), "i8", chunks=(1 << 27,), compression="gzip")
    dataset.id.write_direct_chunk((0,), bomb())


def _external_storage(path: str) -> Harm:
    def make(file: h5py.File, folder: Path) -> None:
        group, name = _replace(file, path)
        group.create_dataset(name, (20,), "u1", external=[(str(folder / "secret"), 0, 20)])

    return make


def _virtual(path: str, source: str) -> Harm:
    def make(file: h5py.File, folder: Path) -> None:
        group, name = _replace(file, path)
        layout = h5py.VirtualLayout((20,), "u1")
        layout[:] = h5py.VirtualSource(source.format(folder), "x", (20,))
        group.create_virtual_dataset(name, layout)

    return make


def _link(path: str, link: Callable[[Path], object]) -> Harm:
    def make(file: h5py.File, folder: Path) -> None:
        group, name = _replace(file, path)
        group[name] = link(folder)

    return make


def _cycle(file: h5py.File, _: Path) -> None:
    file[TREE]["again"] = file[TREE]
    file[BEHAVIOR]["above"] = file["episodes"]
    file["checkpoints/root"] = file["/"]


def _maze(file: h5py.File, _: Path) -> None:
    """No cycle, and 8 to the 30th paths."""
    group = file[TREE]
    for _level in range(30):
        below = group.create_group("0")
        for number in range(1, 8):
            group[str(number)] = below
        group = below


def _copies(file: h5py.File, _: Path) -> None:
    """A thousand names of one dataset that is large when it is read."""
    zeros = file[TREE].create_dataset("0", data=np.zeros(4 << 20), chunks=(1 << 17,), compression="gzip")
    for number in range(1, 1000):
        file[TREE][str(number)] = zeros


def _deep(file: h5py.File, _: Path) -> None:
    group = file[TREE]
    for _level in range(2000):
        group = group.create_group("d")


def _many_attributes(file: h5py.File, _: Path) -> None:
    for number in range(5000):
        file[BEHAVIOR].attrs[f"a{number}"] = number


def _many_dimensions(file: h5py.File, _: Path) -> None:
    group, name = _replace(file, f"{TREE}/wide")
    group.create_dataset(name, (2,) * 32, "i8", chunks=(1,) * 32)


def _many_names(file: h5py.File, _: Path) -> None:
    for number in range(100):
        file.create_group(f"episodes/episode_{10**8 + number}")
    file.create_group("episodes/episode_" + "9" * 5000)


def _texts(where: str) -> Harm:
    """Four thousand times the same megabyte of text, in its heap once."""

    def make(file: h5py.File, _: Path) -> None:
        text = h5py.string_dtype()
        if where == "attribute":
            words = np.array(["A" * (1 << 20)] + [""] * 3000, object)
            file["episodes/episode_0000"].attrs.create("words", words, dtype=text)
        else:
            file[TREE].create_dataset("words", data=["A" * (1 << 20)] + [""] * 3000, dtype=text)

    return make


def _repeat_the_first_text(path: Path) -> None:
    """Make all references of an array of texts its first one; without HDF5, which cannot say that."""
    data = bytearray(path.read_bytes())
    place = data.find((1 << 20).to_bytes(4, "little"))
    while data[(heap := int.from_bytes(data[place + 4 : place + 12], "little")) : heap + 4] != b"GCOL":
        place = data.find((1 << 20).to_bytes(4, "little"), place + 1)
        assert place >= 0, "no array of texts"
    data[place : place + 16 * 3001] = data[place : place + 16] * 3001
    path.write_bytes(data)


def _compound(fields: int, size: int) -> Harm:
    def make(file: h5py.File, _: Path) -> None:
        group, name = _replace(file, f"{TREE}/compound")
        kind = h5py.h5t.create(h5py.h5t.COMPOUND, size)
        for number in range(fields):
            kind.insert(f"f{number}".encode(), number, h5py.h5t.NATIVE_INT8)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(group.id, name.encode(), kind, space)

    return make


def _nested_compound(file: h5py.File, _: Path) -> None:
    group, name = _replace(file, f"{TREE}/compound")
    kind: h5py.h5t.TypeID = h5py.h5t.NATIVE_INT8
    for _level in range(500):
        outer = h5py.h5t.create(h5py.h5t.COMPOUND, kind.get_size() + 1)
        outer.insert(b"in", 0, kind)
        kind = outer
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple((4,)))


def _references(file: h5py.File, _: Path) -> None:
    group, name = _replace(file, f"{TREE}/references")
    group.create_dataset(name, data=[file.ref, file[BEHAVIOR].ref], dtype=h5py.ref_dtype)


def _reference_attribute(file: h5py.File, _: Path) -> None:
    file[TREE].attrs["reference"] = file[BEHAVIOR].ref


def _region(file: h5py.File, _: Path) -> None:
    group, name = _replace(file, f"{BEHAVIOR}/x")
    group.create_dataset(
        name, data=[file[f"{BEHAVIOR}/timesteps"].regionref[:5]] * 50, dtype=h5py.regionref_dtype
    )


def _sequences_in_sequences(file: h5py.File, _: Path) -> None:
    kind = h5py.h5t.vlen_create(h5py.h5t.vlen_create(h5py.h5t.NATIVE_INT64))
    h5py.h5d.create(file[TREE].id, b"lists", kind, h5py.h5s.create_simple((4,)))


def _many_filters(file: h5py.File, _: Path) -> None:
    """Deflated twice: a thousandfold of a thousandfold."""
    group, name = _replace(file, f"{TREE}/twice")
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1 << 17,))
    plist.set_deflate(9)
    plist.set_deflate(9)
    space = h5py.h5s.create_simple((1 << 17,))
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_INT64, space, plist)
    dataset.write_direct_chunk((0,), zlib.compress(bomb(), 9))


def _dense_matrix(file: h5py.File, _: Path) -> None:
    weights = file.create_group("network_structure/initial_weights")
    weights.attrs.update({"format": "csr", "shape": [2, 1 << 40], "given": "dense"})
    synthetic.column(weights, "indptr", np.array([0, 1, 1]))
    synthetic.column(weights, "indices", np.array([0]))
    synthetic.column(weights, "data", np.array([1.0]))


def _neurons(count: int) -> Harm:
    def make(file: h5py.File, _: Path) -> None:
        file["episodes/episode_0000/spikes"].attrs["n_neurons"] = count

    return make


def _say(path: str, **facts: object) -> Harm:
    """Attributes of timesteps that are those of 50 steps from 0 by 1, in eight chunks."""
    return lambda file, _: file[path].attrs.update(facts)


def _claim_and_say(count: int, chunk: int, **facts: object) -> Harm:
    """Rows of which the first and the last chunk were stored, all of whose timesteps can be computed."""

    def make(file: h5py.File, _: Path) -> None:
        for path in (f"{BEHAVIOR}/timesteps", f"{BEHAVIOR}/x"):
            group, name = _replace(file, path)
            group.create_dataset(name, (count,), "i8", chunks=(chunk,), compression="gzip")
        group["x"].attrs["timesteps"] = "timesteps"
        for first in (0, count - chunk):
            data = np.arange(first, first + chunk).tobytes()
            group["timesteps"].id.write_direct_chunk((first,), zlib.compress(data, 1))
        group["timesteps"].attrs.update(facts)

    return make


HUGE = 1 << 39
"""So many float64 are 4 TiB."""
CASES: dict[str, tuple[Harm, str, str]] = {
    "a stream claims 4 TiB": (
        _claim(f"{BEHAVIOR}/x", (HUGE,), chunks=(8,), compression="gzip"),
        "rows, but 50 timesteps",
        "/behavior/x: 68,719,476,736 of 68,719,476,736 chunks are missing",
    ),
    "timesteps claim 4 TiB": (
        _claim(f"{BEHAVIOR}/timesteps", (HUGE,), chunks=(8,), compression="gzip"),
        "behavior/timesteps",
        "/behavior/timesteps: 68,719",
    ),
    "unfiltered chunks claim 4 TiB": (_claim(f"{TREE}/x", (HUGE,), chunks=(8,)), "claims 4,398,046,", "/x: 68,719"),
    "data in one piece claim 4 TiB": (_claim(f"{TREE}/x", (HUGE,)), "claims 4,398,046,", "/x: has a shape"),
    "counters claim 4 TiB": (
        _claim("episodes/episode_0000/committed", (HUGE,), chunks=(8,)),
        "committed: claims 4,398,046,",
        "/committed: 68,719",
    ),
    "intervals claim 4 TiB": (
        _claim("episodes/episode_0000/spikes/intervals", (HUGE,), chunks=(8,), compression="gzip"),
        "spikes/intervals",
        "/spikes/intervals: 68,719",
    ),
    "a config claims 4 TiB": (_claim("config/json", (HUGE,), chunks=(8,)), "claims 4,398,046,", "/config/json: 68,"),
    "a chunk of a stream is a bomb": (_chunk(f"{BEHAVIOR}/x", bomb), "inflates to more than 400", "inflates to more"),
    "a chunk of a tree is a bomb": (_chunk(f"{TREE}/x", bomb), "inflates to more than 400", "inflates to more"),
    "a chunk declares to be a bomb": (_honest_bomb, "chunks claim 1,073,741,824", "chunks claim 1,073,741,824"),
    "a chunk deflated twice": (_many_filters, "none that a recorder combines", "none that a recorder combines"),
    "a chunk of a stream is too short": (
        _chunk(f"{BEHAVIOR}/x", lambda: zlib.compress(bytes(392))),
        "holds 392 of 400",
        "holds 392 of 400",
    ),
    "a chunk of a tree is too short": (
        _chunk(f"{TREE}/x", lambda: zlib.compress(bytes(8))),
        "holds 8 of 400",
        "holds 8 of 400",
    ),
    "a chunk that ends early": (
        _chunk(f"{TREE}/x", lambda: zlib.compress(bytes(range(256)) * 2)[:-30]),
        "of 400 bytes",
        "of 400 bytes",
    ),
    "external storage of a stream": (_external_storage(f"{BEHAVIOR}/x"), "lie outside", "x: cannot be read: its bytes lie outside"),
    "external storage of a tree": (_external_storage(f"{TREE}/x"), "lie outside", "x: cannot be read: its bytes lie outside"),
    "external storage of counters": (
        _external_storage("episodes/episode_0000/committed"),
        "lie outside",
        "committed: its bytes lie outside",
    ),
    "an external link to a dataset": (
        _link(f"{BEHAVIOR}/x", lambda folder: h5py.ExternalLink(str(folder / "other.h5"), "x")),
        "a link to another place",
        "/x: is a link",
    ),
    "an external link to a group": (
        _link("network_structure/neurons", lambda folder: h5py.ExternalLink(str(folder / "other.h5"), "/")),
        "a link to another place",
        "/neurons: is a link",
    ),
    "an external link as the episodes": (
        _link("episodes", lambda folder: h5py.ExternalLink(str(folder / "other.h5"), "/")),
        "a link to another place",
        "/episodes: is a link",
    ),
    "a virtual source elsewhere": (_virtual(f"{BEHAVIOR}/x", "{}/other.h5"), "lie outside", "x: cannot be read: its bytes lie outside"),
    "a virtual source above the folder": (
        _virtual(f"{TREE}/x", "../other.h5"),
        "lie outside",
        "x: cannot be read: its bytes lie outside",
    ),
    "a soft link to its own group": (_link(f"{TREE}/x", lambda _: h5py.SoftLink(f"/{TREE}")), "a link to", "is a link"),
    "a soft link to itself": (_link(f"{BEHAVIOR}/x", lambda _: h5py.SoftLink(f"/{BEHAVIOR}/x")), "a link to", "is a link"),
    "groups that contain each other": (_cycle, "stands in two places", "stands in two places"),
    "more paths than atoms": (_maze, "stands in two places", "stands in two places"),
    "a thousand names of one dataset": (_copies, "stands in two places", "stands in two places"),
    "groups without end": (_deep, "nested more than 64 levels", "nested more than 64 levels"),
    "five thousand attributes": (_many_attributes, "", ""),
    "thirty-two dimensions": (_many_dimensions, "", "chunks are missing"),
    "an episode with a number of 5000 digits": (_many_names, "", "has no group"),
    "a compound of two gigabytes": (_compound(2, (1 << 31) - 8), "of which 0 are stored", "has a shape but no data"),
    "a compound of two thousand fields": (_compound(2000, 2000), "a type that no recording", "a type that no recording"),
    "compounds within compounds": (_nested_compound, "a type that no recording", "a type that no recording"),
    "object references": (_references, "a type that no recording", "a type that no recording"),
    "an object reference as attribute": (_reference_attribute, "a type that no recording", "a type that no recording"),
    "region references": (_region, "a type that no recording", "a type that no recording"),
    "sequences within sequences": (_sequences_in_sequences, "a type that no recording", "a type that no recording"),
    "a matrix of 16 TiB, all but one entry zero": (_dense_matrix, "claims 17,592,186,04", ""),
    "computed timesteps claim 4 TiB": (_claim_and_say(HUGE, 1 << 22, first=0, step=1), "of which most were never stored", "chunks are missing"),
    "computed timesteps claim 1 GiB": (_claim_and_say(1 << 27, 1 << 16, first=0, step=1), "of which most were never stored", "chunks are missing"),
    "sorted timesteps claim 4 TiB": (_claim_and_say(HUGE, 1 << 22, sorted=True), "of which most were never stored", "chunks are missing"),
    "timesteps that count in text": (_say(f"{BEHAVIOR}/timesteps", first="0", step="1"), "behavior/timesteps: its attributes", "behavior/timesteps: its attributes"),
    "timesteps that count in arrays": (_say("episodes/episode_0000/spikes/timesteps", first=0, step=np.ones(5000)), "spikes/timesteps: its attributes", "spikes/timesteps: its attributes"),
    "timesteps that count beyond 64 bits": (_say(f"{BEHAVIOR}/timesteps", first=0, step=1 << 62), "do not fit 64 bits", "do not fit 64 bits"),
    "timesteps that count from elsewhere": (_say(f"{BEHAVIOR}/timesteps", first=1, step=1), "do not", "behavior/timesteps: says that its timesteps count from 1 by 1, and they do not"),
    "reward timesteps that count otherwise": (_say("episodes/episode_0000/rewards/timesteps", first=0, step=2), "rows 0 to 6 do not", "count from 0 by 2, and they do not"),
    "timesteps sorted by a number": (_say(f"{BEHAVIOR}/timesteps", sorted=7), "'sorted' is 7", "'sorted' is 7"),
    "2 to the 62 neurons": (_neurons(1 << 62), "n_neurons is", ""),
    "2 to the 39 neurons": (_neurons(1 << 39), "more than the memory", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_harm_is_named_and_not_done(tmp_path: Path, case: str) -> None:
    harm, loaders_say, verify_says = CASES[case]
    (tmp_path / "secret").write_bytes(SECRET)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.frombuffer(SECRET, np.uint8)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "experiment_data.h5"
    with harmless(path) as file:
        harm(file, tmp_path)
    answers, findings = read(path)
    errors = [text for kind, text in answers.values() if kind == "error"]
    assert any(loaders_say in text for text in errors), (errors, findings)
    assert any(verify_says in text for text in findings) or not verify_says, (findings, errors)


def test_the_recording_they_are_made_of_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "experiment_data.h5"
    harmless(path).close()
    answers, findings = read(path)
    assert findings == []
    assert {name for name, (kind, _) in answers.items() if kind == "error"} == {"0/get_weight_matrix"}


@pytest.mark.parametrize("where", ["attribute", "dataset"])
def test_texts_that_multiply_in_memory_are_refused(tmp_path: Path, where: str) -> None:
    path = tmp_path / "experiment_data.h5"
    # Attributes of the newest format have a checksum.
    with harmless(path) if where == "dataset" else h5py.File(path, "w", libver="earliest") as file:
        file.require_group("episodes/episode_0000")
        _texts(where)(file, tmp_path)
    _repeat_the_first_text(path)
    answers, findings = read(path)
    assert any("text" in text for kind, text in answers.values() if kind == "error"), answers
    assert any("text" in text for text in findings), findings


@pytest.mark.parametrize("name", [b"a/b", b"a\0b", b"\xff\xfeb", b"\x1b[b"])
def test_names_that_hdf5_does_not_allow(tmp_path: Path, name: bytes) -> None:
    """Written into a file of the oldest format, whose names have no checksum."""
    path = tmp_path / "experiment_data.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_group("episodes/episode_0000/behavior/QQQ").attrs["x"] = 1
        file.create_group("checkpoints/QQQ").create_dataset("QQQ", data=np.arange(3))
        file.create_dataset("network_structure/neurons/QQQ", data=np.arange(3))
    path.write_bytes(path.read_bytes().replace(b"QQQ", name))
    answers, findings = read(path)
    assert any(kind == "error" for kind, _ in answers.values()) or b"/" not in name
    for text in findings:
        assert text.isprintable()
        text.encode()
