"""A hospital's node as its operator sees it: what its home holds, and whether it is fit to serve."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from farr import home as homes
from farr.errors import FarrError
from farr.texts import _, translate
from node import policy
from node.audit import Audit
from node.ledger import Ledger
from node.mapping import SourceError, SourceMapping, read_mapping
from node.settings import FILE as SETTINGS
from node.settings import Source, read_source
from node.state import read_state
from protocols.checks import SKEW
from protocols.errors import ProtocolError
from protocols.wire_pb2 import Role

if TYPE_CHECKING:
    from farr.conformance import Conformance

SOON = 30
"""Days before the end of a certificate at which a check warns."""

DAY = 24 * 3600

LOCK, RUNNING = "serve.lock", "serve.pid"
"""What a node's service holds in its home while it runs, and writes there; node/serve.py makes them."""

PATIENCE = 5.0
"""Seconds for the coordinator to answer a check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    """Which check, for scripts."""
    good: bool
    """Whether the node can serve as far as this check goes."""
    text: str
    """For people: what was found, and what to do where it is not good."""
    tables: tuple[Conformance, ...] = ()
    """Of the check of the data: how each table's files fit the catalogue."""


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
    """Read a node's home; raise FarrError when it is another member's."""
    held = homes.read(folder)
    if held.credentials.role != Role.ROLE_NODE:
        raise FarrError(
            "wrong-role",
            _("{folder} is not the home of a hospital's node").format(folder=folder),
            remedy=_("name the node's own folder with --home"),
        )
    return held


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
    """Yield what each check finds; the data are prepared, as `farr node serve` would."""
    held = read_home(folder)
    yield _private(folder)
    yield _certificate(held, clock())
    yield _clock(held, clock())
    yield _one("policy", lambda: _policy(folder, held))
    yield _one("evidence", lambda: _evidence(folder))
    yield _data(folder, held, source)
    yield _coordinator(held)


def _one(name: str, check: Callable[[], str]) -> Finding:
    try:
        with explained():
            return Finding(name=name, good=True, text=check())
    except FarrError as error:
        return Finding(name=name, good=False, text=str(error))
    except ProtocolError as error:
        return Finding(name=name, good=False, text=translate(str(error)))


def _private(folder: Path) -> Finding:
    open_to_others = [
        path.name
        for path in (folder, *sorted(folder.iterdir()))
        if path.suffix in {"", ".key", ".db", ".duckdb"} and stat.S_IMODE(path.stat().st_mode) & 0o077
        if path.is_dir() or path.suffix
    ]
    if open_to_others:
        text = _("other users of this machine can read {names}: chmod go= them").format(names=", ".join(open_to_others))
        return Finding(name="rights", good=False, text=text)
    return Finding(name="rights", good=True, text=_("only the owner can read keys, state and prepared data"))


def _certificate(held: homes.Home, now: float) -> Finding:
    days = certificate_days(held, now)
    if days < 0:
        text = _("the certificate has expired: ask the registrar for a new token and join again")
    elif days < SOON:
        text = _("the certificate holds {days} more days: ask the registrar for a new token").format(days=days)
    else:
        text = _("the certificate holds {days} more days").format(days=days)
    return Finding(name="certificate", good=days >= 0, text=text)


def _clock(held: homes.Home, now: float) -> Finding:
    if held.read_roster().issued_at > now + SKEW:
        return Finding(
            name="clock", good=False, text=_("this machine's clock is behind: the roster is from its future")
        )
    return Finding(name="clock", good=True, text=_("this machine's clock is not behind the roster"))


def _policy(folder: Path, held: homes.Home) -> str:
    from queries.accounting import epsilon_of, rho_of_units
    from queries.catalogue_file import read_catalogue

    allowed = policy.load(folder / policy.FILE)
    known = [table.name for table in read_catalogue(held.catalogue, homes.CATALOGUE).tables]
    for table in allowed.tables or ():
        if table not in known:
            remedy = "use the names of `farr catalogue show`"
            raise policy.PolicyError("is no table of the catalogue", file=policy.FILE, key=table, remedy=remedy)
    return _("answers tables: {tables}; budget for life: epsilon {epsilon:.3g}").format(
        tables=_("all") if allowed.tables is None else ", ".join(allowed.tables),
        epsilon=epsilon_of(rho_of_units(allowed.lifetime_units)),
    )


def _evidence(folder: Path) -> str:
    from node.state import FILE, StateError

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
        count = sum(1 for _charge in Ledger(connection=connection).charges())
    return _("ledger and audit log are as they were written; {count} answers").format(count=count)


def _data(folder: Path, held: homes.Home, source: Source) -> Finding:
    from farr.conformance import conformance
    from node.serve import site_key
    from queries.catalogue_file import read_catalogue

    try:
        return conformance(folder, read_catalogue(held.catalogue, homes.CATALOGUE), source, site_key(folder))
    except FarrError as error:
        return Finding(name="data", good=False, text=str(error))


def _coordinator(held: homes.Home) -> Finding:
    import grpc

    from farr.dialing import Caller, diagnose

    credentials = held.credentials
    caller = Caller(
        address=credentials.address,
        ca_certificate=credentials.ca_certificate,
        certificate=credentials.certificate,
        key=credentials.tls_key,
    )
    with caller.channel() as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE)
        except grpc.FutureTimeoutError:
            return Finding(name="coordinator", good=False, text=str(diagnose(caller)))
    text = _("the coordinator at {address} answers").format(address=credentials.address)
    return Finding(name="coordinator", good=True, text=text)
