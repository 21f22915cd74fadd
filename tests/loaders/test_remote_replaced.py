"""A file by URL that is replaced by one of its size while it is read: rows of two files are never mixed."""

from __future__ import annotations

import http.server
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.errors import ReadError, ReplacedError
from recorder.h5.reading import remote

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath")
pytestmark = pytest.mark.filterwarnings("ignore:UPath 'telling'")

STEPS = 5000


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two recordings of one size, which differ in values alone."""
    found = []
    for value in (1.0, 2.0):
        folder = tmp_path_factory.mktemp("versions")
        with DataExporter("a", folder, neural_sampling_rate=1, compression=None, chunk_size=500) as exporter:
            exporter.start_episode()
            values = np.full((STEPS, 10), value)
            exporter.log_batch(np.arange(STEPS), neural_state={"v": values}, behavior={"x": values[:, 0]})
            exporter.end_episode()
        found.append(Path(exporter.h5_path).read_bytes())
    size = max(map(len, found))
    return found[0].ljust(size, b"\0"), found[1].ljust(size, b"\0")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 14)


class Site:
    """A web server with one file, and what it was asked for."""

    def __init__(self, headers: Callable[[bytes], dict[str, str]]) -> None:
        self.body, self.headers = b"", headers
        self.asked: list[str] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer("HEAD")

            def do_GET(self) -> None:
                self.answer("GET")

            def answer(self, method: str) -> None:
                site.asked.append(method)
                whole = body = site.body
                wanted = self.headers.get("Range")
                self.send_response(206 if wanted else 200)
                if wanted:
                    first, _, last = wanted.removeprefix("bytes=").partition("-")
                    body = whole[int(first) : int(last) + 1]
                    end = int(first) + len(body) - 1
                    self.send_header("Content-Range", f"bytes {first}-{end}/{len(whole)}")
                for name, value in site.headers(whole).items():
                    self.send_header(name, value)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if method == "GET":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/run.h5"


def _etag(body: bytes) -> dict[str, str]:
    return {"ETag": f'"{hash(body)}"'}


def _date(body: bytes) -> dict[str, str]:
    second = body.count(np.float64(2.0).tobytes()) > STEPS
    return {"Last-Modified": f"Sun, 06 Nov 1994 08:49:{30 + second} GMT"}


def _nothing(_: bytes) -> dict[str, str]:
    return {}


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    pytest.importorskip("aiohttp")
    made = Site(request.param)
    yield made
    made.server.shutdown()
    made.server.server_close()


def _values(loader: ExperimentLoader) -> Any:
    return loader.get_episode(0).stream("neural_states/v")


def _replaced(loader: ExperimentLoader, put: Callable[[], None]) -> None:
    """Read from the first file, and then what the second one would answer."""
    assert (_values(loader)[:10] == 1.0).all()
    travelling = pickle.dumps(loader)
    put()
    assert (_values(loader)[:10] == 1.0).all()  # has been fetched already
    for _ in range(2):  # and it stays so
        with pytest.raises(ReplacedError, match="has been replaced"):
            _values(loader)[:]
    with pytest.raises(ReplacedError):
        _values(pickle.loads(travelling))[:]


@pytest.mark.parametrize("site", [_etag, _date], indirect=True)
def test_answers_of_a_web_server_say_what_they_are_about(site: Site, versions: tuple[bytes, bytes]) -> None:
    first, second = versions
    site.body = first
    with ExperimentLoader(site.url) as loader:
        _replaced(loader, lambda: setattr(site, "body", second))
    site.asked.clear()
    with ExperimentLoader(site.url) as again:
        assert (_values(again)[:] == 2.0).all()
    # One to open it, and then nothing but blocks.
    assert site.asked == ["HEAD", *["GET"] * (len(site.asked) - 1)]


@pytest.mark.parametrize("site", [_nothing], indirect=True)
def test_a_web_server_that_says_nothing_tells_sizes(site: Site, versions: tuple[bytes, bytes]) -> None:
    site.body = versions[0]
    with ExperimentLoader(site.url) as loader:
        _replaced(loader, lambda: setattr(site, "body", versions[1] + b"\0"))


def test_a_file_of_this_machine_that_is_written_over_is_noticed(
    tmp_path: Path, versions: tuple[bytes, bytes]
) -> None:
    place = tmp_path / "run.h5"
    place.write_bytes(versions[0])
    with ExperimentLoader(place.as_uri()) as loader:
        assert (_values(loader)[:10] == 1.0).all()
        place.write_bytes(versions[1])
        with pytest.raises(ReplacedError):
            _values(loader)[:]
        place.unlink()
        with pytest.raises(FileNotFoundError):
            _values(loader)


class _Store(fsspec.spec.AbstractFileSystem):  # type: ignore[misc]
    """Tells in ``info`` alone what is there."""

    protocol = "telling"
    cachable = False
    body = b""
    asked: ClassVar[list[str]] = []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self.asked.append("info")
        if not self.body:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.body), "type": "file", "etag": str(hash(self.body))}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        options.pop("autocommit", None)
        return _File(self, path, mode, **options)


class _File(fsspec.spec.AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        _Store.asked.append("range")
        return _Store.body[start:end]


def test_any_other_store_is_asked_once_for_each_read_that_fetched_something(
    versions: tuple[bytes, bytes],
) -> None:
    fsspec.register_implementation("telling", _Store, clobber=True)
    _Store.body = versions[0]
    with ExperimentLoader("telling://run.h5") as loader:
        stream = _values(loader)
        _Store.asked.clear()
        assert (stream[:] == 1.0).all()
        assert _Store.asked.count("range") > 10
        assert _Store.asked[-1] == "info"
        assert _Store.asked.count("info") == 1
        _Store.asked.clear()
        assert stream[0].tolist() == [1.0] * 10
        assert _Store.asked == []
    with ExperimentLoader("telling://run.h5") as loader:
        _replaced(loader, lambda: setattr(_Store, "body", versions[1]))
    with ExperimentLoader("telling://run.h5") as loader:
        assert (_values(loader)[:10] == 2.0).all()
        found, _Store.body = _Store.body, b""
        try:
            with pytest.raises(ReadError, match="cannot be read") as told:
                loader.get_episode(0).stream("behavior/x")[:]
            assert not isinstance(told.value, ReplacedError)
        finally:
            _Store.body = found


def test_threads_of_one_loader_are_all_told(versions: tuple[bytes, bytes]) -> None:
    fsspec.register_implementation("telling", _Store, clobber=True)
    _Store.body = versions[0]
    with ExperimentLoader("telling://run.h5") as loader:
        stream = _values(loader)
        _Store.body = versions[1]
        told: list[BaseException] = []

        def read() -> None:
            try:
                stream[:]
            except ReplacedError as error:
                told.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 4
