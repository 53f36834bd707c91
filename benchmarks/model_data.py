"""Made-up records of the common model: six tables of one hospital, the same every time.

Sizes and shares are of the order of real ones; nothing else in them is real. No patient has more rows in a month than
the shipped pack counts, so that its exact figures are those of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from queries.agreed.catalogue import Catalogue

DAY = np.timedelta64(1, "D")
MINUTE = np.timedelta64(1, "m")

DIAGNOSES = ("I21", "I63", "I10", "I50", "J44", "J18", "E11", "C34", "K80", "S72", "O80", "N18", "R07", "R10", "I25")
OPERATIONS = ("36", "45", "47", "51", "79", "81")
DISEASES = ("influenza", "hfmd", "tb", "hepatitis_b", "syphilis_l", "mumps", "varicella", "dysentery_b", "plague")
ITEMS = ("4548-4", "92142-9", "14682-9", "718-7", "2823-3", "1988-5", "18748-4")
ORGANISMS = ("eco", "kpn", "sau", "pae", "aba")
DRUGS = ("J01DH02", "J01DD04", "J01CF04", "J01MA12")

PARTS = {"discharge": 0.15, "visit": 0.30, "lab_result": 0.25, "case_report": 0.05, "claim": 0.10, "charge": 0.15}
"""Of a hospital's rows, the share in each table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """The days that rows lie in."""

    first: date = date(2026, 9, 1)
    """First day."""
    days: int = 91
    """How many."""


