"""The dashboard in a browser: it shows what was logged, follows, goes back, and survives the writer."""

from __future__ import annotations

import http.client
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recorder import DataExporter
from tests.dashboard.browsing import CHROMIUM, FLAGS, Shown, served, until, writing
from tests.live.writer import call
from tests.live.writer import main as record

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("panel")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1200})
    opened.elsewhere, opened.errors = [], []
    opened.on("request", lambda one: opened.elsewhere.append(one.url) if _is_elsewhere(one.url) else None)
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    yield opened
    opened.close()
    assert opened.elsewhere == []
    assert opened.errors == []


def _is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def _spikes(episode: int, start: int, stop: int) -> set[tuple[int, int]]:
    steps = range(start, stop)
    return {(t, n) for t in steps for n in np.flatnonzero(call(episode, t)["spikes"]).tolist()}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def server(library: Path) -> Iterator[str]:
    with served(library) as url:
        yield url


def _recorded(folder: Path, episodes: int, steps: int) -> str:
    """A recording in a folder of its own; the address that chooses it."""
    record(str(folder), episodes, steps, 0.0)
    return _asked(folder)


def _asked(folder: Path) -> str:
    (file,) = folder.glob("*/experiment_data.h5")
    return f"?recording={folder.name}/{file.parent.name}"


def _rows(found: list[dict[str, list[Any]]]) -> bool:
    """Whether a plot's lines have come: the page gets one plot after the other."""
    return bool(found) and all(len(one["y"]) for one in found[:2])


def test_a_finished_recording(library: Path, server: str, page: Any) -> None:
    page.goto(server + _recorded(library / "finished", 3, 400))
    shown = Shown(page)
    assert until(shown.spikes, len) == _spikes(2, 0, 400)
    assert until(shown.state, bool) == "completed"
    rows = page.get_by_role("row").filter(has_text="finished").filter(has_text="completed")
    assert until(rows.count, bool) == 1
    v, *_ = until(lambda: shown.drawn("traces"), _rows)
    assert v["y"] == [2e6 + step for step in range(0, 400, 5)]
    drawn = until(lambda: shown.drawn("behaviour"), _rows)
    assert [one["y"][:2] for one in drawn[:2]] == [[2.0, 2.0], [0.25, 1.25]]
    assert until(lambda: shown.drawn("events"), len)[0]["kind"] == ["end"]
    # Back in time, and in another episode.
    shown.look_at(100, 150)
    assert until(shown.spikes, lambda found: len(found) < 400) == _spikes(2, 100, 150)
    page.get_by_label("episode", exact=True).fill("1")
    page.get_by_label("episode", exact=True).press("Enter")
    v, *_ = until(lambda: shown.drawn("traces"), lambda found: _rows(found) and found[0]["y"][0] < 2e6)
    assert v["y"][:2] == [1e6, 1e6 + 5]
    page.get_by_label("neurons").fill("3, 39, 40")
    page.get_by_label("neurons").press("Enter")
    until(lambda: [len(one["y"]) for one in shown.drawn("traces")], lambda rows: rows[:3] == [80, 80, 0])


def test_a_running_one_and_its_death(library: Path, server: str, page: Any) -> None:
    folder = library / "running"
    with writing(folder, 1, 1_000_000, 0.001) as writer:
        until(lambda: list(folder.glob("*/experiment_data.h5")), len)
        page.goto(server + _asked(folder))
        shown = Shown(page)
        page.get_by_label("timesteps shown").select_option("1,000")
        first = max(until(shown.spikes, len))[0]
        assert until(shown.state, bool) == "running"
        newest = until(shown.spikes, lambda found: found and max(found)[0] > first + 100)
        start, last = min(newest)[0], max(newest)[0]
        assert newest == {spike for spike in _spikes(0, start, last + 1) if spike <= max(newest)}
        page.get_by_role("button", name="Pause").click()
        until(lambda: page.get_by_text("it is recorded all the same").count(), bool)
        shown.look_at(10, 60)
        seen = until(shown.spikes, lambda found: found and max(found)[0] < 60)
        assert seen == _spikes(0, 10, 60)
        page.get_by_role("button", name="Follow").click()
        until(shown.spikes, lambda found: found and max(found)[0] > last)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert until(shown.state, lambda state: state != "running") in ("killed", "recovered")
    until(lambda: page.get_by_text("its program").count(), bool)
    assert until(shown.spikes, len)
    # The page lives on: another recording can be chosen.
    _recorded(library / "later", 1, 50)
    page.get_by_role("row").filter(has_text="later").click()
    assert until(shown.spikes, lambda found: found and max(found)[0] < 50) == _spikes(0, 0, 50)


