"""A release on its way in: nothing that the coordinator says of it is believed that can be checked or computed here."""

from __future__ import annotations

from dataclasses import dataclass

from farr.federation import Known
from farr.figures.result import Privacy, Result, Sites
from farr.texts import language
from protocols import announcement as announcements
from protocols import checks, ring
from protocols import release as releases
from protocols.announcement import Announcement
from protocols.errors import Rejected
from protocols.release import Release
from protocols.request import Request
from protocols.roster import Roster
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Note, Signed
from protocols.wire_pb2 import Release as ReleaseMessage
from queries.agreed.catalogue import Catalogue
from queries.answers.answer import answers, with_small_cells
from queries.answers.foresight import NORMAL_95, expected_half_widths
from queries.answers.quantity import Floats
from queries.asked import rounds
from queries.asked.canonical import decode
from queries.asked.plan import Plan
from queries.asked.rounds import OtherCatalogueError
from queries.asked.view import Pages, check_pages
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import Measurement, calibrate, check_headroom
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally

KEPT_BACK = (
    Note.NOTE_OWN_ROW_WITHHELD,
    Note.NOTE_WITHHELD_POLICY,
    Note.NOTE_WITHHELD_COST,
    Note.NOTE_WITHHELD_BUDGET,
    Note.NOTE_WITHHELD_APPROVAL,
    Note.NOTE_PAUSED,
)
"""Notes of hospitals that were asked and added zeros, because their policy or their budget said so."""


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


def roster_of(signed: Signed) -> int:
    """Return the version of the roster that a release was made for, as it says itself."""
    announced = checks.parse(Signed, checks.parse(ReleaseMessage, signed.body).announcement)
    return checks.parse(AnnouncementMessage, announced.body).roster


def open_release(signed: Signed, known: Known, roster: Roster, vector: bytes = b"") -> Opened:
    """Verify a release by its ``roster``; raise Rejected or QueryError where anything in it does not fit.

    ``vector`` is the sum where it came beside the release.

    Guarantee: the sum answers the request inside it, which its analyst signed; at least m hospitals are in it, and the
    records of at least as many of those that the analyst named as the request demands; m, c, h, the noise and the price
    follow from the roster and the request alone. Test:
    tests/farr/test_client.py::test_a_release_that_was_tampered_with_is_refused.
    """
    coordinator = roster.coordinator.identity_key
    release = releases.read(signed, federation=roster.federation, coordinator_key=coordinator, vector=vector)
    announcement = announcements.read(release.announcement, roster=roster, now=release.released_at)
    request = announcement.request
    if release.id != request.id:
        raise Rejected("replayed", "a release under another request's id")
    if not set(release.contributors) <= set(announcement.contributors):
        raise Rejected("out-of-scope", "hospitals in the sum that were not announced")
    if len(release.contributors) < announcement.minimum:
        raise Rejected("too-few", f"{len(release.contributors)} of {announcement.minimum}")
    if len(_answered(release, request)) < request.minimum:
        raise Rejected("too-few", f"of the {len(request.sites)} that were asked")
    if release.masks != releases.MASKS:
        raise Rejected("protocol-version", "masks")
    try:
        layout = rounds.read(request.plan, known.catalogue)
    except OtherCatalogueError:
        raise Rejected("wrong-catalogue", "release") from None
    measurement = _measure(layout, request.rho_units, announcement, known.catalogue)
    if len(release.vector) != sum(block.entries for block in measurement.blocks):
        raise Rejected("wrong-length", "release")
    return Opened(
        release=release,
        announcement=announcement,
        digest=releases.digest_of(signed),
        plan=layout.plan,
        measurement=measurement,
    )


def sums(opened: Opened) -> tuple[Floats, ...]:
    """Return the noisy sums of a release, block by block, each in the block's own units."""
    whole, found, start = ring.centred(opened.release.vector), [], 0
    for block in opened.measurement.blocks:
        found.append(whole[start : start + block.entries] / block.grid)
        start += block.entries
    return tuple(found)


def answered(opened: Opened) -> tuple[str, ...]:
    """Return the hospitals that were asked and whose records are in the sum."""
    return _answered(opened.release, opened.announcement.request)


