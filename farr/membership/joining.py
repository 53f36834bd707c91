"""Joining a federation with a one-time token: keys made here, an application, and the wait for the registrar.

Everything that a join makes is kept as it goes, so it may be cut off at any point and run again with the same token.
A member whose certificate has ended joins again in its own folder, with a new token for the same id: its signing key
and all that it has written stay.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc

from farr import files
from farr.dialing import QUICK, Caller, explain, is_absent
from farr.errors import FarrError
from farr.membership import admitted, home, keys, renewing
from farr.problems import advice
from farr.texts import _
from protocols import joining
from protocols.checks import SKEW
from protocols.errors import Rejected
from protocols.token import JoinToken, decode
from protocols.wire_pb2 import Admission, SignedApplication
from protocols.wire_pb2_grpc import MembershipStub

PENDING = "application.bin"
"""The signed application, while the join is under way."""

PATIENCE = 20.0
"""Seconds for which a coordinator that does not answer is tried again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 5.0

Say = Callable[[str], None]


def read_token(text: str) -> JoinToken:
    """Read a token as a person pasted it; raise FarrError when it was cut or is no token."""
    try:
        return decode(text)
    except Rejected as error:
        raise FarrError(
            "bad-token",
            _("this is not a whole join token"),
            remedy=_("copy the line again from its start, farr1., to its end; or use the file: --token-file"),
        ) from error


def join(
    folder: Path,
    token: JoinToken,
    *,
    say: Say = lambda _text: None,
    timeout: float | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> home.Home:
    """Join and return the new home; wait until the registrar admits, at most ``timeout`` seconds (None: for ever).

    Raises FarrError when the token or the clock is wrong, the coordinator cannot be reached, or the registrar refuses.
    """
    check_time(token, clock())
    files.make_folder(folder)
    again = home.is_joined(folder)
    expected = _rejoining(folder, token) if again else admitted.expected_by(token, folder)
    application = _application(folder / home.RENEWING if again else folder, token, expected)
    caller = Caller(
        address=token.address,
        ca_certificate=keys.certificate_pem(token.ca_certificate),
        certificate=keys.certificate_pem(token.certificate),
        key=keys.to_pem(token.private_key()),
    )
    answer = _apply(caller, application, say=say, timeout=timeout, clock=clock, sleep=sleep)
    joined = admitted.check(
        admitted.Answer(certificate=answer.certificate, roster=answer.roster, catalogue=answer.catalogue),
        expected,
        now=int(clock()),
    )
    if again:
        with files.held(folder / home.LOCK):
            home.take_renewed(folder, joined)
        return joined
    home.write(folder, joined)
    (folder / PENDING).unlink(missing_ok=True)
    return joined


def _rejoining(folder: Path, token: JoinToken) -> admitted.Expected:
    """Return what a member expects that joins again in its own folder: a new TLS key, its signing key, its ledger.

    Guarantee: a folder is only ever one member of one federation, the one whose keys, ledger and log it holds. Test:
    tests/farr/test_joining.py::test_a_home_is_joined_once.
    """
    home.settle(folder)
    held = home.read(folder)
    credentials = held.credentials
    if (credentials.federation, credentials.member, credentials.role, credentials.registrar_key) != (
        token.federation,
        token.member,
        token.role,
        token.registrar_key,
    ) or credentials.ca_certificate != keys.certificate_pem(token.ca_certificate):
        raise FarrError(
            "joined-already",
            _("{folder} is a member's home already").format(folder=folder),
            remedy=_("name another folder with --home; one folder is one member"),
        )
    if not (folder / home.RENEWING / home.TLS_KEY).exists():
        files.make_folder(folder / home.RENEWING)
        files.create_private(folder / home.RENEWING / home.TLS_KEY, keys.to_pem(keys.new_tls_key()))
    identity, tls_key = renewing.new_keys(folder, held)
    return admitted.Expected(
        federation=token.federation,
        member=token.member,
        role=token.role,
        address=token.address,
        ca_certificate=token.ca_certificate,
        registrar_key=token.registrar_key,
        identity=identity,
        tls_key=tls_key,
    )


def check_time(token: JoinToken, now: float) -> None:
    """Raise FarrError when this machine's clock does not lie within the token's life."""
    first, last = token.valid_from(), token.expires_at()
    if now > last:
        raise FarrError(
            "expired-token",
            _("the token expired on {day}; this machine's clock shows {now}").format(day=_time(last), now=_time(now)),
            remedy=_("ask the registrar for a new token, or set the clock if it is wrong"),
        )
    # The certificate begins early by one skew; another one is allowed to the clock here.
    if now < first - SKEW:
        raise FarrError(
            "clock-skew",
            _("this machine's clock shows {now}, before the token was made").format(now=_time(now)),
            remedy=_("set the clock (timedatectl), then join again: the same token serves"),
        )


def _application(folder: Path, token: JoinToken, expected: admitted.Expected) -> SignedApplication:
    """Return the application of a join that was cut off, or write a new one: the registrar must see only one."""
    name = hashlib.sha256(token.certificate).digest()
    pending = folder / PENDING
    if pending.exists():
        try:
            kept = SignedApplication.FromString(pending.read_bytes())
            if joining.verify(kept, token.private_key().public_key()).identity_key == expected.identity.public:
                return kept
        except (Rejected, ValueError):
            pass  # made with another token: the new one needs an application of its own
    application = joining.Application(
        federation=token.federation,
        id=token.member,
        role=token.role,
        identity_key=expected.identity.public,
        certificate_request=keys.certificate_request(expected.tls_key, token.member),
        token=name,
    )
    signed = joining.sign(joining.write(application, expected.identity), token.private_key())
    files.replace(pending, signed.SerializeToString())
    return signed


def _apply(
    caller: Caller,
    application: SignedApplication,
    *,
    say: Say,
    timeout: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Admission:
    begun = heard = clock()
    pause = _FIRST_PAUSE
    told = silent = False
    with caller.channel() as channel:
        stub = MembershipStub(channel)
        while True:
            try:
                answer: Admission = stub.Apply(application, timeout=QUICK)
            except grpc.RpcError as error:
                if not is_absent(error) or clock() - heard > PATIENCE:
                    raise explain(error, caller) from None
                if not silent:
                    say(_("The coordinator at {address} does not answer; trying again.").format(address=caller.address))
                    silent = True
            else:
                heard = clock()
                if answer.refused:
                    raise _refused(answer.refused)
                if answer.admitted:
                    return answer
                if not told:
                    say(_("Applied. Waiting for the registrar to run: farr registrar admit"))
                    told = True
            if timeout is not None and clock() - begun >= timeout:
                raise FarrError(
                    "not-yet",
                    _("the registrar has not admitted this member yet"),
                    remedy=_("run the same command again later: the application stays"),
                )
            sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _refused(code: str) -> FarrError:
    return FarrError(
        code if code.isascii() and code.replace("-", "").isalnum() else "refused",
        _("the registrar refused the application: {reason}").format(reason=advice(code)),
        remedy=_("ask the registrar for a new token"),
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
