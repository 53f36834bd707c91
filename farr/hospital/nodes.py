"""A hospital's node as its operator sees it: what its home holds, and whether it is fit to serve."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from farr.doctor.disk import LOCK, RUNNING
from farr.doctor.finding import Finding
from farr.errors import FarrError
from farr.membership import home as homes
from farr.texts import _, translate
from node.authority import policy
from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.state import read_state
from node.records.mapping import SourceError, SourceMapping, read_mapping
from node.settings import FILE as SETTINGS
from node.settings import Source, read_source
from protocols.checks import SKEW
from protocols.errors import ProtocolError
from protocols.wire_pb2 import Role
from queries.errors import CatalogueError

if TYPE_CHECKING:
    from farr.dialing import Caller
    from queries.agreed.catalogue import Catalogue

SOON = 30
"""Days before the end of a certificate at which a check warns."""

DAY = 24 * 3600


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what the node's own modules complain about into a FarrError in the language in use."""
    try:
        yield
    except (SourceError, policy.PolicyError) as error:
        code = "source" if isinstance(error, SourceError) else "policy"
        where = f"{error.file}: {error.key}" if error.key else error.file
        details = {"file": error.file, "key": error.key}
        message = f"{where}: {translate(error.message)}"
        raise FarrError(code, message, remedy=translate(error.remedy), details=details) from error


def read_home(folder: Path) -> homes.Home:
    """Read a node's home; raise FarrError when it is none, or another member's."""
    if not homes.is_joined(folder):
        raise FarrError(
            "no-member",
            _("{folder} is not the home of a hospital's node").format(folder=folder),
            remedy=_("join first: farr node join, with a token from the registrar; or name the folder with --home"),
        )
    held = homes.read(folder)
    if held.credentials.role != Role.ROLE_NODE:
        raise FarrError(
            "wrong-role",
            _("{folder} is not the home of a hospital's node").format(folder=folder),
            remedy=_("name the node's own folder with --home"),
        )
    return held


def catalogue_of(folder: Path) -> Catalogue | None:
    """Return the catalogue that a home holds; None where it cannot be read: the node's books are shown without it."""
    from queries.agreed.catalogue_file import read_catalogue

    try:
        return read_catalogue((folder / homes.CATALOGUE).read_bytes(), homes.CATALOGUE)
    except (OSError, CatalogueError):
        return None


def source_of(
    folder: Path, *, data: Path | None, mapping: Path | None, threads: int | None, memory_limit: str | None
) -> Source:
    """Return where a node's data are: what is given here comes before what node.toml says."""
    with explained():
        written = Source(data=data) if data and not (folder / SETTINGS).exists() else read_source(folder)
    return replace(
        written,
        data=data or written.data,
        mapping=mapping or written.mapping,
        threads=threads or written.threads,
        memory_limit=memory_limit or written.memory_limit,
    )


def mapping_of(source: Source) -> SourceMapping | None:
    """Read the mapping file that the settings name; raise FarrError where it is wrong."""
    if source.mapping is None:
        return None
    with explained():
        try:
            text = source.mapping.read_bytes()
        except OSError as error:
            remedy = "correct its name in node.toml, or name it with --mapping"
            raise SourceError("cannot be read", file=str(source.mapping), remedy=remedy) from error
        return read_mapping(text, source.mapping.name)


def running(folder: Path) -> int | None:
    """Return the process id of the node's service, or None when none runs.

    The lock decides: it ends with its process, while the number in ``serve.pid`` may by now be another process's.
    """
    try:
        process = int((folder / RUNNING).read_text())
        os.kill(process, 0)
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return process
    except (OSError, ValueError):
        return None
    return None


