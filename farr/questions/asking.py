"""A question on its way out: its price, its hospitals, and what to expect of its answer. Reads no record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from farr.errors import FarrError
from farr.questions.late import Late
from farr.questions.mandated import PATIENCE
from farr.texts import _
from protocols.farrsum.parameters import Trust, honest, least_survivors, parameters
from queries.agreed.catalogue import Catalogue
from queries.answers.coarser import Coarser, coarser
from queries.answers.figures import FREE
from queries.answers.foresight import Foreseen, foresee
from queries.answers.quantity import Floats
from queries.asked.question import Question
from queries.asked.view import AxisTerm, KeyTerm, Pages, View
from queries.cost.accounting import epsilon_of, rho_of, rho_of_units, units
from queries.cost.measurement import Measurement, calibrate, check_headroom
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally

EPSILON = 0.5
"""The epsilon of a question that names no other."""

MOST_EPSILON = 20.0
"""The dearest price that a search for an accuracy tries."""

SHARE_NEEDED = 4, 5
"""Of the hospitals asked, the share that must answer unless said otherwise, as a fraction."""

Widths = dict[str, float | None]
"""Half-widths by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How the hospitals of a federation share the noise of an answer, if all of them are there."""

    hospitals: int
    """Of the roster: all add noise, also those that are not asked."""
    minimum: int
    """m: fewest in a sum."""
    colluders: int
    """c: feared by the trust setting."""
    honest: int
    """h: shares of noise that make the whole; 1: each hospital adds the whole noise."""


def sharing(hospitals: int, trust: Trust, needed: int) -> Sharing:
    """Return how ``hospitals`` share the noise under a trust setting; raise Rejected where they are too few.

    ``needed``: fewest that must answer. The fewer absences an analyst puts up with, the less noise each adds.
    """
    minimum = least_survivors(parameters(roster_nodes=hospitals, nodes=hospitals), hospitals, needed)
    return Sharing(
        hospitals=hospitals,
        minimum=minimum,
        colluders=trust.colluders(hospitals),
        honest=honest(minimum, trust, hospitals),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a question is asked."""

    epsilon: float | None = None
    """Privacy loss, as an epsilon; None: the default, unless ``within`` says how exact the answer shall be."""
    within: str = ""
    """How exact: a share of ``expect`` such as ``5%``, or a number such as ``20``. Empty: ``epsilon`` decides."""
    expect: float | None = None
    """The rows that the analyst expects in a cell: what figures are foreseen from, and ``within`` as a share is of."""
    minimum: int | None = None
    """Fewest hospitals that must answer; None: four in five of those asked."""
    purpose: str = ""
    """What it is asked for: a name from the analyst's mandate; empty: what goes without saying."""
    reason: str = ""
    """Why it is asked, in the analyst's words; hospitals see it."""
    pack: bytes = b""
    """Digest of the signed pack that it is a run of; empty: of none."""
    by_residence: bool = False
    """Whether the mandate's regions are where patients live, not where hospitals are."""
    patience: int = PATIENCE
    """Seconds for which hospitals that hold it for approval are waited for."""
    fresh: bool = False
    """Whether a new answer is wanted although a released one would serve."""
    trust: Trust = Trust.THIRD
    """How many hospitals are feared to collude with the coordinator: fewer, less noise, if their policies agree."""
    late: Late = Late.STOP
    """What to do about hospitals that have not loaded the whole period."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A question with its price, ready to be signed."""

    question: Question
    """What is asked, and of whom."""
    statement: str
    """As it was typed; empty for a question that was built in Python."""
    terms: Terms
    """How it is asked."""
    rho_units: int
    """Its price, in ledger units."""
    minimum: int
    """Fewest hospitals that must answer."""
    sharing: Sharing
    """Who adds it."""
    measurement: Measurement
    """The noise that the price buys."""
    earlier: Sequence[Floats] | None = None
    """Sums of an earlier release of the same plan, by which figures are foreseen; None: there is none."""

    @property
    def epsilon(self) -> float:
        """Return the price as an epsilon."""
        return epsilon_of(rho_of_units(self.rho_units))


