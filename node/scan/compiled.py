"""What a plan comes to: its tally, its noise and its cost, derived here and never taken from a request."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from node.noise import check_cost
from protocols.errors import Rejected
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import Plan
from queries.asked.rounds import OtherCatalogueError, read
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import Measurement, calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally
from queries.errors import QueryError

MOST_KEPT = 64
"""Compiled plans that are kept."""

MOST_KEPT_BYTES = 1 << 22
"""Bytes of their plans together, as they are written; in memory numbers and texts take some ten times that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A checked plan at a price."""

    tally: Tally
    """The shape of the vector."""
    measurement: Measurement
    """The noise."""
    cost: int
    """In ledger units, recomputed from the noise."""

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        return self.tally.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """Compiles plans of one catalogue and keeps those asked last."""

    catalogue: Catalogue
    """What plans are checked against."""
    kept: OrderedDict[tuple[bytes, int, int, int], Compiled] = field(default_factory=OrderedDict)
    """By digest of the plan, price, h and bytes of the plan, the one used last at the end."""

    def compile(self, plan: bytes, rho_units: int, honest: int) -> Compiled:
        """Return what a plan comes to at a price; raise Rejected("bad-plan") when it does not fit the catalogue.

        ``honest`` is the h that ``protocols.announcement.read`` computed from the roster and the request.

        Guarantee: tally, sensitivity, noise and cost follow from the plan's bytes, the price, h and the catalogue
        alone, and the cost is at most the price; what is kept takes tens of megabytes at most. Tests:
        tests/node/test_answer.py::test_every_number_is_derived_here,
        tests/node/test_compiled.py::test_remembered_networks_do_not_fill_the_memory.
        """
        name = (hashlib.sha256(plan).digest(), rho_units, honest, len(plan))
        if name in self.kept:
            self.kept.move_to_end(name)
            return self.kept[name]
        try:
            compiled = self._compile(plan, rho_units, honest)
        except QueryError as error:
            raise Rejected("bad-plan", error.message) from error
        self.kept[name] = compiled
        while len(self.kept) > MOST_KEPT or sum(size for *_, size in self.kept) > MOST_KEPT_BYTES:
            self.kept.popitem(last=False)
        return compiled

    def _compile(self, plan: bytes, rho_units: int, honest: int) -> Compiled:
        try:
            shape = read(plan, self.catalogue)
        except OtherCatalogueError:
            raise Rejected("wrong-catalogue", "plan") from None
        sensitivities = of_tally(shape, self.catalogue.sites_per_patient)
        measurement = calibrate(shape, sensitivities, rho_of_units(rho_units), honest)
        if measurement.cost > rho_units:
            raise Rejected("bad-plan", "costs more than was asked for")
        # The noise makes the same check again; here it comes before any record is read.
        for noise in measurement.blocks:
            check_cost(noise, honest)
        return Compiled(tally=shape, measurement=measurement, cost=measurement.cost)
