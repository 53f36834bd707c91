"""Stopping a run of training that nobody had to approve: the policy allowed it, and its rounds were charged here."""

from __future__ import annotations

from farr.errors import FarrError
from farr.hospital.office import Office
from farr.texts import _
from node.authority.decisions import APPROVE, DENY, REVOKE, UNBOUND

UNKNOWN = "unknown-request"
"""The code for what no request here begins with."""


def charged_run(office: Office, identifier: str) -> tuple[str, str]:
    """Return the id, hex, and the analyst of the one run whose id, or the id of a round of it, begins so.

    Of those that were charged here. Raises FarrError where it is not one.
    """
    prefix = identifier.lower()
    rows = office.bench.connection.execute(
        "SELECT DISTINCT json_extract(evidence, '$.run.id'), analyst, lower(hex(request)) FROM charges "
        "WHERE json_valid(evidence) AND json_extract(evidence, '$.run.id') IS NOT NULL"
    )
    found = {
        (str(run), str(analyst))
        for run, analyst, request in rows
        if str(run).startswith(prefix) or str(request).startswith(prefix)
    }
    if len(found) != 1:
        text = _("no request here begins with {id}") if not found else _("{count} requests begin with {id}")
        raise FarrError(
            UNKNOWN,
            text.format(id=identifier, count=len(found)),
            remedy=_("requests: farr node approvals list --all; runs of training: farr node ledger"),
        )
    return next(iter(found))


def deny(office: Office, run: tuple[str, str], by: str, reason: str = "") -> int:
    """Deny a run: no further round of it is answered, whatever the policy says; return the decision's number.

    What was charged stays charged. Guarantee: the word is on the run of this analyst, and stops it at the next round.
    Test: tests/farr/test_approving_runs.py::test_a_run_that_nobody_had_to_approve_is_stopped_by_its_id.
    """
    facts = {"reason": reason} if reason else {}
    return office.decide(DENY, by=by, subject=_subject(run), binding=UNBOUND, facts=facts)


def revoke(office: Office, run: tuple[str, str], by: str) -> int:
    """Take the last word on a run back; return the decision's number. Raises FarrError where there is none."""
    word = office.decisions.newest((APPROVE, DENY, REVOKE), _subject(run))
    if word is None or word.kind == REVOKE:
        raise FarrError(
            "no-decision",
            _("nobody decided on {id}, so there is nothing to take back").format(id=run[0][:8]),
        )
    return office.decide(REVOKE, by=by, subject=_subject(run), binding=UNBOUND)


def _subject(run: tuple[str, str]) -> bytes:
    """Return what a decision on a run is about: as ``node.authority.runs.subject_of`` says of a request of it."""
    identifier, analyst = run
    return bytes.fromhex(identifier) + analyst.encode()
