"""Who may look at a dashboard that other machines can reach: whoever has the token, as with Jupyter's."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

_FORM = """<!doctype html><meta charset="utf-8"><title>flightrec</title>
<body style="font-family: system-ui, sans-serif; margin: 4em auto; width: 22em">
<h1>flightrec</h1><p>{0}</p>
<form method="post"><input name="token" type="password" autofocus aria-label="token">
<button>Enter</button></form>"""


def new_token() -> str:
    """One that cannot be guessed."""
    return secrets.token_urlsafe(24)


def is_local(address: str) -> bool:
    """Whether nobody but this machine can connect to a server that listens there."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class TokenAuth(AuthProvider):
    """Lets in whoever gives the token, in the address or in the form at ``/login``, and remembers it."""

    def __init__(self, token: str, cookie: str) -> None:
        self._token, self._cookie = token, cookie
        # Not the token itself: other servers of this machine are sent the same cookies.
        self._proof = hmac.new(token.encode(), b"flightrec dashboard", "sha256").hexdigest()
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Who a request is from: everybody who knows the token is the same."""
        return self._user

    @property
    def login_url(self) -> str:
        """Where others are sent."""
        return "/login"

    @property
    def login_handler(self) -> type[RequestHandler]:
        """The form."""
        auth = self

        class Login(RequestHandler):
            def get(self) -> None:
                """Ask."""
                self.write(_FORM.format("This dashboard needs the token that its server printed."))

            def post(self) -> None:
                """Compare."""
                if auth.admits(self, self.get_body_argument("token", "")):
                    self.redirect("./")
                    return
                self.set_status(403)
                self.write(_FORM.format("That is not the token."))

        return Login

    def admits(self, handler: RequestHandler, given: str) -> bool:
        """Whether that is the token; whoever gave it need not again."""
        if not _equal(given, self._token):
            return False
        handler.set_cookie(self._cookie, self._proof, httponly=True, samesite="Strict")
        return True

    def _user(self, handler: RequestHandler) -> str | None:
        known = _equal(handler.get_cookie(self._cookie) or "", self._proof)
        return "reader" if known or self.admits(handler, handler.get_query_argument("token", "")) else None


def _equal(given: str, wanted: str) -> bool:
    return bool(given) and hmac.compare_digest(given.encode(), wanted.encode())