def check_answers(opened: Opened, asked: Request) -> None:
    """Raise Rejected unless the release answers the request that was made.

    Guarantee: a coordinator cannot pass off another question's answer, a cheaper or dearer one, one of other or of
    fewer hospitals, or an old one where a fresh one was asked for. Test:
    tests/farr/test_client.py::test_an_answer_to_another_question_is_refused.
    """
    answered = opened.announcement.request
    if (answered.plan, answered.rho_units, answered.trust) != (asked.plan, asked.rho_units, asked.trust):
        raise Rejected("replayed", "a release of another question")
    if answered.sites != asked.sites or len(_answered(opened.release, asked)) < asked.minimum:
        raise Rejected("too-few", "a release of other or fewer hospitals")
    if asked.fresh and answered.id != asked.id:
        raise Rejected("replayed", "an old release where a fresh one was asked for")


def result_of(opened: Opened, known: Known, *, asked: Request | None = None) -> Result:
    """Compute the answer, shown as ``asked`` wants it, which ``check_answers`` passed; else as its own request does.

    Names, order and arithmetic cost nothing, so two requests may show one release in different ways.
    """
    request, release, plan = asked or opened.announcement.request, opened.release, opened.plan
    shown = decode(Pages, request.view)
    check_pages(shown, plan, known.catalogue)
    contributors = len(release.contributors)
    released = answers(
        plan,
        shown,
        known.catalogue,
        ring.centred(release.vector),
        opened.measurement,
        contributors=contributors,
        language=language(),
    )
    tables = tuple(with_small_cells(each, release.minimum_cell) for each in released)
    halves = {
        view.title: expected_half_widths(plan, view, known.catalogue, opened.measurement, contributors=contributors)
        for view in shown.views
    }
    privacy = Privacy(
        measurement=opened.measurement,
        minimum=opened.announcement.minimum,
        colluders=opened.announcement.colluders,
        trust=opened.announcement.request.trust,
        contributors=contributors,
        rows=max(part.bound.rows for part in plan.parts),
        groups=max(part.bound.groups for part in plan.parts),
        sites_per_patient=known.catalogue.sites_per_patient,
        masks=release.masks,
        noise_sd={
            f"{table.title}: {column.name}" if table.title else column.name: None if half is None else half / NORMAL_95
            for table in tables
            for column, half in zip(table.columns, halves[table.title], strict=True)
            if column.kind == "estimate"
        },
    )
    sites = Sites(
        asked=request.sites,
        answered=_answered(release, request),
        helped=tuple(site for site in release.contributors if site not in request.sites),
        needed=request.minimum,
        withheld=_noted(release, request, Note.NOTE_OWN_ROW_WITHHELD),
        by_policy=_noted(release, request, Note.NOTE_WITHHELD_POLICY, Note.NOTE_WITHHELD_COST),
        by_budget=_noted(release, request, Note.NOTE_WITHHELD_BUDGET),
        unapproved=_noted(release, request, Note.NOTE_WITHHELD_APPROVAL),
        paused=_noted(release, request, Note.NOTE_PAUSED),
        without_table=_noted(release, request, Note.NOTE_TABLE_ABSENT),
        without_some=_noted(release, request, Note.NOTE_SOME_TABLES_ABSENT),
    )
    return Result(
        answers=tables,
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


def _measure(layout: Tally, rho_units: int, announcement: Announcement, catalogue: Catalogue) -> Measurement:
    sensitivities = of_tally(layout, catalogue.sites_per_patient)
    measurement = calibrate(layout, sensitivities, rho_of_units(rho_units), announcement.honest)
    check_headroom(layout, measurement, len(announcement.contributors), catalogue.rows_per_site)
    return measurement


def _noted(release: Release, request: Request, *wanted: Note) -> tuple[str, ...]:
    """Return the hospitals that were asked and made one of these remarks."""
    return tuple(site for site in request.sites if set(wanted) & set(release.notes.get(site, ())))


def _answered(release: Release, request: Request) -> tuple[str, ...]:
    """Return the hospitals that were asked and whose records are in the sum."""
    zeros = _noted(release, request, *KEPT_BACK, Note.NOTE_TABLE_ABSENT)
    return tuple(site for site in request.sites if site in release.contributors and site not in zeros)
