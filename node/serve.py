"""The node's service: opens the state, prepares the data, keeps the link up, and ends cleanly when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import logging
import os
import secrets
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.answer import Answerer
from node.apps.rules import rules_in
from node.apps.running import Apps
from node.authority import policy
from node.blobs import Blobs, Sender
from node.books.audit import STARTED, Audit, Fact
from node.books.ledger import Ledger
from node.books.opening import FOLDER_UNWRITABLE, open_checked
from node.books.promises import Promises
from node.books.state import LOCK, StateError, read_state, transaction
from node.desk import Desk
from node.gate import Gate
from node.link import Link
from node.membership import Membership
from node.noise import noisy_vector
from node.records.mapping import IDENTITY
from node.records.prepare import prepare
from node.refusal import Replier
from node.scan.compiled import Compiler
from node.scan.scan import Scanner
from node.scan.warming import warm
from node.seats import Seats
from node.settings import NodeSettings
from node.vectors import Vectors
from protocols.credentials import Credentials
from queries.cost.tally import Tally

RUNNING = "serve.pid"
SITE_KEY = "site.key"
SITE_KEY_BYTES = 32

RENEWAL = 3600.0
"""Seconds between two looks at the certificate; when the coordinator turns the node away, at once."""

_log = logging.getLogger("node.serve")


async def serve(settings: NodeSettings, started: Callable[[], None] | None = None) -> int:
    """Run a node until SIGTERM or SIGINT; return the exit code: 0, or 1 where the coordinator closed for good.

    ``started`` is called once, when the data are prepared and the node begins to connect. Raises StateError where
    another process serves the home or the state is damaged, SourceError where the data cannot be prepared.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(settings.home):
        connection = open_checked(settings.home, settings.clock)
        desk = Desk()
        try:
            return await _serve(settings, connection, desk, stop, started or _nothing)
        finally:
            desk.close()
            # A question that did not end in time still holds the connection; what it has not committed never was.
            if not desk.waiting:
                connection.close()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            _log.info("the node ends", extra={"member": settings.credentials.member})


async def _serve(
    settings: NodeSettings,
    connection: sqlite3.Connection,
    desk: Desk,
    stop: asyncio.Event,
    started: Callable[[], None],
) -> int:
    _log.info("the data are being prepared", extra={"member": settings.credentials.member})
    policy_file = settings.home / policy.FILE
    blobs = Blobs(home=settings.home, credentials=settings.credentials)
    apps = Apps(
        home=settings.home,
        hidden=(settings.home.resolve(), settings.data.resolve()),
        rules=rules_in(policy_file),
        fetch=blobs.fetch,
        threads=settings.threads,
    )
    apps.sweep()
    preparing = desk.ask(_open_data, settings, apps)
    told = asyncio.ensure_future(stop.wait())
    awaited: set[asyncio.Future[Any]] = {preparing, told}
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    if not preparing.done():
        preparing.cancel()
        return 0
    told.cancel()
    scanner = preparing.result()
    member = settings.credentials.member

    def scan(tally: Tally, attributes: Mapping[str, str], tables: frozenset[str]) -> NDArray[np.int64]:
        # Whether the own row is kept back was decided before anything is read: see node/authority/judging.py.
        return scanner.tally(tally, settings.catalogue, member, attributes, own_row=True, tables=tables)

    vectors = Vectors(home=settings.home)
    answerer = Answerer(
        member=member,
        identity=settings.credentials.identity,
        compiler=Compiler(catalogue=settings.catalogue),
        connection=connection,
        seats=Seats(member=member, identity=settings.credentials.identity, connection=connection),
        policy=lambda: policy.load(policy_file),
        tables=scanner.tables,
        scan=scan,
        noise=noisy_vector,
        clock=settings.clock,
        keep=vectors.keep,
        many_rows=settings.many_rows,
    )
    membership = await desk.ask(Membership, settings.credentials, connection, settings.clock, settings.roster)
    await desk.ask(_tell_start, settings, connection, policy_file)
    turned_away = asyncio.Event()
    with contextlib.closing(read_state(settings.home)) as committed:
        gate = Gate(
            member=member,
            ledger=Ledger(connection=committed),
            promises=Promises(connection=committed),
            policy_file=policy_file,
            tables=tuple(sorted(scanner.tables)),
            loaded=(settings.mapping or IDENTITY).loaded(settings.catalogue),
        )
        link = Link(
            credentials=settings.credentials,
            software=settings.software,
            gate=gate,
            sender=Sender(gate=gate, vectors=vectors),
            desk=desk,
            membership=membership,
            replier=Replier(answerer=answerer, home=settings.home, clock=settings.clock),
            turned_away=turned_away.set,
            leaving=functools.partial(_end_apps, apps, blobs),
        )
        started()
        keeping = asyncio.ensure_future(_keep_renewed(settings, link, blobs, turned_away, stop))
        try:
            code = await link.run(stop)
        finally:
            keeping.cancel()
        # A new signing key is in no running part of this process: the service manager starts it again.
        return 1 if keeping.done() and not keeping.cancelled() and keeping.result() else code


