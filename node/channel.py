"""The way to the coordinator: one address, mutual TLS, and how a call that it ends says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from protocols.blobs import WINDOW
from protocols.codes import ADVICE
from protocols.credentials import SERVER_NAME, Credentials

CODE_KEY = "farr-code"
"""Trailing metadata in which the coordinator names its reason."""

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 0),
    # A fixed window: an estimated one grows to many megabytes, all of which a cut link costs.
    ("grpc.http2.lookahead_bytes", WINDOW),
    ("grpc.http2.bdp_probe", 0),
    # Attempts are paced by the node; a pool shared between channels would pace them a second time.
    ("grpc.use_local_subchannel_pool", 1),
)


def dial(credentials: Credentials) -> grpc.aio.Channel:
    """Return a channel for the node's loop."""
    return grpc.aio.secure_channel(credentials.address, _tls(credentials), options=OPTIONS)


def dial_beside(credentials: Credentials) -> grpc.Channel:
    """Return a channel for another thread."""
    return grpc.secure_channel(credentials.address, _tls(credentials), options=OPTIONS)


def code_of(error: grpc.RpcError) -> str:
    """Return the code that the coordinator ended a call with; "unavailable" where it named none that is known."""
    trailing: Any = error.trailing_metadata() or ()
    return known(next((value for key, value in trailing if key == CODE_KEY), ""))


def known(code: Any) -> str:
    """Return a code that is one, or "unavailable"."""
    return str(code) if code in ADVICE else "unavailable"


def _tls(credentials: Credentials) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.ca_certificate,
        private_key=credentials.tls_key,
        certificate_chain=credentials.certificate,
    )
