"""Standard populations: public weights of five-year age groups, for direct standardisation.

``who-2000``: the WHO world standard of 2000 to 2025 (Ahmad et al., GPE Discussion Paper 31, WHO 2001, table 4), in
hundredths of a percent. ``segi``: the world standard of Segi (1960) as modified by Doll (1966), of 100,000.
``china-2000``, ``china-2010`` and ``china-2020``: people counted in the fifth, sixth and seventh national census
(National Bureau of Statistics; the groups add up to the published 1,242,612,226, 1,332,810,869 and 1,409,778,724).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType

from queries.agreed.catalogue import NumberColumn
from queries.agreed.names import offer
from queries.asked.plan import BandKey
from queries.errors import PlanError

WIDTH = 5
"""Years of a group."""

OLDEST = 85
"""Where the last group starts; it has no end."""

STANDARDS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "who-2000": (886, 869, 860, 847, 822, 793, 761, 715, 659, 604, 537, 455, 372, 296, 221, 152, 91, 63),
        "segi": (
            *(12_000, 10_000, 9_000, 9_000, 8_000, 8_000, 6_000, 6_000, 6_000),
            *(6_000, 5_000, 4_000, 4_000, 3_000, 2_000, 1_000, 500, 500),
        ),
        "china-2000": (
            *(68_978_374, 90_152_587, 125_396_633, 103_031_165, 94_573_174, 117_602_265),
            *(127_314_298, 109_147_295, 81_242_945, 85_521_045, 63_304_200, 46_370_375),
            *(41_703_848, 34_780_460, 25_574_149, 15_928_330, 7_989_158, 4_001_925),
        ),
        "china-2010": (
            *(75_532_610, 70_881_549, 74_908_462, 99_889_114, 127_412_518, 101_013_852),
            *(97_138_203, 118_025_959, 124_753_964, 105_594_553, 78_753_171, 81_312_474),
            *(58_667_282, 41_113_282, 32_972_397, 23_852_133, 13_373_198, 7_616_148),
        ),
        "china-2020": (
            *(77_883_888, 90_244_056, 85_255_994, 72_684_140, 74_941_675, 91_847_332),
            *(124_145_190, 99_012_932, 92_955_330, 114_224_887, 121_164_296, 101_400_786),
            *(73_382_938, 74_005_560, 49_590_036, 31_238_849, 20_382_878, 15_417_957),
        ),
    }
)
"""By name: the weight of each group, from 0 to 4 to 85 and over."""

YEARS = frozenset({"", "years", "year", "a", "岁", "年", "anos"})
"""Units of columns that standard populations fit; a column without a unit is taken for years."""


def standard(name: str) -> tuple[int, ...]:
    """Return the weights of a standard population; raise PlanError where there is none of that name."""
    found = STANDARDS.get(name)
    if found is None:
        raise PlanError(f"there is no standard population {name[:80]!r}", remedy=offer(name[:80], STANDARDS))
    return found


def weights(name: str, bands: BandKey, column: NumberColumn) -> tuple[int, ...]:
    """Return the weight of each band of ages: what its five-year groups weigh together.

    Groups below and above the column's bounds have no band and no weight. Raises PlanError where a band does not start
    with a group, or above the last one.
    """
    groups = standard(name)
    if column.unit.lower() not in YEARS:
        raise PlanError(
            f"standard populations have ages in years, {column.name} is in {column.unit}", remedy="give numbers"
        )
    starts = [Fraction(column.in_units(start)) for start in bands.starts]
    if any(start % WIDTH or not 0 < start <= OLDEST for start in starts[1:]):
        raise PlanError(
            f"{name} has groups of {WIDTH} years up to {OLDEST}",
            remedy=f"start bands at multiples of {WIDTH} years, the last at {OLDEST} at the latest, or give numbers",
        )
    first = max(0, min(int(starts[0] // WIDTH), len(groups) - 1))
    last = min(int(Fraction(column.in_units(column.high)) // WIDTH), len(groups) - 1)
    places = [first, *(int(start // WIDTH) for start in starts[1:]), max(last, first) + 1]
    return tuple(sum(groups[low:high]) for low, high in pairwise(places))
