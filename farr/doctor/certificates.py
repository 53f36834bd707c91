"""What the certificate that is shown at the coordinator's address tells about who stands there."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from farr.doctor.finding import Finding
from farr.texts import _
from protocols.checks import SKEW

NAME = "tls"

_CA_PREFIX = "farr ca "


def judge(shown: bytes, ca_pem: bytes, *, address: str, now: float, stated: float | None) -> Finding:
    """Return what is wrong with a certificate (DER) that was not believed.

    ``stated`` is the time that somebody else on the way stated, if anybody did: it tells a wrong clock from a
    certificate that has ended.
    """
    ca = x509.load_pem_x509_certificate(ca_pem)
    try:
        certificate = x509.load_der_x509_certificate(shown)
    except (ValueError, x509.InvalidVersion):
        # No Farr CA writes such a one, whatever the TLS library took it for.
        return _intercepted(_("an unknown issuer"), address)
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return _stranger(certificate, ca, address)
    return _own(certificate, address=address, now=now, stated=stated)


def moment(seconds: float) -> str:
    """Return a time for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _own(certificate: x509.Certificate, *, address: str, now: float, stated: float | None) -> Finding:
    first, last = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    if first <= now <= last:
        return Finding(
            name=NAME,
            good=False,
            code="not-coordinator",
            text=_("a member of this federation answers at {address}, but not its coordinator").format(address=address),
            remedy=_("check the address and the port with the registrar"),
        )
    clock = moment(now)
    if now < first:
        return Finding(
            name=NAME,
            good=False,
            code="clock",
            text=_("this machine's clock is behind: it shows {now}, before the coordinator's certificate began").format(
                now=clock
            ),
            remedy=_("set the clock and let it be kept right: timedatectl set-ntp true"),
        )
    ended = _("the coordinator's certificate ended on {day}; this machine's clock shows {now}").format(
        day=moment(last), now=clock
    )
    if stated is not None and stated < last:
        return Finding(
            name=NAME,
            good=False,
            code="clock",
            text=_("{ended}, but the proxy on the way says that it is {stated}").format(
                ended=ended, stated=moment(stated)
            ),
            remedy=_("set the clock and let it be kept right: timedatectl set-ntp true"),
        )
    return Finding(
        name=NAME,
        good=False,
        code="coordinator-expired",
        text=ended,
        remedy=_("if the clock is right, tell the coordinator's operator: farr coordinator renew; else set the clock"),
    )


def _stranger(certificate: x509.Certificate, ca: x509.Certificate, address: str) -> Finding:
    issuer = _common_name(certificate.issuer) or certificate.issuer.rfc4514_string()
    issuer = "".join(letter if letter.isprintable() else "?" for letter in issuer[:200])
    if issuer.startswith(_CA_PREFIX):
        own = (_common_name(ca.subject) or "").removeprefix(_CA_PREFIX)
        other = issuer.removeprefix(_CA_PREFIX)
        text = (
            _("a federation of the same name, {other}, but with other keys answers at {address}")
            if other == own
            else _("the coordinator of another federation, {other}, answers at {address}")
        )
        return Finding(
            name=NAME,
            good=False,
            code="other-federation",
            text=text.format(other=other, address=address),
            remedy=_("check the address and the port with the registrar; a federation founded anew needs a new join"),
        )
    return _intercepted(issuer, address)


def _intercepted(issuer: str, address: str) -> Finding:
    return Finding(
        name=NAME,
        good=False,
        code="intercepted",
        text=_("a device on the way opens TLS connections: what answers at {address} was certified by {issuer}").format(
            address=address, issuer=issuer
        ),
        remedy=_("have {address} exempted from TLS inspection; nothing was sent to the device, and its CA is not to be "
        "trusted here").format(address=address),
    )  # fmt: skip


def clock(stated: float, now: float, by: str) -> Finding:
    """Return whether this machine's clock agrees with a time that somebody else stated."""
    apart = int(abs(now - stated))
    if apart > SKEW:
        text = (
            _("this machine's clock is {seconds} seconds ahead of {by}")
            if now > stated
            else _("this machine's clock is {seconds} seconds behind {by}")
        )
        return Finding(
            name="time",
            good=False,
            code="clock",
            text=text.format(seconds=apart, by=by),
            remedy=_("set the clock and let it be kept right: timedatectl set-ntp true"),
        )
    return Finding(name="time", good=True, text=_("this machine's clock agrees with {by}").format(by=by))


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