class Hospital:
    """One hospital's records."""

    def __init__(self, site: str, rows: int, seed: int, year: Year | None = None) -> None:
        """Prepare to make about ``rows`` rows in all tables together."""
        self._site, self._rows, self._year = site, rows, year or Year()
        self._draw = np.random.default_rng(seed)

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Return the tables by name."""
        made = {name: max(40, int(self._rows * share)) for name, share in PARTS.items()}
        return {name: getattr(self, f"_{name}")(rows) for name, rows in made.items()}

    def write(self, folder: Path, catalogue: Catalogue) -> None:
        """Write the tables as Parquet, with the columns of the catalogue that are not made up left empty."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self.tables().items():
            whole(frame, catalogue, name).to_parquet(folder / f"{name}.parquet")

    def _pid(self, kind: str, numbers: Any) -> Any:
        return np.char.add(f"{self._site}-{kind}", np.asarray(numbers).astype(str))

    def _days(self, rows: int) -> Any:
        return np.datetime64(self._year.first) + self._draw.integers(0, self._year.days, rows) * DAY

    def _flag(self, rows: int, share: float) -> Any:
        return np.where(self._draw.random(rows) < share, "Y", "N")

    def _pick(self, codes: Any, rows: int, chances: Any = None) -> Any:
        return self._draw.choice(np.array(list(codes), dtype=object), rows, p=chances)

    def _missing(self, values: Any, share: float) -> Any:
        found = np.array(values, dtype=object)
        found[self._draw.random(len(found)) < share] = None
        return found

    def _discharge(self, rows: int) -> pd.DataFrame:
        number = np.arange(rows)
        people = int(rows * 0.9)
        first = number < people
        out = self._days(rows)
        stay = np.clip(self._draw.geometric(0.12, rows), 1, 60)
        # The others come back some days after their first stay.
        again = np.arange(rows - people)
        out[people:] = out[again] + (1 + self._draw.integers(0, 40, rows - people) + stay[people:]) * DAY
        operated = self._draw.random(rows) < 0.4
        elective = self._pick("EEELU", rows)
        main = self._pick(DIAGNOSES, rows)
        main[~first & np.isin(main, ["I21", "I63", "O80"])] = "J18"
        caesarean = (main == "O80") & (self._draw.random(rows) < 0.45)
        other, present = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
        other[:] = self._pick(("I10", "E11", "N18;I50", ""), rows)
        present[:] = np.where(other == "N18;I50", "1;1", np.where(other == "", "", "1"))
        clot = first & operated & (self._draw.random(rows) < 0.02)
        other[clot], present[clot] = "I82;I10", "4;1"
        cost = np.round(np.clip(self._draw.lognormal(8.9, 0.8, rows), 300, 190_000), 2)
        weight = np.round(np.clip(self._draw.lognormal(0, 0.5, rows), 0.05, 30), 2)
        tumour = first & (self._draw.random(rows) < 0.05)
        way = self._pick(("1", "2", "3", "4", "5"), rows, [0.90, 0.03, 0.03, 0.02, 0.02])
        return pd.DataFrame(
            {
                "pid": self._pid("p", np.where(first, number, number - people)),
                "age": self._draw.integers(0, 100, rows),
                "sex": self._pick(("1", "2"), rows),
                "region": self._pick(("330102", "330106", "330203"), rows),
                "adm_dt": out - stay * DAY,
                "disch_dt": out,
                "los": stay,
                "disch_way": way,
                "ref_to": np.where(np.isin(way, ["2", "3"]), self._pick(("3", "2", "C", "T"), rows), None),
                "readm_plan": self._flag(rows, 0.2),
                "dx_main": self._missing(main, 0.01),
                "dx_other": other,
                "poa": present,
                "op_main": np.where(caesarean, "74.1", np.where(operated, self._pick(OPERATIONS, rows), None)),
                "op_level": np.where(operated, self._pick("1234", rows), None),
                "op_urgency": np.where(operated, elective, None),
                "op_mis": np.where(operated, self._flag(rows, 0.2), None),
                "day_surg": np.where(operated, self._flag(rows, 0.15), None),
                "incision": np.where(operated, self._pick("123", rows), None),
                "ssi": np.where(operated, self._flag(rows, 0.01), None),
                "complication": np.where(operated, self._flag(rows, 0.03), None),
                "reop": np.where(operated, self._flag(rows, 0.01), None),
                "hai": self._flag(rows, 0.02),
                "drg": self._pick("BEFGO", rows),
                "drg_wt": weight,
                "drg_los": np.round(np.clip(stay + self._draw.normal(0, 2, rows), 1, 60), 1),
                "drg_cost": np.round(np.clip(cost * self._draw.normal(1, 0.1, rows), 300, 190_000), 2),
                "risk": self._pick("1234", rows),
                "charlson": self._draw.integers(0, 6, rows),
                "payer": self._pick("1237", rows),
                "cost": cost,
                "cost_drug": np.round(cost * 0.25, 2),
                "cost_cons": np.round(cost * 0.2, 2),
                "cost_serv": np.round(cost * 0.3, 2),
                "cost_self": np.round(cost * 0.28, 2),
                "tumour_site": np.where(tumour, self._pick(("C34", "C50", "C18"), rows), None),
                "tumour_stage": np.where(tumour, self._pick(("I", "II", "III", "IV"), rows), None),
                "fu_days": np.where(tumour, self._draw.integers(30, 3000, rows), None),
                "fu_event": np.where(tumour, self._flag(rows, 0.4), None),
                "abx_ddd": np.round(np.clip(self._draw.exponential(3.3, rows), 0, 200), 1),
                "abx_restricted": self._flag(rows, 0.12),
                "abx_specimen": self._flag(rows, 0.6),
            }
        )

    def _visit(self, rows: int) -> pd.DataFrame:
        referred = self._flag(rows, 0.01), self._flag(rows, 0.015)
        return pd.DataFrame(
            {
                "pid": self._pid("p", np.arange(rows) % max(1, rows // 3)),
                "dt": self._days(rows) + self._draw.integers(0, 1440, rows) * MINUTE,
                "type": self._pick(("OP", "ER"), rows, [0.9, 0.1]),
                "age": self._draw.integers(0, 100, rows),
                "sex": self._pick(("1", "2"), rows),
                "region": self._pick(("330102", "330106", "330203"), rows),
                "payer": self._pick("1237", rows),
                "cost": np.round(np.clip(self._draw.lognormal(5.5, 0.8, rows), 5, 4_900), 2),
                "rx_n": self._draw.integers(0, 4, rows),
                "rx_abx": self._flag(rows, 0.08),
                "ref_out": referred[0],
                "ref_to": np.where(referred[0] == "Y", self._pick(("3", "2", "C"), rows), None),
                "ref_in": referred[1],
                "ref_from": np.where(referred[1] == "Y", self._pick(("C", "T", "1"), rows), None),
                "ili": self._flag(rows, 0.04),
            }
        )

    def _lab_result(self, rows: int) -> pd.DataFrame:
        people = max(1, rows // 4)
        number = np.arange(rows)
        person, turn = number % people, number // people
        # The fourth result of a patient repeats the item of the third.
        item = np.array(ITEMS, dtype=object)[(person + np.minimum(turn, 2)) % len(ITEMS)]
        micro = item == "18748-4"
        looked_up = self._flag(rows, 0.1)
        used = np.where((looked_up == "Y") & (self._draw.random(rows) < 0.96), "Y", "N")
        return pd.DataFrame(
            {
                "pid": self._pid("p", person),
                "ts": self._days(rows) + self._draw.integers(0, 1440, rows) * MINUTE,
                "kind": np.where(micro, "micro", "lab"),
                "age": self._draw.integers(0, 100, rows),
                "sex": self._pick(("1", "2"), rows),
                "item": item,
                "value": np.where(item == "4548-4", np.round(self._draw.normal(7.1, 1, rows).clip(4, 14), 1), None),
                "flag": np.where(item == "92142-9", self._pick(("POS", "NEG"), rows, [0.2, 0.8]), "N"),
                "organism": np.where(micro, self._pick(ORGANISMS, rows), None),
                "drug": np.where(micro, self._pick(DRUGS, rows), None),
                "sir": np.where(micro, self._pick(("S", "I", "R"), rows, [0.6, 0.1, 0.3]), None),
                "recog_query": looked_up,
                "recog_used": np.where(looked_up == "Y", used, None),
                "saved": np.where(used == "Y", np.round(self._draw.exponential(60, rows).clip(0, 4_900), 2), None),
            }
        )

    def _case_report(self, rows: int) -> pd.DataFrame:
        seen = self._days(rows) + self._draw.integers(0, 1440, rows) * MINUTE
        return pd.DataFrame(
            {
                "pid": self._pid("p", np.arange(rows)),
                "disease": self._pick(DISEASES, rows),
                "dx_ts": seen,
                "report_ts": seen + self._draw.exponential(600, rows).astype(int) * MINUTE,
                "region": self._pick(("330102", "330106", "330203"), rows),
                "age": self._draw.integers(0, 100, rows),
                "sex": self._pick(("1", "2"), rows),
                "death": self._flag(rows, 0.01),
            }
        )

    def _claim(self, rows: int) -> pd.DataFrame:
        people = max(1, rows // 2)
        number = np.arange(rows)
        out = self._days(rows)
        stay = np.clip(self._draw.geometric(0.12, rows), 1, 60)
        again = number >= people
        out[again] = out[number[again] - people] + (1 + self._draw.integers(0, 30, again.sum()) + stay[again]) * DAY
        total = np.round(np.clip(self._draw.lognormal(8.9, 0.8, rows), 300, 190_000), 2)
        return pd.DataFrame(
            {
                "pid": self._pid("p", number % people),
                "ins": self._pick(("310", "390"), rows),
                "setting": self._pick(("21", "11"), rows, [0.9, 0.1]),
                "pay": self._pick(("DRG", "DIP", "FFS"), rows, [0.5, 0.3, 0.2]),
                "age": self._draw.integers(0, 100, rows),
                "sex": self._pick(("1", "2"), rows),
                "region": self._pick(("330102", "330106", "330203"), rows),
                "adm_dt": out - stay * DAY,
                "disch_dt": out,
                "settle_dt": out,
                "dx_main": self._pick(("I10", "J44"), rows),
                "drg": self._pick("BEFGO", rows),
                "total": total,
                "standard": np.round(np.clip(total * self._draw.normal(0.97, 0.2, rows), 300, 190_000), 2),
                "multiple": self._pick(("N", "H", "L"), rows, [0.94, 0.04, 0.02]),
            }
        )

    def _charge(self, rows: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "pid": self._pid("p", np.arange(rows) % max(1, rows // 10)),
                "svc_dt": self._days(rows),
                "item": self._draw.integers(0, 30, rows),
                "cat": self._pick(("drug", "cons", "lab"), rows),
                "amount": np.round(self._draw.exponential(80, rows).clip(0, 19_000), 2),
                "rule": self._missing(self._pick(("SEX", "AGE", "DUP"), rows), 0.99),
            }
        )


def whole(frame: pd.DataFrame, catalogue: Catalogue, table: str) -> pd.DataFrame:
    """Return a table with every column that the catalogue wants recorded; those not made up are empty."""
    described = catalogue.table(table)
    names = [column.name for column in described.recorded if column.name not in frame]
    empty = pd.DataFrame({name: pd.Series([None] * len(frame), dtype="object") for name in names}, index=frame.index)
    return pd.concat([frame, empty], axis=1)
