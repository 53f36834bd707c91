"""Reaching the coordinator before one is a member, and finding out why it cannot be reached."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography import x509
from grpc.experimental import ChannelOptions

from farr.errors import FarrError
from farr.problems import advice
from farr.texts import _
from protocols.blobs import WINDOW
from protocols.codes import ADVICE
from protocols.credentials import SERVER_NAME

CODE_KEY = "farr-code"
"""Trailing metadata in which the coordinator names its reason."""

MOST_MESSAGE_BYTES = 16 << 20

QUICK = 15.0
"""Seconds for one call."""

_PROBE = 4.0
_EXPIRED, _NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who dials, and whom it will believe."""

    address: str
    """HOST:PORT."""
    ca_certificate: bytes
    """PEM."""
    certificate: bytes
    """Own certificate, PEM."""
    key: bytes = field(repr=False)
    """Its private key, PEM."""

    def channel(self) -> grpc.Channel:
        """Return a channel that believes this CA only and asks for the coordinator by its name in the certificate."""
        return grpc.secure_channel(
            self.address,
            grpc.ssl_channel_credentials(self.ca_certificate, self.key, self.certificate),
            options=(
                ("grpc.ssl_target_name_override", SERVER_NAME),
                ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
                ("grpc.keepalive_time_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # A fixed window: an estimated one grows to many megabytes, all of which a cut link costs.
                ("grpc.http2.lookahead_bytes", WINDOW),
                ("grpc.http2.bdp_probe", 0),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 2_000),
                # A stream of answers is read by who waits for it, with no thread started beside it.
                (ChannelOptions.SingleThreadedUnaryStream, 1),
            ),
        )


def is_absent(error: grpc.RpcError) -> bool:
    """Tell whether the coordinator did not answer at all, so that asking again may help."""
    return not code_of(error) and error.code() in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }


def code_of(error: grpc.RpcError) -> str:
    """Return the code that the coordinator refused with; empty where it named none that this version knows."""
    metadata: Iterable[Any] = error.trailing_metadata() or ()
    return next((str(value) for key, value in metadata if key == CODE_KEY and value in ADVICE), "")


def explain(error: grpc.RpcError, caller: Caller) -> FarrError:
    """Return what to tell the person at the keyboard: the coordinator's code, or why it cannot be reached."""
    if code := code_of(error):
        return FarrError(code, advice(code))
    if is_absent(error):
        return diagnose(caller)
    status = error.code().name.lower()
    return FarrError("connection", _("the call to the coordinator failed ({status})").format(status=status))


def diagnose(caller: Caller) -> FarrError:
    """Try the steps of a connection one by one and name the first that fails, with what to check."""
    from urllib.request import proxy_bypass

    host, _colon, port = caller.address.rpartition(":")
    proxy = next((os.environ[name] for name in ("grpc_proxy", "https_proxy", "http_proxy") if os.environ.get(name)), "")
    where = _("the coordinator at {address} cannot be reached").format(address=caller.address)
    if proxy and not proxy_bypass(host):
        # A direct attempt would say nothing about the way through; the proxy's address is not shown, as it may hold a
        # password.
        return FarrError(
            "unreachable",
            _("{where} through the proxy that the environment names").format(where=where),
            remedy=_("ask for CONNECT to port {port} to be allowed, or take the host out with no_proxy").format(
                port=port
            ),
        )
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE)
    except socket.gaierror:
        remedy = _("the name {host} is unknown here: check its spelling, the DNS and the VPN").format(host=host)
    except ConnectionRefusedError:
        remedy = _("nothing answers on port {port}: is the coordinator running?").format(port=port)
    except (OSError, ValueError):
        remedy = _("no answer on port {port}: outgoing connections must be allowed by the firewall").format(port=port)
    else:
        with connection:
            return _diagnose_tls(connection, caller)
    return FarrError("unreachable", where, remedy=remedy)


def _diagnose_tls(connection: socket.socket, caller: Caller) -> FarrError:
    context = ssl.create_default_context(cadata=caller.ca_certificate.decode())
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=SERVER_NAME):
            return FarrError(
                "not-accepted",
                _("the coordinator at {address} ends the connection").format(address=caller.address),
                remedy=_("it may not accept this certificate: a token may have expired, a clock may be wrong"),
            )
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
            return FarrError(
                "clock-skew",
                _("the coordinator's certificate is not valid at the time that this machine's clock shows"),
                remedy=_("set the clock (timedatectl); if it is right, the coordinator needs a new certificate"),
            )
        return FarrError(
            "intercepted",
            _("another party than the coordinator answers at {address}: {issuer}").format(
                address=caller.address, issuer=_issuer(caller.address)
            ),
            remedy=_("a device may open TLS connections on the way: ask for this address to be exempted, or check it"),
        )
    except OSError:
        return FarrError(
            "not-tls",
            _("what answers at {address} does not speak TLS as a coordinator does").format(address=caller.address),
            remedy=_("check the address and the port"),
        )


def _issuer(address: str) -> str:
    """Return who issued the certificate that is shown at an address, as that party itself claims."""
    host, _colon, port = address.rpartition(":")
    try:
        shown = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=_PROBE)
        issuer = x509.load_pem_x509_certificate(shown.encode()).issuer.rfc4514_string()
    except (OSError, ValueError):
        return _("an unknown issuer")
    return "".join(letter if letter.isprintable() else "?" for letter in issuer[:200])