def test_a_paused_page_stays_where_it_is(library: Path, server: str, page: Any) -> None:
    with DataExporter("run", library / "paused", neural_sampling_rate=5, validate_data=False) as exporter:
        exporter.start_episode()
        for step in range(100):
            exporter.log(**call(0, step))
        page.goto(server + _asked(library / "paused"))
        shown = Shown(page)
        assert until(shown.spikes, len) == _spikes(0, 0, 100)
        page.get_by_role("button", name="Pause").click()
        until(lambda: page.get_by_text("it is recorded all the same").count(), bool)
        exporter.end_episode()
        exporter.start_episode()
        exporter.flush()
        until(lambda: page.get_by_text("2 episodes").count(), bool)
        assert shown.spikes() == _spikes(0, 0, 100)
        # Of an episode without a row nothing is shown, and nothing of another one.
        page.get_by_role("button", name="Follow").click()
        hidden = "() => !Bokeh.documents[0].get_model_by_name('raster').visible"
        until(lambda: page.evaluate(hidden), bool)
        exporter.log(**call(1, 0))
        until(lambda: page.evaluate(hidden), lambda one: not one)
        assert until(shown.spikes, lambda found: len(found) < 20) == _spikes(1, 0, 1)


def test_many_neurons_become_an_image(library: Path, server: str, page: Any) -> None:
    rng = np.random.default_rng(0)
    with DataExporter("many", library / "many", validate_data=False) as exporter:
        exporter.start_episode()
        for step in range(300):
            exporter.log(step, {"v": rng.normal(size=20_000)}, rng.random(20_000) < 0.02)
        exporter.end_episode()
    page.goto(server + _asked(library / "many"))
    shown = Shown(page)
    line, *_ = until(lambda: shown.drawn("firing"), lambda found: found and found[0]["mean"])
    rate = line["mean"]
    assert len(rate) == 300
    assert np.allclose(rate, 0.02, atol=0.005)
    assert shown.spikes() == set()
    size = """() => Bokeh.documents[0].get_model_by_name("raster").renderers.find(
        (one) => one.glyph.type === "Image").data_source.data.image[0].shape"""
    assert page.evaluate(size) == [200, 300]
    # Zoomed in, each spike.
    shown.look_at(10, 20)
    assert len(until(shown.spikes, len)) == pytest.approx(20_000 * 0.02 * 10, rel=0.1)


def test_other_machines_need_the_token(library: Path, page: Any) -> None:
    asked = _recorded(library / "guarded", 1, 50)
    with served(library, "--address", "0.0.0.0") as url:
        plain, _, token = url.partition("?token=")
        assert len(token) >= 32
        for wrong in (plain, plain + "?token=wrong"):
            with urllib.request.urlopen(wrong, timeout=20) as answer:
                assert "/login" in answer.url
                assert b"needs the token" in answer.read()
        assert _connects(plain, "http://evil.example") == 403
        page.goto(plain)
        page.get_by_label("token").fill("guess")
        page.get_by_role("button").click()
        until(lambda: page.get_by_text("That is not the token.").count(), bool)
        page.goto(f"{plain}{asked}&token={token}")
        assert until(Shown(page).spikes, len) == _spikes(0, 0, 50)
        page.goto(plain + asked)  # it is remembered
        assert until(Shown(page).spikes, len) == _spikes(0, 0, 50)


def test_no_other_site_connects(server: str) -> None:
    assert server.startswith("http://127.0.0.1:")
    assert _connects(server, "http://evil.example") == 403


def _connects(url: str, origin: str) -> int:
    """The status with which a server answers a page of another origin that asks for its data."""
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=20)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Origin": origin,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "bokeh, token",
    }
    try:
        connection.request("GET", "/ws", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
