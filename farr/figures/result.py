"""An answer with all that is needed to judge it: intervals, privacy, hospitals, the release that it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farr.texts import translate
from protocols.farrsum.parameters import Trust
from queries.answers.answer import Answer, AnswerColumn
from queries.answers.figures import FLAGS, Estimate
from queries.cost.accounting import DELTA, epsilon_of, rho_of_units
from queries.cost.measurement import Measurement

if TYPE_CHECKING:
    from pandas import DataFrame

    from farr.figures.comparison import Comparison
    from farr.figures.saved import Saved
    from farr.plots.sheet import Picture
    from queries.series import Alarms
    from queries.series.change import Scale

UNIT = "all rows of one patient at one hospital, added or removed"
"""The privacy unit."""

MECHANISM = "discrete Gaussian"

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What an answer cost the patients behind it, and the noise that this bought."""

    measurement: Measurement
    """The noise, re-derived at the client."""
    minimum: int
    """m: fewest hospitals that the sum could have had."""
    colluders: int
    """c: hospitals of the whole roster that may pool what they know with the coordinator without weakening it."""
    trust: Trust
    """The setting that c follows from."""
    contributors: int
    """Hospitals whose noise is in the sum, those that were not asked included."""
    rows: int
    """Most rows of one patient that entered."""
    groups: int
    """Most cells that one patient's rows lay in."""
    sites_per_patient: int
    """Most hospitals that one patient was assumed to visit."""
    masks: str
    """How the uploads were hidden from the coordinator and from other hospitals."""
    noise_sd: Mapping[str, float | None]
    """By column, the standard deviation of the noise in each figure but subtotals; None where it varies by row."""

    @property
    def honest(self) -> int:
        """Return h: the shares of noise that make up what the price promises."""
        return self.measurement.honest

    @property
    def over_central(self) -> float:
        """Return how many times larger the error is than if one trusted party had drawn the noise once."""
        return math.sqrt(self.contributors / self.honest)

    @property
    def rho(self) -> float:
        """Return the loss as a rho of zero-concentrated differential privacy."""
        return float(self.measurement.rho)

    @property
    def epsilon(self) -> float:
        """Return the loss as an epsilon, at the usual delta."""
        return epsilon_of(self.measurement.rho)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "rho": self.rho,
            "epsilon": self.epsilon,
            "delta": float(DELTA),
            "unit": UNIT,
            "mechanism": MECHANISM,
            "trust": self.trust.value,
            "m": self.minimum,
            "c": self.colluders,
            "h": self.honest,
            "contributors": self.contributors,
            "error_over_central": self.over_central,
            "rows_per_patient": self.rows,
            "groups_per_patient": self.groups,
            "sites_per_patient": self.sites_per_patient,
            "masks": self.masks,
            "noise_sd": dict(self.noise_sd),
            "interval": {"confidence": CONFIDENCE, "covers": "noise only"},
            "worst_cases": [block.sensitivity.worst_case for block in self.measurement.blocks],
        }


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Who took part."""

    asked: tuple[str, ...]
    """Hospitals asked."""
    answered: tuple[str, ...]
    """Of these, those whose records are in the sum."""
    helped: tuple[str, ...]
    """Others in the sum: zeros, with their share of the noise."""
    needed: int
    """Fewest that had to answer."""
    withheld: tuple[str, ...]
    """Of those asked, in the sum with zeros because their policy keeps their own row back."""
    by_policy: tuple[str, ...]
    """The same, because their policy does not allow the question."""
    by_budget: tuple[str, ...]
    """The same, because their budget does not cover it."""
    without_table: tuple[str, ...]
    """The same, because they have no such table."""
    without_some: tuple[str, ...] = ()
    """Those in the sum with records that lack, or do not offer, some of the tables: zeros with noise in those parts."""
    unapproved: tuple[str, ...] = ()
    """Of those asked, in the sum with zeros because nobody there approved the request."""
    paused: tuple[str, ...] = ()
    """The same, because their operator has paused the node."""

    @property
    def zeros(self) -> tuple[str, ...]:
        """Return those asked that are in the sum with zeros."""
        kept = (*self.withheld, *self.by_policy, *self.by_budget, *self.without_table)
        return (*kept, *self.unapproved, *self.paused)

    @property
    def silent(self) -> tuple[str, ...]:
        """Return those asked that are not in the sum at all."""
        return tuple(site for site in self.asked if site not in self.answered and site not in self.zeros)

    @property
    def charged(self) -> tuple[str, ...]:
        """Return those in the sum with records: zeros cost a hospital nothing."""
        return tuple(site for site in self.answered if site not in {*self.withheld, *self.without_table})

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "asked": len(self.asked),
            "answered": len(self.answered),
            "needed": self.needed,
            "names": list(self.answered),
            "helped": list(self.helped),
            "silent": list(self.silent),
            "withheld": list(self.withheld),
            "withheld_by_policy": list(self.by_policy),
            "withheld_by_budget": list(self.by_budget),
            "without_approval": list(self.unapproved),
            "paused": list(self.paused),
            "without_table": list(self.without_table),
            "without_some_tables": list(self.without_some),
        }


@dataclass(frozen=True, kw_only=True)
class Result:
    """One answered question."""

    answers: tuple[Answer, ...]
    """The tables, computed here from the released sum. At least one; several where several were asked for at once."""
    statement: str
    """As it was typed; empty for a question that was built in Python."""
    privacy: Privacy
    """What it cost."""
    sites: Sites
    """Who took part."""
    release: str
    """Id of the release, hex; also the request's that it first answered."""
    digest: str
    """Of the signed release, hex."""
    released_at: int
    """Seconds since 1970, UTC."""
    seconds: float
    """From the announcement to the sum."""
    reused: bool
    """Whether an earlier release served, at no cost."""
    remaining_units: Mapping[str, int]
    """By hospital asked, what is left of its budget for life, as last heard; empty where none was."""

    @property
    def answer(self) -> Answer:
        """Return the table; of several, the first."""
        return self.answers[0]

    @property
    def cost_units(self) -> int:
        """Return what each hospital with records in the sum was charged for this question, in ledger units."""
        return 0 if self.reused or not self.sites.charged else self.privacy.measurement.cost

    def to_plain(self) -> dict[str, object]:
        """Return what ``--json`` prints: the table's parts at the top, or with several tables a list of ``tables``."""
        tables = [_plain_table(each) for each in self.answers]
        plain = tables[0] if len(tables) == 1 else {"tables": tables}
        return plain | {
            "statement": self.statement,
            "privacy": self.privacy.to_plain(),
            "sites": self.sites.to_plain(),
            "release": {
                "id": self.release,
                "digest": self.digest,
                "released_at": self.released_at,
                "seconds": self.seconds,
                "reused": self.reused,
            },
            "cost": plain_units(self.cost_units),
            "remaining": {site: plain_units(left) for site, left in sorted(self.remaining_units.items())},
        }

    def to_frame(self) -> DataFrame:
        """Return a table with x, x_low and x_high for every figure; all else is in ``frame.attrs["farr"]``."""
        return self.to_frames()[self.answer.title]

    def to_frames(self) -> dict[str, DataFrame]:
        """Return every table by its title, as ``to_frame`` does one."""
        import pandas as pd

        whole = self.to_plain()
        whole.pop("tables", None)
        frames = {}
        for each in self.answers:
            plain = whole | _plain_table(each)
            rows: Any = plain.pop("rows")
            frames[each.title] = pd.DataFrame(rows, columns=names_of(each.columns))
            frames[each.title].attrs["farr"] = plain
        return frames

    def to_csv(self) -> bytes:
        """Return the tables as CSV for spreadsheets, see ``farr.figures.exports.to_csv``."""
        from farr.figures import exports

        return exports.to_csv(self)

    def to_xlsx(self) -> bytes:
        """Return the tables as an Excel workbook, see ``farr.figures.exports.to_xlsx``."""
        from farr.figures import exports

        return exports.to_xlsx(self)

    def to_parquet(self) -> bytes:
        """Return the tables as Parquet, see ``farr.figures.exports.to_parquet``."""
        from farr.figures import exports

        return exports.to_parquet(self)

    def export(self, path: str | Path) -> None:
        """Write the answer as CSV, XLSX, Parquet or JSON, by the ending of the name; raise FarrError for another."""
        from farr.figures import exports

        exports.export(self, path)

    def alarms(self, method: str = "ears-c2", *, column: str | None = None) -> Alarms:
        """Return what ears-c1, -c2, -c3, cusum or farrington says of each period of an answer by time alone.

        ``column``: the figure that is judged; the first where it is not named. Raises FarrError where the answer is not
        such a series, and PlanError where it is too short.
        """
        from farr.figures.alarms import alarms_of

        return alarms_of(self, method, column)

    def compare(
        self,
        other: Result | Saved | str | Path,
        *,
        total: bool = False,
        scale: Scale | None = None,
        jointly: bool = False,
    ) -> Comparison:
        """Return what has changed from this answer to a later one, a result or a saved JSON file, cell by cell.

        See ``farr.figures.comparison.compare``. Raises FarrError for answers that cannot be compared, such as two of
        one release.
        """
        from farr.figures.comparison import compare

        return compare(self, other, total=total, scale=scale, jointly=jointly)

    def plot(self, path: str | Path | None = None, *, table: str | None = None, alarms: str | None = None) -> Picture:
        """Draw the fitting picture, write it if a path (PNG, SVG, PDF) is given, and return it; notebooks show it.

        ``table``: the title of the table where there are several, else the first. ``alarms``: a method of ``alarms``,
        drawn into the series. Needs ``farr[plot]``; raises FarrError without.
        """
        from farr.plots import draw

        picture = draw.picture(self, table) if alarms is None else draw.alarm_picture(self, self.alarms(alarms))
        if path is not None:
            picture.save(path)
        return picture

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from farr.figures.notebook import html_of

        return html_of(self)

    def figures(self, column: str) -> tuple[Estimate, ...]:
        """Return the figures of a column, row by row; raise KeyError where there is no such column of figures."""
        for position, described in enumerate(self.answer.columns):
            if described.name == column:
                cells = (row.cells[position] for row in self.answer.rows)
                return tuple(cell for cell in cells if isinstance(cell, Estimate))
        raise KeyError(column)


