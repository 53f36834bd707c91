"""What analysts may ask: checked against the catalogue when the registrar writes it, changed in the next roster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from farr.errors import FarrError
from farr.registrar.founding import Registrar
from farr.texts import _
from protocols import checks
from protocols.errors import Rejected
from protocols.mandate import AUDITOR, AUTHORITIES, MOST_NAMES, MOST_PROJECT, Mandate
from protocols.roster import Member, Roster
from protocols.wire_pb2 import Role
from queries.agreed import places
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.names import offer

NATION = "nation"
STATISTICS = "statistics"
"""The purpose of a mandate that names no other."""

ALL = "all"
"""In place of regions or tables: no bounds."""

OF_THE_CERTIFICATE = 0
"""As the end of a mandate that was not given out yet: the end of the certificate to come."""

PLACED = frozenset({"province", "prefecture", "county"})
"""Authorities that end at a border."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A mandate as the registrar's operator wrote it; None: not said."""

    authority: str | None = None
    """One of ``protocols.mandate.AUTHORITIES``."""
    regions: tuple[str, ...] | None = None
    """Codes; ``("all",)``: the whole federation."""
    purposes: tuple[str, ...] | None = None
    """Names."""
    tables: tuple[str, ...] | None = None
    """Names; ``("all",)``: every table."""
    project: str | None = None
    """A researcher's project, or the number of a case."""
    until: date | None = None
    """Last day, UTC."""


def whole(*purposes: str) -> Mandate:
    """Return a mandate over everything in the federation until the certificate's end."""
    return Mandate(authority=NATION, purposes=tuple(sorted(purposes)), expires_at=OF_THE_CERTIFICATE)


def written(wish: Wish, before: Mandate | None, catalogue: Catalogue) -> Mandate:
    """Return the mandate that a wish makes of an earlier one, or of none; raise FarrError where it makes none.

    Not said, and none before: the nation's authority, the whole federation, every table, the purpose ``statistics``,
    until the certificate's end.
    """
    held = before or whole(STATISTICS)
    authority = held.authority if wish.authority is None else wish.authority
    if authority not in AUTHORITIES:
        raise FarrError(
            "mandate",
            _("{authority} is not an authority").format(authority=authority),
            remedy=_("write one of: {names}").format(names=", ".join(AUTHORITIES)),
        )
    purposes = held.purposes if wish.purposes is None else _sorted(wish.purposes)
    if authority == AUDITOR:
        if wish.purposes:
            raise FarrError("mandate", _("an auditor asks nothing"), remedy=_("leave --purpose out"))
        purposes = ()
    elif not purposes:
        purposes = (STATISTICS,)
    mandate = Mandate(
        authority=authority,
        regions=held.regions if wish.regions is None else _bounds(wish.regions),
        purposes=purposes,
        tables=held.tables if wish.tables is None else _bounds(wish.tables),
        project=held.project if wish.project is None else wish.project,
        expires_at=held.expires_at if wish.until is None else _end_of(wish.until),
    )
    _check(mandate, catalogue)
    return mandate


def offered(registrar: Registrar, member: str, wish: Wish, *, now: int) -> Mandate | None:
    """Return the mandate of an analyst who joins with a token that is made now.

    Whoever is let in again, since its certificate has ended, may ask what the roster says; raises FarrError for a wish
    that says anything else, which the token would not bring about.
    """
    catalogue = agreed(registrar)
    known = registrar.roster()[1].by_id.get(member)
    if known is None or known.role != Role.ROLE_ANALYST or known.expires_at >= now:
        mandate = written(wish, None, catalogue)
        check_end(mandate, member, now=now)
        return mandate
    held = _held(known)
    if wish != Wish() and (held is None or written(wish, held, catalogue) != held):
        raise FarrError(
            "mandate",
            _("{member} is let in again, and may ask what the roster says: a token does not change that").format(
                member=member
            ),
            remedy=_("make the token without a mandate; once it has joined: farr registrar mandate {member}").format(
                member=member
            ),
        )
    return held


def until(mandate: Mandate | None, certificate_end: int) -> Mandate | None:
    """Return a mandate that ends with the certificate at the latest (seconds since 1970, UTC).

    Guarantee: one that the registrar gave an end of its own is never prolonged past it: a renewal takes along only what
    ends with the certificate to the second. Test: tests/farr/test_mandates.py::test_a_mandate_does_not_outlive_its_day.
    """
    if mandate is None:
        return None
    if mandate.expires_at == OF_THE_CERTIFICATE:
        return replace(mandate, expires_at=certificate_end)
    return replace(mandate, expires_at=min(mandate.expires_at, certificate_end - 1))


