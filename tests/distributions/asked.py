"""One question for the tests of noise: SQL in, exact bounded tallies of prepared files, estimates out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.records.prepare import prepare
from node.scan.scan import Scanner
from queries.agreed.catalogue import Catalogue
from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import Answer, answers
from queries.answers.figures import Estimate
from queries.asked.canonical import decode, encode
from queries.asked.check import check
from queries.asked.plan import Plan
from queries.asked.question import Question
from queries.asked.view import AggregateTerm
from queries.cost.measurement import BlockNoise, Measurement, calibrate, check_headroom
from queries.cost.sensitivity import of_tally
from queries.cost.tally import Tally, tally
from queries.sql import read

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAYS = 10
"""Longest stay that the catalogue admits."""
PATIENTS = 30
"""In each ward of a hospital."""

KINDS = 3
"""Hospitals with files of their own; a federation's hospitals hold them in turn."""


def names(hospitals: int) -> tuple[str, ...]:
    """Return the hospitals' ids, sorted."""
    return tuple(f"h{index:04}" for index in range(hospitals))


def ward(cell: int) -> str:
    """Return the code of a cell."""
    return f"w{cell:03}"


def catalogue(cells: int) -> Catalogue:
    """Return stays in so many wards, of which one of each patient enters an answer."""
    codes = ", ".join(f'"{ward(cell)}"' for cell in range(cells))
    source = f"""
name = "noise"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[tables.stay]
patient = "patient_id"
rows_per_patient = 1
[tables.stay.columns.ward]
codes = [{codes}]
[tables.stay.columns.days]
number = {{ low = 0, high = {DAYS} }}
"""
    return read_catalogue(source.encode(), "noise.toml")


def stays(kind: int, cells: int) -> list[tuple[str, int, int]]:
    """Return (patient, cell, days) of a hospital; all stays of a patient are alike, so any one of them may enter."""
    made = []
    for number in range(PATIENTS * cells):
        cell, days = number % cells, (number // cells + kind) % (DAYS + 1)
        made += [(f"p{number}", cell, days)] * (40 if number % 7 == kind else 1)
    return made


@dataclass(frozen=True)
class Asked:
    """A statement at a price, with the noise of ``honest`` hospitals."""

    statement: str
    cells: int
    hospitals: int
    rho: Fraction
    honest: int

    @cached_property
    def agreed(self) -> Catalogue:
        """The catalogue."""
        return catalogue(self.cells)

    @cached_property
    def question(self) -> Question:
        """Plan and view, as read from the statement."""
        return read(self.statement, self.agreed, {name: {} for name in names(self.hospitals)})

    @cached_property
    def tally(self) -> Tally:
        """The shape, from the plan's bytes as a hospital gets them."""
        plan = decode(Plan, encode(self.question.plan))
        check(plan, self.agreed)
        return tally(plan, self.agreed)

    @cached_property
    def measurement(self) -> Measurement:
        """The noise."""
        made = calibrate(self.tally, of_tally(self.tally, self.agreed.sites_per_patient), self.rho, self.honest)
        check_headroom(self.tally, made, self.hospitals, self.agreed.rows_per_site)
        return made

    @property
    def noises(self) -> tuple[BlockNoise, ...]:
        """The noise of each estimate of the view, in its order; for estimates of one block each."""
        terms = [column.expression for column in self.question.view.columns]
        (of_part,) = self.tally.of_aggregate
        found = [of_part[-1][term.aggregate] for term in terms if isinstance(term, AggregateTerm)]
        return tuple(self.measurement.blocks[block] for (block,) in found)

    @property
    def grids(self) -> Ints:
        """Steps of the grid in a unit, by entry."""
        return np.repeat([noise.grid for noise in self.measurement.blocks], self.tally.sizes).astype(np.int64)

    def estimates(self, total: Ints, contributors: int) -> Floats:
        """Return the figures that an analyst sees, one row for each estimate and one column for each cell."""
        rows = self.answer(total, contributors).rows
        return np.array([[cell.value for cell in row.cells if isinstance(cell, Estimate)] for row in rows]).T

    def answer(self, total: Ints, contributors: int) -> Answer:
        """Return the table that an analyst sees."""
        (found,) = answers(
            self.question.plan, self.question.pages, self.agreed, total, self.measurement, contributors=contributors
        )
        return found

    def exact(self, folder: Path) -> tuple[Ints, ...]:
        """Return each hospital's exact tally, from files that were prepared and scanned."""
        kinds = [self._scanned(folder / f"{self.cells}-{kind}", kind) for kind in range(KINDS)]
        return tuple(kinds[index % KINDS] for index in range(self.hospitals))

    def _scanned(self, folder: Path, kind: int) -> Ints:
        folder.mkdir(exist_ok=True)
        lines = [f"{patient},{ward(cell)},{days}" for patient, cell, days in stays(kind, self.cells)]
        (folder / "stay.csv").write_text("\n".join(["patient_id,ward,days", *lines]) + "\n")
        scanner = Scanner(prepare(folder / "home", folder, None, self.agreed, bytes(32)).path)
        try:
            return scanner.tally(self.tally, self.agreed, names(1)[0], {}, own_row=True)
        finally:
            scanner.close()

    def truth(self, members: Sequence[int]) -> Floats:
        """Return rows and summed days, each by cell, over these hospitals: one stay a patient, in plain Python."""
        summed: Floats = np.array([alone(member % KINDS, self.cells) for member in members]).sum(axis=0)
        return summed


@lru_cache(maxsize=16)
def alone(kind: int, cells: int) -> Floats:
    """Return rows and summed days, each by cell, of one hospital."""
    counted = np.zeros((2, cells))
    for _, cell, days in set(stays(kind, cells)):
        counted[:, cell] += 1, days
    return counted
