"""The registrar's visit to the coordinator: fetch what waits, decide, publish. Nothing that it fetches is believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import grpc

from farr.dialing import QUICK, Caller, code_of, explain, is_absent
from farr.errors import FarrError
from farr.membership import keys
from farr.registrar.admission import Decision, Refused, decide, note_published, publication
from farr.registrar.founding import Registrar
from farr.registrar.renewing import own_certificate, renew_own
from farr.texts import _
from protocols.wire_pb2 import Applications, Nothing
from protocols.wire_pb2_grpc import MembershipStub

PATIENCE = 20.0
"""Seconds for which a coordinator that does not answer is tried again, when admissions are waited for."""

_PAUSE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a visit brought."""

    version: int
    """Of the roster that holds now."""
    admitted: tuple[str, ...]
    """Members whose admission the coordinator got."""
    renewed: tuple[str, ...]
    """Members whose certificate was renewed."""
    rotating: tuple[str, ...]
    """Members that ask for a new signing key and wait for the registrar's word."""
    refused: tuple[Refused, ...]
    """Applications that were turned down."""


def admit(
    registrar: Registrar,
    *,
    wait: int = 0,
    timeout: float = 600.0,
    address: str = "",
    rotate: Collection[str] = (),
    say: Callable[[str], None] = lambda _text: None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Admit who applied, and publish the newest roster; with ``wait``, go on until so many were.

    Certificates of members that ask for it are renewed on the way, which counts as well, and the registrar's own when
    its end is near; a new signing key only for the members in ``rotate``. It stops waiting when no token is left that
    could admit anyone.
    Raises FarrError when the coordinator cannot be reached, or when ``timeout`` seconds pass first.

    Guarantee: what was decided is durable before the coordinator hears of it, and a visit that was cut off is made good
    by the next one. Test:
    tests/farr/test_registrar.py::test_a_crash_between_saving_and_publishing_is_healed_by_the_next_visit.
    """
    renew_own(registrar, now=int(clock()))
    caller = caller_of(registrar, address)
    begun = heard = clock()
    admitted: dict[str, None] = {}
    renewed: dict[str, None] = {}
    rotating: tuple[str, ...] = ()
    refused: dict[bytes, Refused] = {}
    first = True
    with caller.channel() as channel:
        stub = MembershipStub(channel)
        while True:
            try:
                new, decided = _visit(registrar, stub, now=int(clock()), always=first, rotate=rotate)
            except grpc.RpcError as error:
                if not wait or not is_absent(error) or clock() - heard > PATIENCE:
                    raise explain(error, caller) from None
            else:
                heard, first = clock(), False
                admitted.update(dict.fromkeys(new))
                renewed.update(dict.fromkeys(decided.renewed))
                rotating = decided.rotating
                refused.update({each.token: each for each in decided.refused})
                for member in new:
                    say(_("Admitted {member}.").format(member=member))
                for member in decided.renewed:
                    say(_("Renewed the certificate of {member}.").format(member=member))
                left = registrar.registry.outstanding(int(clock()))
                if len(admitted) + len(renewed) >= wait or not left:
                    break
            if clock() - begun >= timeout:
                raise _not_all(registrar, len(admitted) + len(renewed), wait, now=int(clock()))
            sleep(_PAUSE)
    return Outcome(
        version=registrar.roster()[1].version,
        admitted=tuple(admitted),
        renewed=tuple(renewed),
        rotating=rotating,
        refused=tuple(refused.values()),
    )


def publish(registrar: Registrar, *, address: str = "") -> None:
    """Let the coordinator have the newest roster; raise FarrError when it cannot be reached."""
    caller = caller_of(registrar, address)
    with caller.channel() as channel:
        sent = publication(registrar)
        try:
            MembershipStub(channel).Publish(sent, timeout=QUICK)
        except grpc.RpcError as error:
            raise explain(error, caller) from None
    note_published(registrar, sent)


def caller_of(registrar: Registrar, address: str = "") -> Caller:
    """Return the registrar as it dials the coordinator, at another address than the members' if one is given."""
    return Caller(
        address=address or registrar.federation.address,
        ca_certificate=keys.certificate_pem(registrar.federation.ca),
        certificate=keys.certificate_pem(own_certificate(registrar)),
        key=keys.to_pem(registrar.tls_key),
    )


def _visit(
    registrar: Registrar, stub: MembershipStub, *, now: int, always: bool, rotate: Collection[str]
) -> tuple[tuple[str, ...], Decision]:
    decision = decide(registrar, _waiting(registrar, stub).waiting, now=now, rotate=rotate)
    members = {
        grant.token: grant.member for grant in registrar.registry.unpublished() if grant.member not in decision.renewed
    }
    sent = publication(registrar, decision.refused)
    # The first time always: the coordinator may have lost the newest roster, or an earlier visit was cut off.
    if always or sent.admitted:
        stub.Publish(sent, timeout=QUICK)
        note_published(registrar, sent)
    return tuple(sorted(members.values())), decision


def _waiting(registrar: Registrar, stub: MembershipStub) -> Applications:
    try:
        waiting: Applications = stub.Waiting(Nothing(), timeout=QUICK)
    except grpc.RpcError as error:
        if code_of(error) != "unknown-member":
            raise
        # The coordinator does not know the registrar's renewed certificate yet: the roster that names it comes first.
        stub.Publish(publication(registrar), timeout=QUICK)
        waiting = stub.Waiting(Nothing(), timeout=QUICK)
    return waiting


def _not_all(registrar: Registrar, count: int, wait: int, *, now: int) -> FarrError:
    missing = ", ".join(grant.member for grant in registrar.registry.outstanding(now)[:20])
    return FarrError(
        "not-all",
        _("{count} of {wait} members were admitted or renewed in time").format(count=count, wait=wait),
        remedy=_("these have not applied yet: {members}; run the command again, nothing is lost").format(
            members=missing
        ),
    )
