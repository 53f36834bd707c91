"""The request: a question with its price and purpose, signed by the analyst who asks it."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import checks
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from protocols.mandate import Mandate
from protocols.roster import Roster
from protocols.signing import IdentityKey, sign, verify
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Role, Signed
from protocols.wire_pb2 import Run as RunMessage
from protocols.wire_pb2 import Trust as TrustMessage

KIND = "request"

ID_BYTES = 16
PACK_BYTES = 32
DESIGN_BYTES = 32
MOST_REASON = 200
"""Most characters of a reason."""
MOST_PLAN_BYTES = 1 << 20
MOST_TEXT = 1 << 16
MOST_BYTES = 4 << 20
"""Longest signed request, whatever it holds: it travels inside the announcement, to every hospital."""
_TRUST = {
    Trust.NONE: TrustMessage.TRUST_NONE,
    Trust.FIFTH: TrustMessage.TRUST_FIFTH,
    Trust.THIRD: TrustMessage.TRUST_THIRD,
}
LONGEST_LIFE = 31 * 24 * 3600
"""Seconds for which a request may wait for hospitals."""


MOST_ROUNDS = 10_000
"""Most rounds of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run of a model's training that a request is a round of. Only a claim: hospitals check it by the plan."""

    id: bytes
    """16 random bytes, the same for all rounds."""
    design: bytes
    """``queries.asked.design.design_of`` of every round's plan: 32 bytes."""
    round: int
    """1, 2, 3 and so on; a round that is tried again keeps its number."""
    rounds: int
    """Most rounds of the run."""
    rho_units: int
    """Most that the whole run costs, in ledger units; at least the price of any round."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A question, as its analyst signed it."""

    federation: str
    """Where it is asked."""
    id: bytes
    """16 random bytes: a request is answered once."""
    analyst: str
    """Member id of the signer; taken from the signature's frame, not from the body."""
    plan: bytes
    """Canonical bytes of the plan."""
    view: bytes
    """Canonical bytes of the view; nodes do not read it."""
    rho_units: int
    """Privacy loss asked for, in ledger units."""
    sites: tuple[str, ...]
    """Hospitals asked, sorted."""
    minimum: int
    """Fewest contributors for an answer."""
    purpose: str
    """A name from the analyst's mandate."""
    created_at: int
    """Seconds since 1970, UTC."""
    expires_at: int
    """Seconds since 1970, UTC: no hospital answers it afterwards."""
    statement: str
    """As it was typed, for people; nothing is computed from it."""
    fresh: bool
    """Whether a new answer is wanted although a released one would serve."""
    trust: Trust = Trust.THIRD
    """How many hospitals are feared to collude with the coordinator: sets the c in h = m - c, so only the noise."""
    reason: str = ""
    """Why it is asked, in the analyst's words."""
    pack: bytes = b""
    """SHA-256 of the signed pack that it is a run of; empty: of none. Only a claim: hospitals look at the plan."""
    by_residence: bool = False
    """Whether the mandate's regions are where patients live, not where hospitals are."""
    patience: int = 0
    """Seconds from ``created_at`` for which hospitals that hold it for approval are waited for."""
    run: Run | None = None
    """The run of a model's training that it is a round of; None: of none."""


def write(request: Request, key: IdentityKey) -> Signed:
    """Sign a request with its analyst's key."""
    message = RequestMessage(
        federation=request.federation,
        id=request.id,
        plan=request.plan,
        view=request.view,
        rho_units=request.rho_units,
        sites=request.sites,
        minimum=request.minimum,
        purpose=request.purpose,
        created_at=request.created_at,
        expires_at=request.expires_at,
        statement=request.statement,
        fresh=request.fresh,
        trust=_TRUST[request.trust],
        reason=request.reason,
        pack=request.pack,
        by_residence=request.by_residence,
        patience=request.patience,
        run=None if request.run is None else run_message(request.run),
    )
    body = message.SerializeToString(deterministic=True)
    return sign(key, kind=KIND, signer=request.analyst, federation=request.federation, body=body)


def read(signed: Signed, *, roster: Roster, now: int) -> Request:
    """Return a request that an analyst of the roster may make by its mandate, and that is still good at ``now``.

    What the mandate says of regions and tables is for whoever knows the catalogue: ``queries.asked.authority``.

    Guarantee: nobody asks without a mandate that holds at ``now``, and for no purpose but the mandate's, whoever
    carries the request. Tests: tests/protocols/test_request.py::test_a_request_outside_its_analysts_mandate_is_refused,
    test_a_mandate_that_has_ended_serves_no_request.
    """
    asked = read_form(signed, roster=roster, now=now)
    mandate = mandate_of(asked, roster)
    if mandate.expires_at < now:
        raise Rejected("expired-mandate", asked.analyst)
    if asked.purpose not in mandate.purposes:
        raise Rejected("wrong-purpose", f"{asked.purpose!r} of {asked.analyst}")
    return asked


