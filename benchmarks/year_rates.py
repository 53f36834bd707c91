"""What the simulated year assumes: how many hospitals of what size, how common things are, and who says so.

The rates themselves are those of the shipped pack (``volume``: rows for each discharge; ``share``: about how large the
share is), which foresight reads as well. What is not named here is an assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DISCHARGES = 6_400
"""Discharges of a hospital in a year: 245.0 M in 38,355 hospitals in 2023 (national bulletin of that year)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Hospitals that are asked together."""

    name: str
    """In the tables."""
    prefectures: tuple[int, ...]
    """Hospitals in each prefecture."""

    @property
    def hospitals(self) -> int:
        """Return how many there are."""
        return sum(self.prefectures)

    @property
    def monthly(self) -> float:
        """Return the discharges of all of them in a month."""
        return self.hospitals * DISCHARGES / 12

    def of_prefecture(self, place: int) -> float:
        """Return the discharges of a prefecture in a month."""
        return self.prefectures[place] * DISCHARGES / 12


FEDERATIONS = (
    Federation(name="10 hospitals, 1 prefecture", prefectures=(10,)),
    Federation(name="50 hospitals, 5 prefectures", prefectures=(16, 12, 10, 7, 5)),
    # A province of eleven prefectures: hospitals in proportion to Zhejiang's people in the census of 2020.
    Federation(name="298 hospitals, 11 prefectures", prefectures=(55, 44, 43, 33, 31, 25, 24, 16, 12, 10, 5)),
    # The same number in one city, as in the federation that Guangzhou reported: 298 institutions.
    Federation(name="298 hospitals, 1 city", prefectures=(298,)),
)
"""From a small one to a province and a large city."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "visits": "4.26 bn hospital visits and 245.0 M discharges in 2023, national bulletin",
        "los_mean": "8.8 days in 2023, national bulletin",
        "cost_per_case": "10,315.8 CNY in 2023, national bulletin",
        "cost_per_visit": "361.6 CNY in 2023, national bulletin",
        "notifiable_cases": "18.7 M cases and 302 M discharges in 2023, national bulletins; diseases as in 2014",
        "caesarean_rate": "43.5 % of 38.5 M deliveries, 2016-2020 (Yin et al., J Glob Health 2023)",
        "mrsa": "30.2 % in 2019, China Antimicrobial Resistance Surveillance System",
        "carbapenem_aba": "over 50 % in 2019, China Antimicrobial Resistance Surveillance System",
        "carbapenem_pae": "18.2-21.0 % in 2014-2019, China Antimicrobial Resistance Surveillance System",
        "recognition_rate": "above 96 %, reported by Guangzhou's platform of 270 institutions",
    }
)
"""By indicator, who says how common it is; all others: assumption."""

CASES: Mapping[str, int] = MappingProxyType(
    {
        "hfmd": 2_778_861,
        "hepatitis": 1_223_021,
        "tb": 889_381,
        "diarrhoea": 867_545,
        "syphilis": 419_091,
        "varicella": 386_684,
        "influenza": 215_533,
        "mumps": 187_500,
        "dysentery": 153_585,
        "gonorrhoea": 95_473,
        "brucellosis": 57_222,
        "scarlet": 54_247,
        "measles": 52_628,
        "dengue": 46_864,
        "aids": 45_145,
        "ahc": 41_514,
        "typhus": 16_032,
        "typhoid": 13_768,
        "other": 13_676,
        "rubella": 11_793,
        "hfrs": 11_522,
        "schisto": 4_212,
        "pertussis": 3_408,
        "echino": 3_363,
        "malaria": 2_921,
        "rabies": 924,
        "je": 858,
        "lepto": 498,
        "tetanus": 426,
        "leprosy": 349,
        "kala_azar": 291,
        "anthrax": 248,
        "mening": 170,
    }
)
"""Cases of notifiable diseases in mainland China in 2014 (Data-center of China Public Health Science)."""

ORGANISMS: Mapping[str, float] = MappingProxyType(
    {
        "eco": 0.20,
        "kpn": 0.15,
        "pae": 0.09,
        "aba": 0.08,
        "sau": 0.09,
        "cns": 0.08,
        "ecl": 0.03,
        "efa": 0.04,
        "efm": 0.04,
        "spn": 0.03,
        "cal": 0.03,
        "pma": 0.03,
        "pmi": 0.02,
        "hin": 0.02,
        "sag": 0.02,
        "neg": 0.02,
        "pos": 0.01,
        "fun": 0.01,
        "sma": 0.01,
    }
)
"""Share of tests by organism: an assumption in the order that the surveillance system reports."""

SPREAD: Mapping[str, Mapping[str, float]] = MappingProxyType({"disease": CASES, "organism": ORGANISMS})
"""By grouping that an indicator always has, how rows lie over its codes; others: evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHoc:
    """A question that an analyst thinks of."""

    what: str
    """In words."""
    statement: str
    """In Farr's SQL, over the common model."""
    rows: float
    """Rows in a cell for each discharge of the quarter: an assumption."""
    rows_per_patient: int = 1
    """Most rows of a patient that enter."""


# Read by queries.sql, and run by nobody.
# ruff: noqa: S608
_QUARTER = "BETWEEN '2026-07-01' AND '2026-09-30'"

AD_HOC = (
    AdHoc(
        what="admissions for stroke in a quarter, by sex and four ages",
        statement="SELECT sex, BAND(age, 45, 65, 75) AS age, COUNT(*) AS n FROM discharge "
        f"WHERE disch_dt {_QUARTER} AND dx_main IN ('I63', 'I64') GROUP BY sex, BAND(age, 45, 65, 75)",
        rows=0.04 / 8,
    ),
    AdHoc(
        what="length of stay after a broken hip in a quarter",
        statement=f"SELECT AVG(los) AS days FROM discharge WHERE disch_dt {_QUARTER} AND dx_main = 'S72'",
        rows=0.004,
    ),
    AdHoc(
        what="median cost of a discharge for diabetes in a quarter",
        statement=f"SELECT MEDIAN(cost) AS cost FROM discharge WHERE disch_dt {_QUARTER} "
        "AND dx_main IN ('E10', 'E11', 'E12', 'E13', 'E14')",
        rows=0.03,
    ),
    AdHoc(
        what="visits for influenza-like illness, by week of a quarter",
        statement=f"SELECT WEEK(dt) AS week, COUNT(*) AS n FROM visit WHERE dt {_QUARTER} AND ili = 'Y' "
        "GROUP BY WEEK(dt)",
        rows=17 * 0.04 / 13,
        rows_per_patient=2,
    ),
    AdHoc(
        what="cases of tuberculosis in a quarter, by four ages",
        statement=f"SELECT BAND(age, 15, 45, 65) AS age, COUNT(*) AS n FROM case_report WHERE report_ts {_QUARTER} "
        "AND LEVEL(disease, 'disease') = 'tb' GROUP BY BAND(age, 15, 45, 65)",
        rows=0.06 * 0.12 / 4,
    ),
)
"""Five kinds of question, of which each is asked twenty times in the year, of all hospitals together."""
