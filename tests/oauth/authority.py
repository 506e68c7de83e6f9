"""An authorization server that is not ours, in a process of its own, and a user who signs in at it with a browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin

import httpx
from support import packages

HERE = Path(__file__).parent
USER = "walrus"
_hidden = re.compile(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"')
_action = re.compile(r'<form[^>]*action="([^"]+)"')


def installed() -> Path:
    """The folder of its packages. Skips the test where there is no way to install them."""
    return packages.installed(HERE, "the authorization server")


class AuthorizationServer:
    """Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._command = [shutil.which("node") or "node", str(HERE / "server.mjs"), str(folder)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the authorization server did not start"
        self._direct = httpx.Client(trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._direct.close()
        self._process.terminate()
        self._process.wait(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def endpoints(self) -> str:
        """The keys of an `oauth` in YAML, as a flow map without its braces."""
        return (
            f"authorization_endpoint: {self.url}/auth, token_endpoint: {self.url}/token, "
            f"device_authorization_endpoint: {self.url}/device/auth, "
            f"revocation_endpoint: {self.url}/token/revocation, scopes: [openid, offline_access, email], "
            "authorization_parameters: {prompt: consent}"
        )

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The requests for tokens, and how they ended."""
        return self._direct.get(f"{self.url}/seen").json()

    def count(self, grant: str) -> int:
        """The requests of one grant type."""
        return sum(one["grant"] == grant for one in self.seen)

    def knows(self, token: str) -> bool:
        """Whether an access token is good."""
        return self._direct.get(f"{self.url}/me", headers={"authorization": f"Bearer {token}"}).status_code == 200

    def spoil(self, token: str) -> None:
        """Ends an access token before its time, and nothing else of the sign-in."""
        self._direct.get(f"{self.url}/spoil", params={"token": token})
        assert not self.knows(token)

    def sign_in(self, url: str) -> str:
        """A user who follows the address, logs in and consents: the address that the browser ends at."""
        with httpx.Client(trust_env=False) as browser:
            return self._through(browser, browser.get(url))

    def refuse(self, url: str) -> str:
        """A user who follows the address and does not consent."""
        with httpx.Client(trust_env=False) as browser:
            page = self._landed(browser, browser.get(url))
            assert not isinstance(page, str)
            place = re.search(r'href="([^"]+/abort)"', page.text)
            assert place is not None
            ended = self._landed(browser, browser.get(urljoin(self.url, place[1])))
            assert isinstance(ended, str)
            return ended

    def approve(self, verification: str) -> None:
        """A user who confirms a device code at the address that holds it, logs in and consents."""
        with httpx.Client(trust_env=False) as browser:
            page = browser.get(verification)
            page = browser.post(f"{self.url}/device", data=_fields(page))
            page = browser.post(f"{self.url}/device", data={**_fields(page), "confirm": "yes"})
            self._through(browser, page)

    def deny(self, verification: str) -> None:
        """A user who does not want what a device code asks for."""
        with httpx.Client(trust_env=False) as browser:
            page = browser.post(f"{self.url}/device", data=_fields(browser.get(verification)))
            browser.post(f"{self.url}/device", data={**_fields(page), "abort": "yes"})

    def _through(self, browser: httpx.Client, page: httpx.Response) -> str:
        landed = self._landed(browser, page)
        while not isinstance(landed, str):
            action = _action.search(landed.text)
            if action is None:
                return ""
            fields = {**_fields(landed), "login": USER, "password": "any"}
            landed = self._landed(browser, browser.post(urljoin(self.url, action[1]), data=fields))
        return landed

    def _landed(self, browser: httpx.Client, page: httpx.Response) -> httpx.Response | str:
        """The page behind all redirects; an address that is not the server's is where the browser ends."""
        while page.is_redirect:
            place = urljoin(self.url, page.headers["location"])
            if not place.startswith(self.url):
                return place
            page = browser.get(place)
        return page


def _fields(page: httpx.Response) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in _hidden.findall(page.text)}
