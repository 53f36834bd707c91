"""What the registrar remembers: the federation, every roster that it signed, and what each token admits.

One SQLite file. The newest roster is the whole truth about membership; nothing else says who is a member.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocols import mandate as mandates
from protocols.errors import ProtocolError
from protocols.mandate import Mandate
from protocols.schema import migrate
from protocols.wire_pb2 import Mandate as Message
from protocols.wire_pb2 import Role, Signed

FILE = "registrar.sqlite"

_MIGRATIONS = (
    """
    CREATE TABLE federation (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        name TEXT NOT NULL, address TEXT NOT NULL, catalogue BLOB NOT NULL,
        ca BLOB NOT NULL, certificate BLOB NOT NULL, coordinator BLOB NOT NULL, application BLOB NOT NULL
    ) STRICT;
    CREATE TABLE rosters (version INTEGER PRIMARY KEY, signed BLOB NOT NULL) STRICT;
    CREATE TABLE grants (
        token BLOB PRIMARY KEY, public_key BLOB NOT NULL, member TEXT NOT NULL, role INTEGER NOT NULL,
        label_en TEXT NOT NULL, label_zh TEXT NOT NULL, attributes TEXT NOT NULL, expires_at INTEGER NOT NULL,
        certificate BLOB, published INTEGER NOT NULL DEFAULT 0 CHECK (published <= (certificate IS NOT NULL))
    ) STRICT, WITHOUT ROWID
    """,
    "ALTER TABLE grants ADD COLUMN mandate BLOB",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """What was settled at the founding. All of it is public."""

    name: str
    """Of the federation."""
    address: str
    """Where the coordinator answers, HOST:PORT."""
    catalogue: bytes
    """The catalogue file."""
    ca: bytes
    """The CA's certificate, DER."""
    certificate: bytes
    """The registrar's own TLS certificate, DER."""
    coordinator: bytes
    """The coordinator's TLS certificate, DER."""
    application: bytes
    """The body of the coordinator's application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token admits. The token's private key is not kept, so this record admits nobody.

    A renewal is kept as one too: there the member's present certificate stands in the token's place.
    """

    token: bytes
    """SHA-256 of the token's certificate (DER), or of the one that is renewed."""
    public_key: bytes
    """Its P-256 public key, DER (SubjectPublicKeyInfo)."""
    member: str
    """Member id."""
    role: Role
    """What the member may do."""
    label_en: str
    """Name for people, English."""
    label_zh: str
    """Name for people, Chinese."""
    attributes: Mapping[str, str]
    """Public facts, such as a hospital's country."""
    expires_at: int
    """Seconds since 1970, UTC: it admits nobody afterwards."""
    certificate: bytes | None = None
    """The member's certificate, DER; None: the token was not used yet."""
    mandate: Mandate | None = None
    """What an analyst may ask; None: nothing."""


