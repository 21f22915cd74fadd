"""Serving the page: to this machine alone, or to whoever has the token."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import panel as pn

from loaders.dashboard.library import Library
from loaders.dashboard.page import Page
from loaders.dashboard.token import TokenAuth, is_local, new_token

LOCAL = "127.0.0.1"
PORT = 5006


@dataclass(frozen=True)
class Serving:
    """A dashboard that is being served.

    Attributes
    ----------
    server : panel.io.server.Server
    port : int
    token : str or None
        What browsers have to know.
    url : str
        Where it is, with the token.
    """

    server: Any
    port: int
    token: str | None
    url: str

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self.server.start()
        self.server.io_loop.start()


def serve(
    path: str | os.PathLike[str], *, port: int = PORT, address: str = LOCAL, token: str | None = None
) -> Serving:
    """A dashboard of a recording, or of all below a folder, running or not; :meth:`Serving.wait` serves it.

    Parameters
    ----------
    path : str or os.PathLike
    port : int, default 5006
        0 takes any that is free.
    address : str, default "127.0.0.1"
        Where to listen: only this machine can connect to the default.
    token : str, optional
        What browsers have to know; without one, one is made up where other machines can connect.

    Raises
    ------
    FileNotFoundError
        There is no such path.
    OSError
        The port is taken.
    ValueError
        An empty token, which would let everybody in, an address of IPv6, or no number of a port.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is no number of a port: these are 0 to 65535")
    if token == "":
        raise ValueError("the token is empty, so it would let everybody in")
    if ":" in address:
        raise ValueError(f"{address} is an address of IPv6: give a name, or one of IPv4")
    library = Library(Path(path))
    if token is None and not is_local(address):
        token = new_token()
    options: dict[str, Any] = {}
    if token is not None:
        options["auth_provider"] = TokenAuth(token, f"flightrec-{port}")
        # The token keeps strangers out, under whatever name browsers know this machine.
        options["websocket_origin"] = "*"
        logging.getLogger("bokeh.server.util").setLevel(logging.ERROR)
    elif port:
        options["websocket_origin"] = [f"{name}:{port}" for name in (LOCAL, "localhost", address)]
    server = pn.serve(
        {"/": lambda: Page(library, _asked()).layout()},
        port=port,
        address=address,
        title="flightrec",
        show=False,
        start=False,
        verbose=False,
        **options,
    )
    port = int(server.port)
    name = LOCAL if address in ("0.0.0.0", "") else address
    url = f"http://{name}:{port}/" + ("" if token is None else f"?token={quote(token)}")
    return Serving(server, port, token, url)


def _asked() -> str | None:
    """The recording that the page's address names."""
    named = (pn.state.session_args or {}).get("recording", [])
    return named[0].decode(errors="replace") if named else None
