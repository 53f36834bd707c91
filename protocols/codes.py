"""Every code with which one party refuses another, and what the receiver can do about it.

A code depends only on public facts (signatures, rosters, catalogues, policies, budgets, clocks), never on a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ADVICE: Mapping[str, str] = MappingProxyType(
    {
        # messages
        "malformed": "the message does not parse or a field is out of range; both sides should run the same version",
        "oversized": "the message is larger than allowed; ask for fewer cells",
        "protocol-version": "the two sides speak different protocol versions; update the older one",
        # identity
        "unknown-member": "the certificate is not on the current roster; it may have been revoked",
        "wrong-role": "this certificate's role may not do that",
        "expired-certificate": "the member's certificate has expired; ask the registrar for a new token",
        "bad-signature": "the signature does not fit the signer on the roster",
        "unknown-suite": "the object is signed with cryptography that this version does not have; update it",
        "renewed": "the certificate was renewed; connect with the new one",
        "displaced": "another process connected with the same identity; only one may run",
        "bad-token": "the join token is unknown, used or expired; ask the registrar for a new one",
        "key-in-use": "another member has this signing key already; make keys on each machine, never copy a home",
        # mandates
        "no-mandate": "this analyst has no mandate to ask; the registrar gives one",
        "expired-mandate": "the analyst's mandate has ended; ask the registrar to extend it",
        "wrong-purpose": "the analyst's mandate does not name this purpose; ask for one that it names",
        "out-of-region": "the question reaches beyond the regions of the analyst's mandate; ask fewer hospitals, or "
        "only about patients who live there",
        "wrong-table": "the analyst's mandate does not name this table",
        # rosters and catalogues
        "stale-roster": "the roster is older than one already held, or not signed by this federation's registrar",
        "unknown-roster": "the coordinator does not hold that roster",
        "wrong-federation": "the message belongs to another federation",
        "wrong-catalogue": "the question was made for another catalogue; connect again and ask anew",
        # requests and announcements
        "expired": "the request or announcement is past its time",
        "clock-skew": "the signer's clock and the receiver's differ by more than five minutes",
        "replayed": "this request was already answered under another announcement",
        "slot-used": "this slot already carries another announcement",
        "out-of-scope": "the hospital is not among those asked",
        "bad-plan": "the question does not fit the catalogue",
        "wrong-run": "the round does not fit its run of training: another design, more rounds or a higher price than "
        "the run's first round said; begin a new run",
        "unknown-table": "the hospital does not offer this table",
        "cohort-too-small": "fewer hospitals would answer than the hospital's policy demands",
        "denied": "nobody at the hospital approved the request, or somebody there denied it",
        "approval": "nobody at the hospital has approved the request",
        "paused": "the hospital's operator has paused its node",
        "policy": "the hospital's policy does not allow this question",
        "cost-limit": "the question costs more than the hospital allows for one question",
        "budget": "the hospital's budget for life does not cover the question",
        "wrong-length": "the vector has another length than the plan says",
        "late": "the upload came after the round was closed",
        # apps
        "no-app": "the hospital does not hold this app; its operator puts it there with farr node apps allow",
        "no-sandbox": "the hospital cannot shut an app off on its machine; its policy would have to allow that",
        # long content
        "unknown-blob": "the coordinator does not hold this content, or it is not the caller's to read; send it again",
        "bad-digest": "the content that arrived is not what its digest says; send it again from the start",
        # the secure sum
        "too-few-nodes": "fewer hospitals hold keys than the secure sum needs, which is at least three; wait for more "
        "to connect",
        "no-beacon": "so many hospitals need a committee drawn by a public beacon; configure one",
        "wrong-epoch": "the message belongs to another epoch; it is renewed in the background",
        "not-in-freeze": "this hospital's key is not in the epoch's list; it takes part from the next epoch on",
        "unknown-round": "this hospital has not accepted the announcement that the message names",
        "bad-survivors": "the named survivors are not hospitals of the round",
        "bad-quorum": "too few hospitals confirmed the survivors, or a confirmation does not hold",
        "bad-share": "a key share does not open: it was made for another hospital, slot or round",
        "bad-sum": "the masks did not cancel, so nothing was released; one hospital sent wrong key shares",
        # evidence
        "bad-proof": "a log does not prove what it says; keep both of its signed checkpoints and ask its keeper",
        "rolled-back": "this hospital's state is older than what it has signed; its operator has to say how to go on",
        # outcomes
        "too-few": "fewer hospitals answered in time than the question needs; ask again when more are connected",
        "interrupted": "the coordinator restarted in mid-round; what hospitals sent stays charged; ask again",
        "cancelled": "the request was cancelled",
        "unknown-request": "there is no such request, or it is another analyst's",
        "busy": "too many requests are waiting; try again later",
        "internal": "the coordinator failed; its operator finds the reason in its log",
        "unavailable": "the hospital could not compute the answer; its operator finds the reason under the reference",
    }
)
"""By code, the advice that goes with it."""