class Registry:
    """The registrar's state."""

    def __init__(self, file: Path) -> None:
        """Open the state, made where there is none."""
        self._connection = sqlite3.connect(file, isolation_level=None, timeout=30)
        migrate(self._connection, _MIGRATIONS)
        file.chmod(0o600)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of what is inside, durably, or nothing; other commands wait."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def federation(self) -> Federation | None:
        """Return what was settled at the founding; None before it."""
        columns = ("name", "address", "catalogue", "ca", "certificate", "coordinator", "application")
        row = self._one(f"SELECT {', '.join(columns)} FROM federation")  # noqa: S608
        return Federation(**dict(zip(columns, row, strict=True))) if row else None

    def found(self, federation: Federation) -> None:
        """Settle the federation, once."""
        self._connection.execute(
            "INSERT INTO federation VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (
                federation.name,
                federation.address,
                federation.catalogue,
                federation.ca,
                federation.certificate,
                federation.coordinator,
                federation.application,
            ),
        )

    def roster(self) -> Signed:
        """Return the newest roster."""
        row = self._one("SELECT signed FROM rosters ORDER BY version DESC LIMIT 1")
        if row is None:
            raise ProtocolError("the registrar has signed no roster yet")
        return Signed.FromString(row[0])

    def add_roster(self, version: int, signed: Signed) -> None:
        """Keep a new roster; a version is never used twice, so no two rosters can claim to be the same one."""
        self._connection.execute("INSERT INTO rosters VALUES (?, ?)", (version, signed.SerializeToString()))

    def add_grant(self, grant: Grant) -> None:
        """Keep what a new token admits; an earlier token for the same member that was not used is void from now on."""
        self.void(grant.member)
        self._connection.execute(
            "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, ?)",
            (
                grant.token,
                grant.public_key,
                grant.member,
                int(grant.role),
                grant.label_en,
                grant.label_zh,
                json.dumps(dict(grant.attributes), ensure_ascii=False),
                grant.expires_at,
                _kept(grant.mandate),
            ),
        )

    def void(self, member: str) -> bool:
        """Forget the token for a member that was not used yet; return whether there was one."""
        removed = self._connection.execute("DELETE FROM grants WHERE member = ? AND certificate IS NULL", (member,))
        return removed.rowcount > 0

    def grant(self, token: bytes) -> Grant | None:
        """Return what a token admits; None when there is no such token."""
        return next(iter(self._grants("WHERE token = ?", (token,))), None)

    def certificate(self, member: str, digest: bytes) -> bytes | None:
        """Return the certificate (DER) of a member by its SHA-256; None where this registrar did not issue it."""
        issued = self._connection.execute(
            "SELECT certificate FROM grants WHERE member = ? AND certificate IS NOT NULL "
            "UNION ALL SELECT coordinator FROM federation UNION ALL SELECT certificate FROM federation",
            (member,),
        )
        return next((bytes(der) for (der,) in issued if hashlib.sha256(der).digest() == digest), None)

    def outstanding(self, now: int) -> tuple[Grant, ...]:
        """Return what the tokens that can still be used admit, by member id."""
        return self._grants("WHERE certificate IS NULL AND expires_at >= ? ORDER BY member", (now,))

    def unpublished(self) -> tuple[Grant, ...]:
        """Return the admissions that the coordinator may not have yet, by member id."""
        return self._grants("WHERE certificate IS NOT NULL AND NOT published ORDER BY member", ())

    def use(self, token: bytes, certificate: bytes) -> None:
        """Use up a token: it admitted the holder of this certificate (DER)."""
        self._connection.execute("UPDATE grants SET certificate = ? WHERE token = ?", (certificate, token))

    def publish_again(self, token: bytes) -> None:
        """Note that the coordinator asks once more for an admission."""
        self._connection.execute("UPDATE grants SET published = 0 WHERE token = ?", (token,))

    def published(self, tokens: list[bytes]) -> None:
        """Note that the coordinator has these admissions."""
        self._connection.executemany("UPDATE grants SET published = 1 WHERE token = ?", [(token,) for token in tokens])

    def _one(self, query: str) -> tuple[Any, ...] | None:
        with closing(self._connection.execute(query)) as cursor:
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def _grants(self, where: str, values: tuple[object, ...]) -> tuple[Grant, ...]:
        columns = "token, public_key, member, role, label_en, label_zh, attributes, expires_at, certificate, mandate"
        rows = self._connection.execute(f"SELECT {columns} FROM grants {where}", values)  # noqa: S608
        return tuple(map(_grant, rows))


def _grant(row: tuple[Any, ...]) -> Grant:
    token, public_key, member, role, label_en, label_zh, attributes, expires_at, certificate, mandate = row
    return Grant(
        token=token,
        public_key=public_key,
        member=member,
        role=role,
        label_en=label_en,
        label_zh=label_zh,
        attributes=json.loads(attributes),
        expires_at=expires_at,
        certificate=certificate,
        mandate=None if mandate is None else mandates.from_message(Message.FromString(mandate)),
    )


def _kept(mandate: Mandate | None) -> bytes | None:
    message = mandates.to_message(mandate)
    return None if message is None else message.SerializeToString(deterministic=True)
