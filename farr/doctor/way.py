"""The way to the coordinator from this machine: straight, or through the HTTP proxy that its environment names."""

from __future__ import annotations

import base64
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

PATIENCE = 5.0
"""Seconds for one step."""

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Variables that may name the proxy, the first that is set; the network library reads these three."""

EXEMPT = ("no_grpc_proxy", "no_proxy")
"""Variables that take hosts out."""

_LONGEST_ANSWER = 1 << 16


class ProxyAnswer(Exception):
    """A proxy did not open the way."""

    def __init__(self, status: int) -> None:
        """Keep the HTTP status; 0 where it was no HTTP."""
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    """Its name or address."""
    port: int
    """Its port."""
    login: str = field(default="", repr=False)
    """USER:PASSWORD, as the environment has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the coordinator is reached from here."""

    host: str
    """The coordinator's name or address."""
    port: int
    """Its port."""
    proxy: Proxy | None = None
    """What stands between; None: nothing that the environment names."""

    @property
    def first(self) -> tuple[str, int]:
        """Return what this machine itself connects to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    def connect(self, patience: float = PATIENCE) -> tuple[socket.socket, float | None]:
        """Connect; return the connection and the time that a proxy's answer stated, in seconds since 1970.

        Raises OSError where the first host cannot be reached, ProxyAnswer where a proxy does not open the way.
        """
        connection = socket.create_connection(self.first, timeout=patience)
        if self.proxy is None:
            return connection, None
        try:
            return connection, self._ask(connection, self.proxy)
        except BaseException:
            connection.close()
            raise

    def _ask(self, connection: socket.socket, proxy: Proxy) -> float | None:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if proxy.login:
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(proxy.login.encode()).decode()}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
            more = connection.recv(4096)
            if not more:
                break
            answer += more
        head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        words = head[0].split()
        # Latin-1 has digits, such as ², that are no number's.
        spoken = len(words) > 1 and words[0].startswith("HTTP/") and words[1].isdecimal() and len(words[1]) == 3  # noqa: PLR2004
        status = int(words[1]) if spoken else 0
        if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110, 9.3.6: any 2xx opens the tunnel
            raise ProxyAnswer(status)
        return next((_date(line.partition(":")[2]) for line in head if line.lower().startswith("date:")), None)


def way_to(address: str, environment: Mapping[str, str]) -> Way:
    """Return the way to HOST:PORT in an environment; raise ValueError where the address or a proxy's is none."""
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]")
    named = next((environment[name] for name in PROXIES if environment.get(name)), "")
    if not named or any(_is_exempt(host, environment.get(name, "")) for name in EXEMPT):
        return Way(host=host, port=int(port))
    parts = urlsplit(named if "://" in named else f"http://{named}")
    if not parts.hostname:
        raise ValueError("the proxy's address has no host")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    proxy = Proxy(host=parts.hostname, port=parts.port or 80, login=login)
    return Way(host=host, port=int(port), proxy=proxy)


def _is_exempt(host: str, exempt: str) -> bool:
    for entry in (each.strip().lower() for each in exempt.split(",")):
        if not entry:
            continue
        if entry == "*" or host.lower().endswith(entry):
            return True
        try:
            if "/" in entry and ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def _date(text: str) -> float | None:
    try:
        stated: datetime = parsedate_to_datetime(text.strip())
    except (TypeError, ValueError):
        return None
    return stated.timestamp()