def certificate_days(held: homes.Home, now: float) -> int:
    """Return how many days the node's certificate still holds."""
    from cryptography import x509

    ends = x509.load_pem_x509_certificate(held.credentials.certificate).not_valid_after_utc.timestamp()
    return int((ends - now) // DAY)


def findings(folder: Path, source: Source, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Yield what each check finds; the data are prepared, as `farr node serve` would.

    A home whose files others can read is not opened: what is wrong with it is said, and nothing more is looked at.
    """
    from farr.doctor import disk, network

    if not homes.is_joined(folder):
        read_home(folder)  # says what it is instead
    private = disk.rights(folder)
    yield private
    if not private.good:
        return
    held = read_home(folder)
    writable = disk.writable(folder)
    yield writable
    yield disk.room(folder)
    yield disk.kind(folder)
    yield disk.alone(folder)
    yield _certificate(held, clock())
    yield _clock(held, clock())
    yield _one("policy", lambda: _policy(folder, held))
    if writable.good:
        yield _one("evidence", lambda: _evidence(folder))
        yield _data(folder, held, source)
    yield from network.findings(caller_of(held), now=clock)


def caller_of(held: homes.Home) -> Caller:
    """Return the member as it dials the coordinator."""
    from farr.dialing import Caller

    credentials = held.credentials
    return Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )


def _one(name: str, check: Callable[[], str]) -> Finding:
    try:
        with explained():
            return Finding(name=name, good=True, text=check())
    except FarrError as error:
        return Finding(name=name, good=False, code=error.code, text=error.message, remedy=error.remedy)
    except ProtocolError as error:
        return Finding(name=name, good=False, code="state", text=translate(str(error)))
    except (OSError, sqlite3.Error) as error:
        text = _("the node's state cannot be read ({error})").format(error=type(error).__name__)
        remedy = _("look at the disk (dmesg), and restore node.db from the newest backup if it is damaged")
        return Finding(name=name, good=False, code="state", text=text, remedy=remedy)


def _certificate(held: homes.Home, now: float) -> Finding:
    days = certificate_days(held, now)
    if days < 0:
        return Finding(
            name="certificate",
            good=False,
            code="expired-certificate",
            text=_("the certificate ended {days} days ago").format(days=-days),
            remedy=_("ask the registrar for a new token for the same id, and join with it in the same folder"),
        )
    text = _("the certificate holds {days} more days").format(days=days)
    if days < SOON:
        remedy = _("the registrar has to run: farr registrar admit; the node applies by itself while it serves")
        return Finding(name="certificate", good=True, text=text, remedy=remedy)
    return Finding(name="certificate", good=True, text=text)


def _clock(held: homes.Home, now: float) -> Finding:
    if held.read_roster().issued_at > now + SKEW:
        return Finding(
            name="clock",
            good=False,
            code="clock",
            text=_("this machine's clock is behind: the roster is from its future"),
            remedy=_("set the clock and let it be kept right: timedatectl set-ntp true"),
        )
    return Finding(name="clock", good=True, text=_("this machine's clock is not behind the roster"))


def _policy(folder: Path, held: homes.Home) -> str:
    from node.authority.policy_names import check_names
    from queries.agreed.catalogue_file import read_catalogue
    from queries.cost.accounting import epsilon_of, rho_of_units

    allowed = policy.load(folder / policy.FILE)
    check_names(allowed, read_catalogue(held.catalogue, homes.CATALOGUE))
    return _("answers tables: {tables}; budget for life: epsilon {epsilon:.3g}").format(
        tables=_("all") if allowed.tables is None else ", ".join(allowed.tables),
        epsilon=epsilon_of(rho_of_units(allowed.lifetime_units)),
    )


def _evidence(folder: Path) -> str:
    from node.books.state import FILE, StateError

    if not (folder / FILE).exists():
        return _("nothing was answered yet")
    with contextlib.closing(read_state(folder)) as connection:
        row, entry = Ledger(connection=connection).verify(), Audit(connection=connection).verify()
        if row is not None:
            raise StateError(f"the ledger is not as it was written: row {row}; restore it from the newest backup")
        if entry is not None:
            raise StateError(
                f"the audit log is not as it was written: entry {entry}; restore it from the newest backup"
            )
        if Audit(connection=connection).halted:
            raise FarrError(
                "rolled-back",
                _("the node's state is older than what it has signed: it answers nothing"),
                remedy=_("run farr node audit recover, which says what is missing and how to go on"),
            )
        count = sum(1 for _charge in Ledger(connection=connection).charges())
    return _("ledger and audit log are as they were written; {count} answers").format(count=count)


def _data(folder: Path, held: homes.Home, source: Source) -> Finding:
    from farr.hospital.conformance import conformance
    from node.serve import site_key
    from queries.agreed.catalogue_file import read_catalogue

    try:
        return conformance(folder, read_catalogue(held.catalogue, homes.CATALOGUE), source, site_key(folder))
    except FarrError as error:
        return Finding(name="data", good=False, code=error.code, text=error.message, remedy=error.remedy)