def renewed(before: Member, certificate_end: int) -> Mandate | None:
    """Return the mandate of a member whose certificate was renewed: one that ended with the old ends with the new."""
    mandate = before.mandate
    if mandate is None or mandate.expires_at != before.expires_at:
        return mandate
    return replace(mandate, expires_at=certificate_end)


def change(registrar: Registrar, member: str, wish: Wish, *, now: int) -> Roster:
    """Return the new roster, signed and kept, in which an analyst has another mandate.

    Guarantee: a mandate that was narrowed holds nowhere from this roster on: each hospital judges by the newest that it
    holds, and holds none older. Test: tests/farr/test_mandates.py::test_a_narrowed_mandate_is_in_the_next_roster.
    """
    catalogue = agreed(registrar)
    with registrar.registry.transaction():
        held = registrar.roster()[1]
        found = held.by_id.get(member)
        if found is None:
            raise FarrError(
                "unknown-member",
                _("{member} is not a member").format(member=member),
                remedy=_("list the members: farr registrar roster"),
            )
        if found.role != Role.ROLE_ANALYST:
            raise FarrError("wrong-role", _("{member} is no analyst, so it asks nothing").format(member=member))
        mandate = written(wish, _held(found), catalogue)
        check_end(mandate, member, now=now)
        changed = replace(found, mandate=until(mandate, found.expires_at))
        others = tuple(each for each in held.members if each.id != member)
        return registrar.enact((*others, changed), now=now)


def check_end(mandate: Mandate, member: str, *, now: int) -> None:
    """Raise FarrError for a mandate that would be over when it is given."""
    if mandate.expires_at != OF_THE_CERTIFICATE and mandate.expires_at < now:
        raise FarrError(
            "mandate",
            _("this mandate would be over already"),
            remedy=_("give a later day with --until; to take it all back: farr registrar revoke {member}").format(
                member=member
            ),
        )


def agreed(registrar: Registrar) -> Catalogue:
    """Return the federation's catalogue."""
    return read_catalogue(registrar.federation.catalogue, "catalogue.toml")


def _held(member: Member) -> Mandate | None:
    """Return the mandate on the roster as it was given: one that ends with the certificate has no end of its own."""
    mandate = member.mandate
    if mandate is None or mandate.expires_at != member.expires_at:
        return mandate
    return replace(mandate, expires_at=OF_THE_CERTIFICATE)


def _check(mandate: Mandate, catalogue: Catalogue) -> None:
    if mandate.authority in PLACED and not mandate.regions:
        raise FarrError(
            "mandate",
            _("the authority of a {authority} ends at its border").format(authority=mandate.authority),
            remedy=_("say where that is: --region CODE"),
        )
    for region in mandate.regions:
        if not places.is_known(catalogue, region):
            raise FarrError(
                "region",
                _("the catalogue knows no region {code}").format(code=region),
                remedy=_("write a code of its list of regions, such as 33, 3301 or 330102"),
            )
    known = [table.name for table in catalogue.tables]
    for table in mandate.tables:
        if table not in known:
            raise FarrError(
                "mandate", _("the catalogue has no table {table}").format(table=table), remedy=offer(table, known)
            )
    for purpose in mandate.purposes:
        try:
            checks.name(purpose, "purpose")
        except Rejected:
            raise FarrError(
                "mandate",
                _("{purpose} is no name of a purpose").format(purpose=purpose),
                remedy=_("write a short name, such as statistics or research: a-z 0-9 . _ -"),
            ) from None
    if max(len(mandate.regions), len(mandate.purposes), len(mandate.tables)) > MOST_NAMES:
        raise FarrError("mandate", _("a mandate names at most {most} of each").format(most=MOST_NAMES))
    if len(mandate.project) > MOST_PROJECT or not mandate.project.isprintable():
        raise FarrError("mandate", _("a project has at most {most} printable characters").format(most=MOST_PROJECT))


def _sorted(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _bounds(names: Sequence[str]) -> tuple[str, ...]:
    return () if tuple(names) == (ALL,) else _sorted(names)


def _end_of(day: date) -> int:
    return int(datetime.combine(day + timedelta(days=1), time(), UTC).timestamp())