def mandate_of(asked: Request, roster: Roster) -> Mandate:
    """Return the mandate that a request relies on; raise Rejected("no-mandate") where its analyst may ask nothing."""
    mandate = roster.member(asked.analyst, Role.ROLE_ANALYST).mandate
    if mandate is None or not mandate.purposes:
        raise Rejected("no-mandate", asked.analyst)
    return mandate


def read_form(signed: Signed, *, roster: Roster, now: int) -> Request:
    """Return a request that an analyst of the roster signed and that is still good at ``now``, whatever its mandate.

    For reading what was asked long ago; nothing is answered that ``read`` does not let through.

    Guarantee: nobody without the analyst's key can make one, or change its plan, price, scope, purpose or expiry; and
    none, unknown fields included, makes an announcement that is too long to send. Tests:
    tests/protocols/test_request.py::test_any_changed_field_breaks_the_signature,
    test_a_request_swollen_by_unknown_fields_is_refused.
    """
    if signed.ByteSize() > MOST_BYTES:
        raise Rejected("oversized", "request")
    analyst = roster.member(signed.signer, Role.ROLE_ANALYST)
    body = verify(signed, kind=KIND, federation=roster.federation, public_key=analyst.identity_key)
    message = checks.parse(RequestMessage, body)
    if message.federation != roster.federation:
        raise Rejected("wrong-federation", "request")
    if analyst.expires_at < now:
        raise Rejected("expired-certificate", analyst.id)
    checks.not_future(message.created_at, now, "request")
    checks.not_expired(message.expires_at, now, "request")
    if not 0 < message.expires_at - message.created_at <= LONGEST_LIFE:
        raise Rejected("malformed", "life of the request")
    checks.at_most(message.plan, MOST_PLAN_BYTES, "plan")
    checks.at_most(message.view, MOST_TEXT, "view")
    checks.at_most(message.statement, MOST_TEXT, "statement")
    checks.at_most(message.purpose, MOST_REASON, "purpose")
    checks.at_most(message.reason, MOST_REASON, "reason")
    return _request(message, analyst.id)


def asked_for(signed: Signed) -> Request:
    """Return the request that a party verified when it came and has kept itself since; verifies nothing again."""
    return _request(checks.parse(RequestMessage, signed.body), signed.signer)


def _request(message: RequestMessage, analyst: str) -> Request:
    if len(message.pack) not in {0, PACK_BYTES} or message.patience > LONGEST_LIFE:
        raise Rejected("malformed", "pack or patience")
    sites = checks.rising(message.sites, "sites")
    if not 1 <= message.minimum <= len(sites) or not 0 < message.rho_units < 1 << 50:
        raise Rejected("malformed", "sites, minimum or price")
    return Request(
        federation=message.federation,
        id=checks.exact_bytes(message.id, ID_BYTES, "request id"),
        analyst=analyst,
        plan=message.plan,
        view=message.view,
        rho_units=message.rho_units,
        sites=sites,
        minimum=message.minimum,
        purpose=message.purpose,
        created_at=message.created_at,
        expires_at=message.expires_at,
        statement=message.statement,
        fresh=message.fresh,
        trust=_trust(message.trust),
        reason=message.reason,
        pack=message.pack,
        by_residence=message.by_residence,
        patience=message.patience,
        run=_run(message.run, message.rho_units) if message.HasField("run") else None,
    )


def run_message(run: Run) -> RunMessage:
    """Return a run as messages carry it."""
    return RunMessage(id=run.id, design=run.design, round=run.round, rounds=run.rounds, rho_units=run.rho_units)


def _run(message: RunMessage, price: int) -> Run:
    if not 1 <= message.round <= message.rounds <= MOST_ROUNDS or not price <= message.rho_units < 1 << 50:
        raise Rejected("malformed", "round or price of a run")
    return Run(
        id=checks.exact_bytes(message.id, ID_BYTES, "run id"),
        design=checks.exact_bytes(message.design, DESIGN_BYTES, "design"),
        round=message.round,
        rounds=message.rounds,
        rho_units=message.rho_units,
    )


def _trust(setting: TrustMessage) -> Trust:
    for trust, known in _TRUST.items():
        if known == setting:
            return trust
    raise Rejected("malformed", "trust setting")
