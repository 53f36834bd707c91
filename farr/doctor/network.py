"""The way to the coordinator, step by step: name, port or proxy, TLS, the coordinator itself, and time.

Nothing of a hospital's is sent: up to the last step only TLS's own messages are, and there a call without content.
"""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc

from farr.dialing import Caller, code_of
from farr.doctor.certificates import clock, judge
from farr.doctor.finding import Finding
from farr.doctor.way import PATIENCE, ProxyAnswer, Way, way_to
from farr.problems import advice
from farr.texts import _
from protocols.credentials import SERVER_NAME
from protocols.wire_pb2 import Nothing
from protocols.wire_pb2_grpc import AnalystsStub

TIME_KEY = "farr-time"
"""Trailing metadata in which the coordinator states its clock."""

LONG = 90.0
"""Seconds for which a silent connection is held, when that is asked for: longer than most devices remember one."""

_FORBIDDEN, _LOGIN = 403, 407


def findings(
    caller: Caller,
    *,
    now: Callable[[], float] = time.time,
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[Finding]:
    """Yield what each step of the way finds, up to the first that fails."""
    try:
        way = way_to(caller.address, os.environ if environment is None else environment)
    except ValueError:
        yield Finding(
            name="way",
            good=False,
            code="proxy-address",
            text=_("the proxy that the environment names has no usable address"),
            remedy=_("write it as https_proxy=http://proxy.example.org:3128"),
        )
        return
    named = _name(way, patience)
    yield named
    if not named.good:
        return
    opened, stated = _open(way, patience)
    yield opened
    if not opened.good:
        return
    secured = _tls(way, caller, now=now(), stated=stated, patience=patience)
    yield secured
    if secured.good:
        yield from _call(caller, now, patience)


def held(caller: Caller, seconds: float = LONG, *, patience: float = PATIENCE) -> Finding:
    """Hold a silent connection, kept alive as the node keeps its own, and tell whether anything on the way cuts it."""
    begun = time.monotonic()
    lost = threading.Event()
    with caller.channel() as channel:
        stub = AnalystsStub(channel)
        _describe(stub, patience)

        ready = threading.Event()

        def note(state: grpc.ChannelConnectivity) -> None:
            if state == grpc.ChannelConnectivity.READY:
                ready.set()
            elif ready.is_set():
                lost.set()

        channel.subscribe(note)
        ready.wait(patience)
        lost.wait(seconds)
        after = int(time.monotonic() - begun)
        code, _time, answered = _describe(stub, patience) if not lost.is_set() else ("", None, False)
        channel.unsubscribe(note)
    if lost.is_set() or not (code or answered):
        return Finding(
            name="long",
            good=False,
            code="cut",
            text=_("a connection that was silent was cut after {seconds} seconds").format(seconds=after),
            remedy=_(
                "a firewall or NAT on the way forgets connections: have its idle timeout for this address raised to "
                "five minutes; the node reconnects by itself, but rounds may go on without it"
            ),
        )
    return Finding(
        name="long", good=True, text=_("a silent connection held for {seconds} seconds").format(seconds=after)
    )


def _name(way: Way, patience: float) -> Finding:
    host, port = way.first
    answer: queue.Queue[OSError | UnicodeError | None] = queue.Queue()

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # what cannot be a name, such as hub..org, is not even looked up
            answer.put(error)
        else:
            answer.put(None)

    # The system's resolver knows no timeout, so it is left behind where it does not answer.
    threading.Thread(target=resolve, daemon=True).start()
    try:
        failed = answer.get(timeout=patience)
    except queue.Empty:
        text = _("the name {host} is not answered for: the DNS server of this machine is silent").format(host=host)
        remedy = _("check the DNS server (resolvectl status) and whether the firewall lets DNS out")
        return Finding(name="name", good=False, code="dns-silent", text=text, remedy=remedy)
    if failed is not None:
        what = _("the proxy's name {host} is unknown here") if way.proxy else _("the name {host} is unknown here")
        remedy = (
            _("correct https_proxy in the environment of the node's service, or take it out if none is needed")
            if way.proxy
            else _("check its spelling, the DNS server and the VPN; the registrar knows the right address")
        )
        return Finding(name="name", good=False, code="no-name", text=what.format(host=host), remedy=remedy)
    return Finding(name="name", good=True, text=_("the name {host} is known").format(host=host))


def _open(way: Way, patience: float) -> tuple[Finding, float | None]:
    host, port = way.first
    where = f"{host}:{port}"
    use_proxy = (
        _("{where} is the proxy that https_proxy names: correct it, or take it out if none is needed").format(
            where=where
        )
        if way.proxy
        else _("if this network leads out through a proxy, set https_proxy=http://PROXY:PORT for the node's service")
    )
    try:
        connection, stated = way.connect(patience)
    except ProxyAnswer as answer:
        return _proxy_finding(way, answer.status), None
    except ConnectionRefusedError:
        remedy = _("is the right port named, and does its operator's service run? {use_proxy}").format(
            use_proxy=use_proxy
        )
        return _closed("refused", _("nothing answers on {where}: the connection is refused"), where, remedy), None
    except TimeoutError:
        remedy = _("a firewall drops it silently: have outgoing TCP to {where} allowed; {use_proxy}").format(
            where=where, use_proxy=use_proxy
        )
        return _closed("no-answer", _("no answer at all from {where}"), where, remedy), None
    except OSError as error:
        remedy = _("check cable, VPN and routes ({reason}); {use_proxy}").format(
            reason=error.strerror or type(error).__name__, use_proxy=use_proxy
        )
        return _closed("no-route", _("there is no way to {where}"), where, remedy), None
    connection.close()
    if way.proxy is not None:
        text = _("the proxy {where} opens a way to port {port}").format(where=where, port=way.port)
    else:
        text = _("{where} takes connections").format(where=where)
    return Finding(name="way", good=True, text=text), stated


def _closed(code: str, text: str, where: str, remedy: str) -> Finding:
    return Finding(name="way", good=False, code=code, text=text.format(where=where), remedy=remedy)


def _proxy_finding(way: Way, status: int) -> Finding:
    where = "{}:{}".format(*way.first)
    if status == _LOGIN:
        text = _("the proxy {where} demands a name and a password").format(where=where)
        remedy = _("ask for an exemption, or write https_proxy=http://USER:PASSWORD@{where} in a file that only the "
        "service can read").format(where=where)  # fmt: skip
        return Finding(name="way", good=False, code="proxy-login", text=text, remedy=remedy)
    if status == _FORBIDDEN:
        text = _("the proxy {where} forbids CONNECT to {host}:{port}").format(where=where, host=way.host, port=way.port)
        remedy = _("ask its operator to allow CONNECT to {host}:{port}").format(host=way.host, port=way.port)
        return Finding(name="way", good=False, code="proxy-forbids", text=text, remedy=remedy)
    if status:
        text = _("the proxy {where} does not open the way: HTTP {status}").format(where=where, status=status)
    else:
        text = _("what answers at {where} is no HTTP proxy").format(where=where)
    remedy = _("check https_proxy; no_proxy takes a host out that is reached without it")
    return Finding(name="way", good=False, code="proxy-answer", text=text, remedy=remedy)


def _tls(way: Way, caller: Caller, *, now: float, stated: float | None, patience: float) -> Finding:
    context = ssl.create_default_context(cadata=caller.ca_certificate.decode())
    context.set_alpn_protocols(["h2"])
    try:
        connection, _stated = way.connect(patience)
        with connection, context.wrap_socket(connection, server_hostname=SERVER_NAME):
            text = _("TLS reaches the coordinator itself, and its certificate is this federation's")
            return Finding(name="tls", good=True, text=text)
    except ssl.SSLCertVerificationError:
        shown = _shown(way, patience)
        if shown is not None:
            return judge(shown, caller.ca_certificate, address=caller.address, now=now, stated=stated)
    except ssl.SSLError:
        return Finding(
            name="tls",
            good=False,
            code="not-tls",
            text=_("what answers at {address} does not speak TLS").format(address=caller.address),
            remedy=_("check the address and the port; a portal that wants a login may answer instead"),
        )
    except (OSError, ProxyAnswer):
        pass
    return Finding(
        name="tls",
        good=False,
        code="cut-off",
        text=_("the connection to {address} opens, and is cut off or falls silent when TLS begins").format(
            address=caller.address
        ),
        remedy=_("a firewall that looks into connections does this: have {address} exempted").format(
            address=caller.address
        ),
    )


def _shown(way: Way, patience: float) -> bytes | None:
    """Return the certificate that is shown, without believing it; nothing is sent over that connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        connection, _stated = way.connect(patience)
        with connection, context.wrap_socket(connection, server_hostname=SERVER_NAME) as secured:
            return secured.getpeercert(binary_form=True)
    except (OSError, ProxyAnswer):
        return None


def _call(caller: Caller, now: Callable[[], float], patience: float) -> Iterator[Finding]:
    with caller.channel() as channel:
        code, stated, answered = _describe(AnalystsStub(channel), patience)
    if code in {"wrong-role", ""} and (code or answered):
        yield Finding(
            name="coordinator",
            good=True,
            text=_("the coordinator at {address} answers").format(address=caller.address),
        )
    elif code:
        yield Finding(
            name="coordinator",
            good=False,
            code=code,
            text=_("the coordinator at {address} refuses this member").format(address=caller.address),
            remedy=advice(code),
        )
    else:
        yield Finding(
            name="coordinator",
            good=False,
            code="not-accepted",
            text=_("the coordinator at {address} ends the connection").format(address=caller.address),
            remedy=_("it may not accept this certificate: its time may be over, or this machine's clock may be wrong"),
        )
    if stated is not None:
        yield clock(stated, now(), _("the coordinator"))


def _describe(stub: AnalystsStub, patience: float) -> tuple[str, float | None, bool]:
    """Call the coordinator; return the code that it refused with, its clock, and whether it answered without one."""
    try:
        _answer, call = stub.Describe.with_call(Nothing(), timeout=patience)
    except grpc.RpcError as error:
        return code_of(error), _stated(error), False
    return "", _stated(call), True


def _stated(call: Any) -> float | None:
    text = next((str(value) for key, value in call.trailing_metadata() or () if key == TIME_KEY), "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else None  # noqa: PLR2004 - seconds