def names_of(columns: tuple[AnswerColumn, ...]) -> list[str]:
    """Return the column names of the answer as a flat table."""
    names = []
    for column in columns:
        names.append(column.name)
        names += [f"{column.name}_low", f"{column.name}_high"] if column.kind == "estimate" else []
        names += [f"{column.name}_total_low", f"{column.name}_total_high"] if column.total else []
    return names


def plain_units(amount: int) -> dict[str, object]:
    """Return ledger units as JSON for people and scripts: exact units, rho, and an epsilon."""
    rho = rho_of_units(amount)
    return {"units": amount, "rho": float(rho), "epsilon": epsilon_of(rho)}


def _plain_table(answer: Answer) -> dict[str, Any]:
    """Return a table as JSON can hold it, its flags explained in the language in use."""
    plain: dict[str, Any] = answer.to_plain()
    for flag in plain["flags"]:
        flag["text"] = translate(flag["text"])
    return plain


def flag_texts(result: Result) -> dict[str, str]:
    """Return the flags of the tables with their meaning, in the language in use, as far as a figure is marked so."""
    seen = {code for answer in result.answers for code in _marked(answer)}
    return {code: translate(text) for code, text in FLAGS.items() if code in seen}


def _marked(answer: Answer) -> set[str]:
    """Return the flags of a table without those that only small cells have, of which pages show nothing else."""
    found = [cell for row in answer.rows for cell in row.cells if isinstance(cell, Estimate)]
    small = {flag for figure in found if figure.below for flag in figure.flags if flag != "small-cell"}
    return set(answer.flags) - (small - {flag for figure in found if not figure.below for flag in figure.flags})
