"""A run before it is asked: its cost, its bytes, and a rehearsal on fake rows. No request leaves, no record is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from farr.questions import mandated
from farr.questions.asking import Sharing
from farr.training.budget import price_of, short_of
from farr.training.coefficients import Table
from farr.training.frames import Rows, design_of
from farr.training.recipe import CENTRE, Recipe, settled
from farr.training.rehearsal import Federation as Rehearsed
from farr.training.run import first_round
from farr.training.sample import fake_rows
from farr.training.terms import Prepared, prepare
from farr.training.trained import Trained
from node.sampler import Entropy
from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import encode
from queries.asked.plan import Step
from queries.asked.predicates import Sites
from queries.cost.accounting import epsilon_of, rho_of_units
from queries.models.design import Design
from queries.models.shape import sum_width
from queries.models.training import train

if TYPE_CHECKING:
    from farr.client import Federation

PATIENTS = 5000
"""Patients of a rehearsal, over all hospitals, unless said otherwise."""

MOST_HOSPITALS = 10
"""Hospitals of a rehearsal: more of them add up to the same noise."""

ENTRY_BYTES = 8
"""Of one masked number of a hospital's upload."""


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What a run would cost, and what its noise would be like."""

    prepared: Prepared
    """The recipe in the catalogue's terms."""
    sites: tuple[str, ...]
    """The hospitals that would be asked."""
    minimum: int
    """Fewest that must answer."""
    rho_units: int
    """The price of the whole run, in ledger units."""
    rounds: int
    """As many as the rehearsal took, its evaluation counted."""
    down_bytes: int
    """What each hospital is sent over all rounds: the questions themselves."""
    up_bytes: int
    """What each sends over all rounds: one masked number of eight bytes for each sum."""
    patients: int
    """Fake ones, over all hospitals."""
    short: tuple[str, ...] = ()
    """Hospitals that are known to have less left than the price."""
    rehearsed: Trained
    """The model of the fake rows: only its noise says anything."""

    @property
    def epsilon(self) -> float:
        """Return the price as an epsilon."""
        return epsilon_of(rho_of_units(self.rho_units))

    @property
    def table(self) -> Table:
        """Return the rehearsal's coefficients, of which only the noise errors mean anything."""
        return self.rehearsed.table()


def foresee(
    federation: Federation,
    recipe: Recipe,
    *,
    patients: int = PATIENTS,
    by_residence: bool = False,
    patience: int = mandated.PATIENCE,
) -> Foreseen:
    """Price a run and rehearse it on fake rows; raise FarrError or QueryError where it may not be asked."""
    asking, prepared = first_round(federation, recipe, by_residence=by_residence, patience=patience, late=True)
    found = rehearse(prepared, asking.sharing, patients=patients)
    sites = asking.question.sites
    short = tuple(short_of(federation, sites, found.rho_units))
    return replace(found, sites=sites, minimum=asking.minimum, short=short)


def fake(recipe: Recipe, catalogue: Catalogue, sites: Sites, *, rows: int = PATIENTS) -> Trained:
    """Train on fake rows, with noise as five hospitals would add it: to develop against, without any federation."""
    recipe = settled(recipe)
    facts = sites or {f"fake-{place}": _first_facts(catalogue) for place in range(5)}
    sharing = Sharing(hospitals=5, minimum=5, colluders=0, honest=5)
    return rehearse(prepare(recipe, catalogue, facts), sharing, patients=rows).rehearsed


def rehearse(
    prepared: Prepared, sharing: Sharing, *, patients: int, seed: int = 1, entropy: Entropy = os.urandom
) -> Foreseen:
    """Run the whole algorithm on fake rows, with noise as the hospitals would add it."""
    shape, recipe, rho = prepared.shape, prepared.recipe, rho_of_units(price_of(prepared.recipe))
    hospitals = min(sharing.hospitals, MOST_HOSPITALS)
    honest = max(1, round(hospitals * sharing.honest / sharing.hospitals))
    design = _fake_design(prepared, patients, seed)
    share = float(prepared.held_share)
    kept, held = _divided(design, hospitals, share) if share else (_dealt(design, hospitals), ())
    rehearsed = Rehearsed(designs=kept, held=held, honest=honest, rows=prepared.part.bound.rows)
    run = train(prepared.model, shape)
    turn, rounds, down, up = next(run), 0, 0, 0
    while True:
        rounds += 1
        down += len(encode(prepared.question(turn.step).plan))
        up += ENTRY_BYTES * _entries(turn.step, prepared)
        try:
            turn = run.send(rehearsed.sums(turn, shape, Fraction(rho), entropy))
        except StopIteration as end:
            model = Trained(fitted=end.value, prepared=prepared, run=None)
            return Foreseen(
                prepared=prepared,
                sites=prepared.sites,
                minimum=sharing.minimum,
                rho_units=price_of(recipe),
                rounds=rounds,
                down_bytes=down,
                up_bytes=up,
                patients=patients,
                rehearsed=model,
            )


def _entries(step: Step, prepared: Prepared) -> int:
    return sum(sum_width(want, step, prepared.shape) for want in step.wants)


def _fake_design(prepared: Prepared, patients: int, seed: int) -> Design:
    """Return fake rows that meet the recipe's conditions as far as missing values go: the model's, not the question's.

    Other conditions are left out, since so few of rows without any distribution might meet them.
    """
    frame = fake_rows(prepared.catalogue, prepared.part.table, patients, seed, facts=True)
    frame["site"] = [prepared.sites[place % len(prepared.sites)] for place in range(patients)]
    if prepared.recipe.missing != CENTRE:
        frame = frame.mask(frame == "").ffill().bfill()
    return design_of(prepared.step, Rows(frame.mask(frame == ""), prepared.setting), prepared.setting)


def _dealt(design: Design, hospitals: int) -> tuple[Design, ...]:
    return tuple(_only(design, np.arange(place, design.rows, hospitals)) for place in range(hospitals))


def _divided(design: Design, hospitals: int, share: float) -> tuple[tuple[Design, ...], tuple[Design, ...]]:
    edge = int(design.rows * (1 - share))
    first, last = (_only(design, part) for part in (np.arange(edge), np.arange(edge, design.rows)))
    return _dealt(first, hospitals), _dealt(last, hospitals)


def _only(design: Design, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Design:
    return Design(
        starts=np.arange(len(rows), dtype=np.intp),
        x=design.x[rows],
        outcome=design.outcome[rows],
        exposure=design.exposure[rows],
        stratum=design.stratum[rows],
    )


def _first_facts(catalogue: Catalogue) -> dict[str, str]:
    return {fact.name: fact.codes.codes[0].code for fact in catalogue.site_attributes}
