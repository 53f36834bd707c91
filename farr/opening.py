"""A release on its way in: nothing that the coordinator says of it is believed that can be checked or computed here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from farr.federation import Known
from farr.result import Privacy, Result, Sites
from farr.texts import language
from protocols import announcement as announcements
from protocols import checks, ring
from protocols import release as releases
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.release import Release
from protocols.request import Request
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Note, Signed
from queries.accounting import rho_of_units
from queries.answer import answer, expected_half_widths
from queries.canonical import decode
from queries.catalogue import Catalogue
from queries.check import check
from queries.measurement import Measurement, calibrate, check_headroom
from queries.plan import Plan
from queries.sensitivity import of_tally
from queries.tally import tally
from queries.view import View, check_view

NORMAL_95 = 1.959963984540054
"""Half-width of a 95 % interval, in standard deviations."""

WITHOUT_MASKS_HONEST = 1
"""h where uploads are not hidden: the coordinator sees each, so each carries the whole noise."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A release whose signatures and contents hold."""

    release: Release
    """The sum and who is in it."""
    announcement: Announcement
    """What those hospitals answered, with the analyst's own request."""
    digest: bytes
    """Of the signed release."""
    plan: Plan
    """What was asked."""
    measurement: Measurement
    """The noise, re-derived."""


def open_release(signed: Signed, known: Known) -> Opened:
    """Verify a release; raise Rejected or QueryError where anything in it does not fit.

    Guarantee: the sum answers the request inside it, which its analyst signed; at least the announced minimum of the
    hospitals that the analyst named are in it; its noise and its price follow from the request alone. Test:
    tests/farr/test_client.py::test_a_release_that_was_tampered_with_is_refused.
    """
    roster = known.roster
    release = releases.read(signed, federation=roster.federation, coordinator_key=roster.coordinator.identity_key)
    epoch = checks.parse(AnnouncementMessage, release.announcement.body).epoch
    if epoch > roster.version:
        raise Rejected("stale-roster", "a release of a roster that is newer than the one held")
    # Its own roster may be gone. Whoever signed must still be a member, with the same key, for the release to be shown.
    announcement = announcements.read(
        release.announcement, roster=replace(roster, version=epoch), now=release.released_at
    )
    request = announcement.request
    if release.id != request.id:
        raise Rejected("replayed", "a release under another request's id")
    if not set(release.contributors) <= set(announcement.contributors):
        raise Rejected("out-of-scope", "hospitals in the sum that were not announced")
    if len(release.contributors) < announcement.minimum:
        raise Rejected("too-few", f"{len(release.contributors)} of {announcement.minimum}")
    if release.masks != releases.NO_MASKS or announcement.honest != WITHOUT_MASKS_HONEST:
        raise Rejected("protocol-version", "masks")
    plan = decode(Plan, request.plan)
    if plan.catalogue != known.catalogue.digest:
        raise Rejected("wrong-catalogue", "release")
    check(plan, known.catalogue)
    measurement = _measure(plan, request.rho_units, announcement, known.catalogue)
    if len(release.vector) != sum(block.entries for block in measurement.blocks):
        raise Rejected("wrong-length", "release")
    return Opened(
        release=release,
        announcement=announcement,
        digest=releases.digest_of(signed),
        plan=plan,
        measurement=measurement,
    )


def check_answers(opened: Opened, asked: Request) -> None:
    """Raise Rejected unless the release answers the request that was made.

    Guarantee: a coordinator cannot pass off another question's answer, a cheaper or dearer one, one of other or of
    fewer hospitals, or an old one where a fresh one was asked for. Test:
    tests/farr/test_client.py::test_an_answer_to_another_question_is_refused.
    """
    answered = opened.announcement.request
    if (answered.plan, answered.rho_units) != (asked.plan, asked.rho_units):
        raise Rejected("replayed", "a release of another question")
    if answered.sites != asked.sites or len(opened.release.contributors) < asked.minimum:
        raise Rejected("too-few", "a release of other or fewer hospitals")
    if asked.fresh and answered.id != asked.id:
        raise Rejected("replayed", "an old release where a fresh one was asked for")


def result_of(opened: Opened, known: Known, *, asked: Request | None = None) -> Result:
    """Compute the answer, shown as ``asked`` wants it, which ``check_answers`` passed; else as its own request does.

    Names, order and arithmetic cost nothing, so two requests may show one release in different ways.
    """
    request, release, plan = asked or opened.announcement.request, opened.release, opened.plan
    shown = decode(View, request.view)
    check_view(shown, plan)
    contributors = len(release.contributors)
    table = answer(
        plan,
        shown,
        known.catalogue,
        ring.centred(release.vector),
        opened.measurement,
        contributors=contributors,
        language=language(),
    )
    halves = expected_half_widths(plan, shown, known.catalogue, opened.measurement, contributors=contributors)
    privacy = Privacy(
        measurement=opened.measurement,
        rows=plan.bound.rows,
        groups=plan.bound.groups,
        tolerated=opened.announcement.minimum - opened.measurement.honest,
        sites_per_patient=known.catalogue.sites_per_patient,
        masks=release.masks,
        noise_sd={
            column.name: None if half is None else half / NORMAL_95
            for column, half in zip(table.columns, halves, strict=True)
            if column.kind == "estimate"
        },
    )
    sites = Sites(
        asked=request.sites,
        answered=release.contributors,
        needed=opened.announcement.minimum,
        withheld=_noted(release, Note.NOTE_OWN_ROW_WITHHELD),
        without_table=_noted(release, Note.NOTE_TABLE_ABSENT),
    )
    return Result(
        answer=table,
        statement=request.statement,
        privacy=privacy,
        sites=sites,
        release=release.id.hex(),
        digest=opened.digest.hex(),
        released_at=release.released_at,
        seconds=release.seconds,
        reused=asked is not None and asked.id != release.id,
        remaining_units={
            hospital.id: hospital.remaining_units
            for hospital in known.hospitals
            if hospital.id in request.sites and hospital.remaining_units is not None
        },
    )


def _measure(plan: Plan, rho_units: int, announcement: Announcement, catalogue: Catalogue) -> Measurement:
    layout = tally(plan, catalogue)
    sensitivities = of_tally(layout, catalogue.sites_per_patient)
    measurement = calibrate(layout, sensitivities, rho_of_units(rho_units), announcement.honest)
    check_headroom(layout, measurement, len(announcement.contributors), catalogue.rows_per_site)
    return measurement


def _noted(release: Release, note: Note) -> tuple[str, ...]:
    return tuple(sorted(site for site, notes in release.notes.items() if note in notes))
