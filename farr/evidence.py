"""The evidence of a published figure: fetched once, then checked by anybody, anywhere, without asking anyone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from farr.errors import FarrError
from farr.federation import Known
from farr.figures.result import Result
from farr.questions import opening
from farr.texts import N_, _
from protocols import checks
from protocols import evidence as proofs
from protocols.errors import Rejected
from protocols.evidence import Flaw, Proven
from protocols.wire_pb2 import Evidence
from protocols.wire_pb2 import Release as ReleaseMessage
from queries.agreed.catalogue_file import read_catalogue
from queries.errors import QueryError

MAGIC = b"farr evidence 1\n"
"""First line of a file of evidence."""

_OTHER_CHARGE = N_("its log tells another charge than the released sum calls for")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a file of evidence proves."""

    proven: Proven
    """The release, the logs that tell of it, and what does not hold."""
    result: Result
    """The figures, computed anew."""
    flaws: tuple[Flaw, ...]
    """Everything that does not hold; empty: all of it does."""

    @property
    def good(self) -> bool:
        """Return whether nothing is false; what is missing is no falsehood."""
        return not self.flaws

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        proven, request = self.proven, self.proven.announcement.request
        mandate = proven.roster.by_id[request.analyst].mandate
        return {
            "good": self.good,
            "release": proven.release.id.hex(),
            "digest": proven.digest.hex(),
            "federation": proven.roster.federation,
            "roster": proven.roster.version,
            "analyst": request.analyst,
            "authority": "" if mandate is None else mandate.authority,
            "purpose": request.purpose,
            "reason": request.reason,
            "statement": request.statement,
            "hospitals": [
                {
                    "site": each.site,
                    "entry": each.number,
                    "at": each.at,
                    "units": each.units,
                    "spent": each.spent,
                    "policy": each.policy,
                    "approval": each.approval,
                    "names_release": each.released,
                }
                for each in proven.answered
            ],
            "coordinator": [{"entry": each.number, "kind": each.kind, "at": each.at} for each in proven.coordinator],
            "witnesses": list(proven.witnesses),
            "missing": list(proven.missing),
            "false": [{"member": each.subject, "code": each.code, "detail": each.detail} for each in self.flaws],
            "answer": self.result.to_plain(),
        }


def gathered(prove: Callable[[], Evidence], timeout: float) -> Evidence:
    """Return the evidence of a release, for at most ``timeout`` seconds waiting for what hospitals have yet to show."""
    begun = time.monotonic()
    while True:
        found = prove()
        missing = set(checks.parse(ReleaseMessage, found.release.body).contributors)
        missing -= {each.site for each in found.receipts}
        if not missing or time.monotonic() - begun >= timeout:
            return found
        time.sleep(0.5)


def to_bytes(evidence: Evidence) -> bytes:
    """Return a file of evidence."""
    return MAGIC + evidence.SerializeToString(deterministic=True)


def is_evidence(data: bytes) -> bool:
    """Tell whether these bytes claim to be a file of evidence."""
    return data.startswith(MAGIC)


def verify(data: bytes, *, registrar_key: bytes) -> Verified:
    """Return what a file of evidence proves; raise FarrError where the release itself does not hold.

    Guarantee: nobody is asked, and only the registrar's key is believed. The figures come from the released sum, and
    every hospital that put its records in was charged what the sum costs, no more and no less. Tests:
    tests/farr/test_evidence.py::test_the_evidence_of_a_release_proves_it_offline,
    tests/farr/test_evidence.py::test_no_byte_of_the_evidence_can_be_changed.
    """
    if not is_evidence(data):
        raise _false("malformed", _("the file is no evidence"))
    body = data[len(MAGIC) :]
    try:
        proven = proofs.read(body, registrar_key=registrar_key)
        known = Known(roster=proven.roster, catalogue=read_catalogue(proven.catalogue, "catalogue.toml"), hospitals=())
        evidence = checks.parse(Evidence, body)
        opened = opening.open_release(evidence.release, known, proven.roster, evidence.vector)
        result = opening.result_of(opened, known)
    except Rejected as rejected:
        raise _false(rejected.code, rejected.detail) from rejected
    except QueryError as error:
        raise _false("bad-plan", error.message) from error
    flaws = [
        Flaw(subject=each.site, code="bad-proof", detail=_(_OTHER_CHARGE))
        for each in proven.answered
        if each.units != (opened.measurement.cost if each.site in result.sites.charged else 0)
    ]
    return Verified(proven=proven, result=result, flaws=(*proven.flaws, *flaws))


def _false(code: str, detail: str) -> FarrError:
    return FarrError(
        "false-evidence",
        _("the evidence does not hold: {code} ({detail})").format(code=code, detail=detail),
        remedy=_("ask for the file again, from whoever published the figure or with farr audit export; keep this one"),
        details={"reason": code},
    )
