"""Networks and disks that are broken, each set up for real on this machine."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress

from farr.membership import keys
from farr.registrar.ca import found
from protocols.wire_pb2 import Role


@contextmanager
def serving(handle):
    """Answer each connection with ``handle`` in a thread; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=run, args=(connection,), daemon=True).start()

    def run(connection):
        with closing(connection), suppress(OSError):
            handle(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


@contextmanager
def silence():
    """An address that takes no connection and does not say so, as behind a firewall that drops: its queue is full."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.05)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in fillers:
                each.close()


@contextmanager
def tls(certificate, key, folder):
    """Answer TLS with a certificate (DER) and its key."""
    (folder / "shown.pem").write_bytes(keys.certificate_pem(certificate))
    (folder / "shown.key").write_bytes(keys.to_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "shown.pem", folder / "shown.key")

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with serving(handle) as address:
        yield address


@contextmanager
def impostor(folder, name="Corporate Inspection CA", *, federation=None):
    """A device that opens TLS, with a CA of its own; or another federation's coordinator."""
    now, key = int(time.time()), keys.new_tls_key()
    authority = found(federation or "x", keys.new_tls_key(), now=now)
    shown = authority.issue("coordinator", Role.ROLE_COORDINATOR, key.public_key(), now=now)
    if federation is None:
        shown = corporate(name, key.public_key())
    with tls(shown, key, folder) as address:
        yield address


def corporate(name, public_key):
    """Return a certificate (DER) as an inspecting device makes it: the right names, another issuer."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator.farr")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("coordinator.farr")]), critical=False)
        .sign(keys.new_tls_key(), SHA256())
        .public_bytes(Encoding.DER)
    )


def pipe(one, other, *, until=None):
    """Carry bytes one way until either side ends, or until a moment after which they are swallowed."""
    with suppress(OSError):
        while data := one.recv(1 << 16):
            if until is None or time.monotonic() < until:
                other.sendall(data)


def relay(target, *, cut_after=None, swallow_after=None):
    """Return a handler that passes a connection on, and cuts it or swallows what is said after some seconds."""
    host, _colon, port = target.rpartition(":")

    def handle(connection):
        with closing(socket.create_connection((host, int(port)))) as onward:
            until = None if swallow_after is None else time.monotonic() + swallow_after
            threads = [
                threading.Thread(target=pipe, args=pair, kwargs={"until": until}, daemon=True)
                for pair in ((connection, onward), (onward, connection))
            ]
            for each in threads:
                each.start()
            threads[0].join(cut_after)
            for each in (connection, onward):
                each.shutdown(socket.SHUT_RDWR)

    return handle


def proxy(status, target=None, *, date="", login=""):
    """Return a handler that is an HTTP proxy: it answers CONNECT with a status, and passes on where that is 200."""
    heard = []

    def handle(connection):
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(4096)
        heard.append(asked.decode())
        told = status if not login or f"Basic {login}" in heard[-1] else 407
        lines = [f"HTTP/1.1 {told} Word", *([f"Date: {date}"] if date else []), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        if told == 200:
            relay(target or heard[-1].split()[1])(connection)

    handle.heard = heard
    return handle


@contextmanager
def small_disk(folder, *, size="64k", read_only=False):
    """A disk of its own; yields None where this user may not mount one."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        yield None
        return
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True, check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def fill(folder):
    """Write until the disk is full."""
    with (folder / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 10))
