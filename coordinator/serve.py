"""The coordinator's process: one port, one SQLite file, until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc

from coordinator import expiry
from coordinator.analysts import AnalystsService
from coordinator.blobs import BlobsService
from coordinator.concerned import Concerned
from coordinator.errors import AlreadyRunning, CoordinatorError
from coordinator.evidence import Keeper
from coordinator.links import Links
from coordinator.members import Members
from coordinator.membership import MembershipService, check_own, read_pinned
from coordinator.nodes import NodesService
from coordinator.requests import Requests
from coordinator.settings import CoordinatorSettings
from coordinator.store import Store
from protocols import roster as rosters
from protocols.blobs import WINDOW
from protocols.wire_pb2_grpc import (
    add_AnalystsServicer_to_server,
    add_BlobsServicer_to_server,
    add_MembershipServicer_to_server,
    add_NodesServicer_to_server,
)

MOST_MESSAGE_BYTES = 16 << 20
"""Longest message in either direction."""

STOP_SECONDS = 0.5
"""How long calls that are under way may take to finish. Streams are cut: whoever holds one connects again."""

STATE_FILE = "coordinator.sqlite"
LISTENING_FILE = "listening"
LOCK_FILE = "lock"

_OPTIONS = (
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Members ping every 20 seconds on streams that are silent for hours.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A machine that was held up sends several at once, which is no reason to cut off a member that TLS has identified.
    ("grpc.http2.max_ping_strikes", 0),
    # A fixed window: an estimated one grows to many megabytes, all of which a cut link costs.
    ("grpc.http2.lookahead_bytes", WINDOW),
    ("grpc.http2.bdp_probe", 0),
    # Without this a second process could take the same port and half of the calls.
    ("grpc.so_reuseport", 0),
)

log = logging.getLogger(__name__)


async def serve(settings: CoordinatorSettings, started: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until cancelled; ``started`` is called with the actual HOST:PORT.

    All that matters is stored before it is said, so an end at any instant, kill -9 included, loses nothing that
    anyone was told. Raises CoordinatorError when it cannot start. Test:
    tests/coordinator/test_restart.py::test_a_killed_process_says_what_became_of_its_round_when_started_again.
    """
    with _alone(settings.home):
        store = _open(settings.home / STATE_FILE)
        try:
            await _serve(settings, store, started)
        finally:
            store.close()


def _open(file: Path) -> Store:
    """Open the state; raise CoordinatorError, which says what to do, where SQLite cannot read or write it.

    Guarantee: a state that a disk damaged is refused with its name, and never replaced. Test:
    tests/crash/test_torn.py::test_a_coordinators_torn_state_is_told.
    """
    try:
        store = Store(file)
        try:
            store.check()
        except sqlite3.Error:
            store.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise CoordinatorError(
            f"{file.name} is damaged or cannot be written ({error}): look at its disk and at who owns the file; if it "
            f"is damaged, put it back from the newest backup, delete {file.name}-wal and {file.name}-shm beside it, "
            "and start the coordinator again"
        ) from error
    return store


async def _serve(settings: CoordinatorSettings, store: Store, started: Callable[[str], None] | None) -> None:
    members = _members(settings, store)
    links = Links(settings.clock)
    requests = Requests(settings=settings, store=store, members=members, links=links)
    keeper = Keeper(settings=settings, store=store, members=members, links=links)
    server = grpc.aio.server(options=_OPTIONS)
    add_NodesServicer_to_server(NodesService(members=members, links=links, requests=requests, keeper=keeper), server)
    analysts = AnalystsService(members=members, links=links, requests=requests, keeper=keeper)
    add_AnalystsServicer_to_server(analysts, server)
    add_MembershipServicer_to_server(
        MembershipService(settings=settings, store=store, members=members, links=links, requests=requests), server
    )
    concerned = Concerned(requests=requests, reading=requests.reading)
    content = BlobsService(members=members, store=requests.blobs, concerned=concerned, clock=settings.clock)
    add_BlobsServicer_to_server(content, server)
    address = _listen(server, settings)
    requests.restore()
    watching = asyncio.create_task(expiry.watch(settings.credentials.certificate, settings.clock))
    try:
        await server.start()
        requests.epochs.start()
        keeper.start()
        content.start()
        with _told_to_stop() as stop, _listening(settings.home, address):
            log.info("serving", extra={"address": address, "version": members.roster.version})
            if started:
                started(address)
            await stop.wait()
    finally:
        watching.cancel()
        await requests.epochs.stop()
        await server.stop(STOP_SECONDS)
        content.stop()
        keeper.stop()
        requests.stop()
    log.info("stopped")


def _members(settings: CoordinatorSettings, store: Store) -> Members:
    """Return the members by the newest roster: the one in the state, or the one that the coordinator was given."""
    credentials = settings.credentials
    federation, registrar = credentials.federation, credentials.registrar_key
    signed, source = settings.roster, settings.catalogue
    roster = rosters.read(signed, federation=federation, registrar_key=registrar)
    if kept := store.newest_roster():
        kept_roster = rosters.read(kept[0], federation=federation, registrar_key=registrar)
        if kept_roster.version >= roster.version:
            roster, signed, source = kept_roster, *kept
    check_own(roster, credentials.member, credentials.identity.public)
    catalogue = read_pinned(source, roster)
    with store.together():
        store.add_roster(roster.version, signed, catalogue.digest, source)
    return Members(signed=signed, roster=roster, catalogue=catalogue, clock=settings.clock)


def _listen(server: grpc.aio.Server, settings: CoordinatorSettings) -> str:
    """Bind the port, with TLS that demands a certificate of the registrar's CA from every caller."""
    credentials = settings.credentials
    tls = grpc.ssl_server_credentials(
        [(credentials.tls_key, credentials.certificate)],
        root_certificates=credentials.ca_certificate,
        require_client_auth=True,
    )
    host, _, _ = settings.listen.rpartition(":")
    try:
        port = server.add_secure_port(settings.listen, tls)
    except RuntimeError as error:
        raise CoordinatorError(f"cannot listen on {settings.listen}; is the port in use?") from error
    return f"{host}:{port}"


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home for this process; the system lets go of the lock however the process ends."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"another coordinator is running on {home}") from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _listening(home: Path, address: str) -> Iterator[None]:
    """Keep a file that says where the coordinator answers, for as long as it does."""
    file = home / LISTENING_FILE
    half = file.with_suffix(".new")
    half.write_text(address, encoding="utf-8")
    half.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _told_to_stop() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    # Signals can be caught in the main thread only; elsewhere whoever runs the loop cancels.
    with suppress(ValueError, RuntimeError):
        for each in signals:
            loop.add_signal_handler(each, stop.set)
    try:
        yield stop
    finally:
        with suppress(ValueError, RuntimeError):
            for each in signals:
                loop.remove_signal_handler(each)