def prepare(
    question: Question,
    terms: Terms,
    catalogue: Catalogue,
    *,
    hospitals: int,
    statement: str = "",
    earlier: Sequence[Floats] | None = None,
    rho_units: int | None = None,
) -> Asking:
    """Price a question to a federation of ``hospitals``; raise FarrError, Rejected or QueryError where it cannot be.

    ``earlier``: block by block the sums of an earlier release of the same plan, for what to expect. ``rho_units``: the
    price, whatever the terms say.
    """
    sites = len(question.sites)
    minimum = -(-sites * SHARE_NEEDED[0] // SHARE_NEEDED[1]) if terms.minimum is None else terms.minimum
    if not 1 <= minimum <= sites:
        raise FarrError(
            "minimum",
            _("a minimum of {minimum} hospitals, but {sites} are asked").format(minimum=minimum, sites=sites),
            remedy=_("ask for 1 to {sites}").format(sites=sites),
        )
    check_expected(terms.expect)
    if terms.within and terms.epsilon is not None:
        raise FarrError("terms", _("--within and --epsilon both set the price"), remedy=_("give one of the two"))
    shared = sharing(hospitals, terms.trust, minimum)
    asked = units(rho_of(EPSILON if terms.epsilon is None else terms.epsilon)) if rho_units is None else rho_units
    asking = Asking(
        question=question,
        statement=statement,
        terms=terms,
        rho_units=asked,
        minimum=minimum,
        sharing=shared,
        measurement=measure(question, asked, catalogue, shared),
        earlier=earlier,
    )
    return _priced(asking, catalogue) if terms.within and rho_units is None else asking


def check_expected(rows: float | None) -> None:
    """Raise FarrError unless what is expected is a number of rows, or nothing."""
    if rows is not None and not 0 < rows < math.inf:
        raise FarrError(
            "terms",
            _("{rows:g} is not a number of rows to expect").format(rows=rows),
            remedy=_("give --expect a number above 0"),
        )


def at_price(asking: Asking, rho_units: int, catalogue: Catalogue) -> Asking:
    """Return the same question at another price."""
    measurement = measure(asking.question, rho_units, catalogue, asking.sharing)
    return replace(asking, rho_units=rho_units, measurement=measurement)


def trust_of(written: str) -> Trust:
    """Return a trust setting by its name; raise FarrError for another."""
    for trust in Trust:
        if trust.value == written:
            return trust
    raise FarrError(
        "terms",
        _("{trust} is not a trust setting").format(trust=written),
        remedy=_("write none, one-fifth or one-third"),
    )


def late_of(written: str) -> Late:
    """Return what to do about hospitals that are not ready, by its name; raise FarrError for another."""
    for late in Late:
        if late.value == written:
            return late
    raise FarrError(
        "terms",
        _("{late} is nothing to do about late hospitals").format(late=written),
        remedy=_("write stop, ask or leave-out"),
    )


def settings(asking: Asking, catalogue: Catalogue) -> Mapping[Trust, tuple[Sharing, Widths]]:
    """Return, under each trust setting, how the noise would be shared and the half-widths at the same price."""
    found = {}
    for trust in Trust:
        shared = sharing(asking.sharing.hospitals, trust, asking.minimum)
        measurement = measure(asking.question, asking.rho_units, catalogue, shared)
        other = replace(asking, sharing=shared, measurement=measurement)
        found[trust] = (shared, half_widths(other, catalogue))
    return found


def measure(question: Question, rho_units: int, catalogue: Catalogue, shared: Sharing) -> Measurement:
    """Return the noise that a price buys for a question."""
    layout = tally(question.plan, catalogue)
    sensitivities = of_tally(layout, catalogue.sites_per_patient)
    measurement = calibrate(layout, sensitivities, rho_of_units(rho_units), shared.honest)
    check_headroom(layout, measurement, shared.hospitals, catalogue.rows_per_site)
    return measurement


def half_widths(asking: Asking, catalogue: Catalogue) -> Widths:
    """Return by column of figures the half-width of its 95 % noise-only interval; None where nobody can know it yet.

    It holds if every hospital takes part. Where the terms say how many rows to expect in a cell, that of ratios can be
    foreseen too.
    """
    return {name: found.half for name, found in foreseen(asking, catalogue).items()}


def foreseen(asking: Asking, catalogue: Catalogue) -> dict[str, Foreseen]:
    """Return by column of figures what to expect of it, if every hospital takes part."""
    found: dict[str, Foreseen] = {}
    for view in asking.question.pages.views:
        columns = foresee(
            asking.question.plan,
            view,
            catalogue,
            asking.measurement,
            contributors=asking.sharing.hospitals,
            expect=asking.terms.expect,
            earlier=asking.earlier,
        )
        for column, expected in zip(view.columns, columns, strict=True):
            if expected is not None:
                found[f"{view.title}: {column.name}" if view.title else column.name] = expected
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A coarser way to ask whose figures would be reliable."""

    instead: Coarser
    """Which key to replace, and by what."""
    relative: float
    """The greatest half-width over the figure that is expected there."""


def advise(asking: Asking, catalogue: Catalogue) -> Advice | None:
    """Return the least coarse way to ask, one key changed, at which all expected figures are free to use.

    None where they are already, where nothing is expected, or where no single change is enough.
    """
    expect, question = asking.terms.expect, asking.question
    if not expect or len(question.plan.parts) != 1 or len(question.pages.views) != 1:
        return None
    if all(found.reliability in ("", FREE) for found in foreseen(asking, catalogue).values()):
        return None
    shown = [column for column in question.view.columns if not isinstance(column.expression, (KeyTerm, AxisTerm))]
    view = View(columns=tuple(shown))
    for instead in sorted(coarser(question.part, catalogue), key=lambda each: each.factor):
        plan = replace(question.plan, parts=(instead.part,))
        other = replace(question, plan=plan, pages=Pages(views=(view,)))
        terms = replace(asking.terms, expect=expect * instead.factor)
        measurement = measure(other, asking.rho_units, catalogue, asking.sharing)
        found = foreseen(
            replace(asking, question=other, terms=terms, measurement=measurement, earlier=None), catalogue
        ).values()
        relative = [each.relative for each in found if each.relative is not None]
        if relative and all(each.reliability in ("", FREE) for each in found):
            return Advice(instead=instead, relative=max(relative))
    return None


def _priced(asking: Asking, catalogue: Catalogue) -> Asking:
    """Return the question at the least price at which its widest column is as exact as the terms ask."""
    target, share = _target(asking.terms)

    def widths(price: int) -> dict[str, float]:
        found = foreseen(at_price(asking, price, catalogue), catalogue)
        known = ((name, each.relative if share else each.half) for name, each in found.items())
        return {name: width for name, width in known if width is not None}

    low, high = 1, units(rho_of(MOST_EPSILON))
    dearest = widths(high)
    if not dearest:
        raise _unforeseen(asking, share=share)

    def fits(price: int) -> bool:
        # A figure that is undefined at a lower price is as wide as can be there.
        found = widths(price)
        return all(found.get(name, math.inf) <= target for name in dearest)

    if not fits(high):
        raise FarrError(
            "terms",
            _("an error of at most {target:g} would cost more than an epsilon of {most:g}").format(
                target=target, most=MOST_EPSILON
            )
            if not share
            else _("an error of at most {percent:g} % would cost more than an epsilon of {most:g}").format(
                percent=100 * target, most=MOST_EPSILON
            ),
            remedy=_("accept a wider interval, group more coarsely, or ask for fewer figures at once"),
        )
    # Units are far finer than anyone needs: a thousandth of the price is close enough.
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return at_price(asking, high, catalogue)


def _target(terms: Terms) -> tuple[float, bool]:
    """Return the half-width that the terms ask for, and whether it is a share of the figure."""
    written = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([%％]?)\s*", terms.within)
    if not written or float(written[1]) == 0:
        raise FarrError(
            "terms",
            _("{within} says not how exact the answer shall be").format(within=terms.within),
            remedy=_("write a share such as 5%, or a number such as 20"),
        )
    if not written[2]:
        return float(written[1]), False
    return float(written[1]) / 100, True


def _unforeseen(asking: Asking, *, share: bool) -> FarrError:
    if share and asking.terms.expect is None and asking.earlier is None:
        return FarrError(
            "terms",
            _("{within} of what? The expected value is missing").format(within=asking.terms.within.strip()),
            remedy=_(
                "add --expect with the rows that you expect in a cell, or write --within with a plain number; after a "
                "first answer to the same question, its figures are taken"
            ),
        )
    return FarrError(
        "terms",
        _("no column of this question has an error that can be foreseen: each is a ratio or a product"),
        remedy=_("add --expect with the rows in a cell, add a count, or give the price with --epsilon"),
    )
