"""The evidence of a release of the harbour, with a log for every hospital and for the coordinator."""

from __future__ import annotations

from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import checks
from protocols import release as releases
from protocols import roster as rosters
from protocols.checkpoint import Checkpoint, Witness
from protocols.hashing import digest
from protocols.wire_pb2 import Evidence, HospitalReceipt, Receipt, Signed
from protocols.wire_pb2 import Release as ReleaseMessage
from tests.farr import harbour
from tests.protocols.test_log import add, fresh


def signed_of(log, member, *, key=None, federation="harbour"):
    """Return the checkpoint of a whole log."""
    size, _ = log.head()
    made = Checkpoint(federation=federation, member=member, size=size, root=log.root(size), at=7)
    return checkpoints.write(made, key or harbour.key(member))


def receipt_of(log, member, tau, numbers, **changes):
    """Return a member's receipt with these entries of its log."""
    size, _ = log.head()
    entries = [log.shown(number, size) for number in numbers]
    return Receipt(announcement=tau, entries=entries, checkpoint=signed_of(log, member, **changes))


def hospital(site, release, *, units, facts=None, other_release=None):
    """Return a hospital's receipt."""
    announced = checks.parse(Signed, checks.parse(ReleaseMessage, release.body).announcement)
    tau = announcements.tau(announced)
    asked = announcements.read(announced, roster=harbour.roster(), now=_now(release)).request
    log = fresh(3)
    answered = {
        "request": asked.id.hex(), "round": tau.hex(), "analyst": asked.analyst, "purpose": asked.purpose,
        "units": units, "spent": 2 * units, "policy": "ab" * 32, "approval": 4,
    }  # fmt: skip
    first = add(log, kind="answered", **(answered | (facts or {})))
    named = releases.digest_of(other_release or release).hex()
    second = add(log, kind="released", round=tau.hex(), request=asked.id.hex(), release=named)
    add(log, kind="started")
    return HospitalReceipt(site=site, receipt=receipt_of(log, site, tau, [first.number, second.number]))


def coordinator(release):
    """Return the coordinator's receipt."""
    message = checks.parse(ReleaseMessage, release.body)
    announced = checks.parse(Signed, message.announcement)
    found = announcements.read(announced, roster=harbour.roster(), now=_now(release))
    tau, request = announcements.tau(announced), message.id.hex()
    log = fresh(2)
    signed = digest("farr1/request", found.signed_request.body).hex()
    add(log, kind="submitted", request=request, analyst=found.request.analyst, signed=signed)
    add(log, kind="announced", request=request, round=tau.hex(), epoch=7, slot=1)
    add(log, kind="released", request=request, round=tau.hex(), release=releases.digest_of(release).hex())
    return receipt_of(log, "coordinator", tau, [3, 4, 5])


def whole(release, *, units, sites=harbour.SITES):
    """Return the whole of it: receipts of all hospitals, witnesses of two."""
    own = coordinator(release)
    seen = checkpoints.digest_of(own.checkpoint)
    return Evidence(
        release=release,
        roster=rosters.write(harbour.roster(), harbour.key("registrar")),
        catalogue=harbour.CATALOGUE,
        receipts=[hospital(site, release, units=units) for site in sites],
        coordinator=own,
        witnesses=[
            checkpoints.write_witness(
                Witness(member=site, checkpoint=seen, keeper="coordinator", at=9),
                federation="harbour",
                key=harbour.key(site),
            )
            for site in ("aden", "brest")
        ],
    )


def _now(release):
    return checks.parse(ReleaseMessage, release.body).released_at