async def _keep_renewed(
    settings: NodeSettings, link: Link, blobs: Blobs, turned_away: asyncio.Event, stop: asyncio.Event
) -> bool:
    """Look after the certificate for as long as the node serves; return True where it has to be started anew."""
    present = settings.credentials
    while settings.renew is not None:
        turned_away.clear()
        try:
            renewed = await _beside(functools.partial(settings.renew, present))
        except Exception as error:  # noqa: BLE001 - whatever it is, the present certificate goes on
            facts = {"error": type(error).__name__, "code": str(getattr(error, "code", ""))}
            _log.warning("the certificate could not be renewed; it is tried again", extra=facts)
            renewed = None
        if renewed is not None:
            _log.info("the certificate was renewed", extra={"member": renewed.member})
            if renewed.identity.public != present.identity.public:
                _log.error("the signing key was replaced: start the node again", extra={"member": renewed.member})
                stop.set()
                return True
            present = renewed
            link.renew(renewed)
            blobs.renew(renewed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(turned_away.wait(), RENEWAL)
    return False


def _beside(work: Callable[[], Credentials | None]) -> asyncio.Future[Credentials | None]:
    """Do work in a thread that does not hold up the end of the process, as those of a pool would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Credentials | None] = loop.create_future()

    def settle(result: Credentials | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="renewal", daemon=True).start()
    return done


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home against a second process.

    Guarantee: two processes never answer from one ledger, whose budget each would count for itself. The lock is the
    operating system's and ends with the process, however that ends. Test:
    tests/node/test_serve.py::test_a_second_process_on_the_same_home_is_refused.
    """
    try:
        opened = (home / LOCK).open("a")
    except OSError as error:
        raise StateError(FOLDER_UNWRITABLE) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError("another process serves this home; farr node check names it") from error
        running = home / RUNNING
        running.write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            running.unlink(missing_ok=True)


def _open_data(settings: NodeSettings, apps: Apps) -> Scanner:
    prepared = prepare(
        settings.home,
        settings.data,
        settings.mapping,
        settings.catalogue,
        site_key(settings.home),
        memory_limit=settings.memory_limit,
    )
    scanner = Scanner(prepared.path, threads=settings.threads, memory_limit=settings.memory_limit, app=apps)
    warm(scanner, settings.catalogue, settings.credentials.member)
    return scanner


def site_key(home: Path) -> bytes:
    """Return the secret that orders a patient's rows, drawn from the operating system when it is first needed.

    Raises StateError where the file is damaged or other users can read it.
    """
    path = home / SITE_KEY
    if not path.exists():
        fresh = home / f".{SITE_KEY}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SITE_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StateError(f"other users of this machine can read {SITE_KEY}: chmod 600 it")
    key = path.read_bytes()
    if len(key) != SITE_KEY_BYTES:
        raise StateError(f"{SITE_KEY} is damaged; restore it from the newest backup")
    return key


def _tell_start(settings: NodeSettings, connection: sqlite3.Connection, policy_file: Path) -> None:
    try:
        policy.load(policy_file)
        held = hashlib.sha256(policy_file.read_bytes()).hexdigest()
    except policy.PolicyError as error:
        _log.error("the policy is missing or wrong: every question is refused", extra={"error": type(error).__name__})
        held = "none"
    facts: dict[str, Fact] = {
        "software": settings.software,
        "catalogue": settings.catalogue.digest.hex(),
        "policy": held,
    }
    with transaction(connection):
        Audit(connection=connection).append(STARTED, int(settings.clock()), facts)


def _end_apps(apps: Apps, blobs: Blobs) -> None:
    """Let no app, and nothing that one is sent, hold up the end."""
    apps.stop.set()
    blobs.end()


def _nothing() -> None:
    """Do nothing, where nobody waits for the start."""
