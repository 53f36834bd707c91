from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import answers
from queries.answers.estimates import estimates
from queries.answers.figures import Estimate
from queries.answers.foresight import expected_half_widths
from queries.asked.plan import EVERYTHING
from queries.asked.view import AggregateTerm, Output, Pages
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import ProductSum, RowCount, ValueSum, tally
from queries.errors import PlanError
from queries.sql import read

PLANS = Path(__file__).resolve().parents[1] / "plans"
CATALOGUE = read_catalogue((PLANS / "catalogue.toml").read_bytes(), "catalogue.toml")
SITES = json.loads((PLANS / "sites.json").read_text())
SITES_ANSWERED = 4


class Release:
    """A question, its measurement, and a sum that stands for what hospitals released."""

    def __init__(self, statement: str, rho: Fraction = Fraction(1, 2), honest: int = 1) -> None:
        """Read a statement and calibrate its noise."""
        self.question = read(statement, CATALOGUE, SITES, rows_per_patient=1)
        self.tally = tally(self.question.plan, CATALOGUE)
        self.measurement = calibrate(self.tally, of_tally(self.tally, 1), rho, honest)

    def sum_of(self, exact: list[list[float]], rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the released vector for exact block values, with noise where there is a generator."""
        parts = []
        for values, noise in zip(exact, self.measurement.blocks, strict=True):
            scaled = np.array(values, dtype=float) * noise.grid
            if rng is not None:
                deviation = float(noise.variance(SITES_ANSWERED)) ** 0.5 * noise.grid
                scaled = scaled + deviation * rng.standard_normal(len(scaled))
            parts.append(np.rint(scaled))
        return np.concatenate(parts).astype(np.int64)

    def answer(self, exact: list[list[float]], rng: np.random.Generator | None = None, language: str = "en"):
        """Return the answer to that release."""
        (found,) = self.tables(self.question.pages, exact, rng, language)
        return found

    def tables(self, pages: Pages, exact: list[list[float]], rng: np.random.Generator | None = None, language="en"):
        """Return every table that is shown of that release."""
        noisy, contributors = self.sum_of(exact, rng), SITES_ANSWERED
        return answers(
            self.question.plan,
            pages,
            CATALOGUE,
            noisy,
            self.measurement,
            contributors=contributors,
            language=language,
        )

    def half_widths(self, expect: float | None):
        """Return what a dry run says."""
        plan, view = self.question.plan, self.question.view
        return expected_half_widths(plan, view, CATALOGUE, self.measurement, contributors=SITES_ANSWERED, expect=expect)


def column(found, name: str) -> list:
    """Return the values of a column of an answer."""
    return [row[name] for row in found.to_plain()["rows"]]


BY_SEX = "SELECT sex AS 性别, COUNT(*) AS n FROM admission GROUP BY sex"


def test_values_are_what_was_released():
    """Values are the sum over the grid, in the column's units, negative ones too, with the interval around them."""
    release = Release("SELECT sex, SUM(weight) AS w FROM admission GROUP BY sex", rho=Fraction(10**8), honest=3)
    noise = release.measurement.blocks[0]
    assert noise.grid > 1
    found = release.answer([[705, -31]])
    assert column(found, "w") == pytest.approx([70.5, -3.1])
    half = 1.96 * float(noise.variance(SITES_ANSWERED)) ** 0.5 / 10
    assert column(found, "w_low") == pytest.approx([70.5 - half, -3.1 - half], rel=1e-4)
    assert column(found, "w_high") == pytest.approx([70.5 + half, -3.1 + half], rel=1e-4)


def test_a_table_has_its_columns_codes_units_and_labels():
    """Keys are codes, labels stand apart in the language asked for, units are the catalogue's."""
    release = Release(
        "SELECT COUNT(*) AS n, sex AS 性别, AVG(age) AS 平均, COUNT(DISTINCT patient_id) AS p,"
        " COUNT(*) - COUNT(age) AS missing, 2 * AVG(age) AS twice FROM admission GROUP BY sex"
    )
    found = release.answer([[500, 400]] * len(release.tally.blocks), language="zh")
    assert [(each.name, each.kind, each.unit) for each in found.columns] == [
        ("n", "estimate", "rows"),
        ("性别", "key", ""),
        ("平均", "estimate", "years"),
        ("p", "estimate", "site-patients"),
        ("missing", "estimate", "rows"),
        ("twice", "estimate", ""),
    ]
    assert found.labels == {"性别": {"M": "男", "F": "女"}}
    assert [row.cells[1] for row in found.rows] == ["M", "F"]
    assert release.answer([[1, 1]] * len(release.tally.blocks)).labels["性别"]["M"] == "male"


def test_every_cell_of_the_product_is_in_its_place():
    """The last key runs fastest; keys that are not shown are still there; empty groups are answered."""
    release = Release("SELECT died, sex, COUNT(*) AS n FROM admission GROUP BY sex, died, ward")
    found = release.answer([list(range(12))])
    rows = [(row.cells[1], row.cells[0], row.cells[2].value) for row in found.rows]
    assert rows == [
        (sex, died, 6 * i + 3 * j + k) for i, sex in enumerate("MF") for j, died in enumerate("YN") for k in range(3)
    ]
    assert found.hidden == 0


def test_a_question_without_groups_has_one_row():
    """No key, one cell."""
    found = Release("SELECT COUNT(*) AS n FROM admission").answer([[17]])
    assert column(found, "n") == [17]


def test_a_plain_answer_is_json():
    """It holds no NaN and no infinity, and every figure has its ends beside it."""
    found = Release("SELECT sex, AVG(age) AS a, 1 / COUNT(*) AS i FROM admission GROUP BY sex").answer(
        [[0, 50], [0, 10], [0, 90], [0, 50]]
    )
    plain = json.loads(json.dumps(found.to_plain(), allow_nan=False))
    assert list(plain) == ["title", "columns", "rows", "labels", "flags", "hidden"]
    ends = ["a_low", "a_high", "a_total_low", "a_total_high"]
    assert list(plain["rows"][0]) == ["sex", "a", *ends, "i", "i_low", "i_high"]
    assert plain["rows"][0]["a"] is None
    assert [each["total"] for each in plain["columns"]] == [False, True, False]
    assert [each["name"] for each in plain["columns"]] == ["sex", "a", "i"]


@pytest.mark.parametrize(
    ("clause", "shown", "hidden"),
    [
        ("HAVING n > 10", ["1", "3"], 1),
        ("HAVING n > 10 AND NOT n > 20", ["3"], 2),
        ("HAVING n BETWEEN 15 AND 20 OR n < 0", ["2", "3"], 1),
        ("ORDER BY n", ["2", "3", "1"], 0),
        ("ORDER BY n DESC LIMIT 2", ["1", "3"], 1),
        ("ORDER BY ward DESC", ["3", "2", "1"], 0),
        ("ORDER BY n * 0, 1 DESC", ["3", "2", "1"], 0),
        ("ORDER BY n * 0", ["1", "2", "3"], 0),
        ("HAVING n < 1000000 LIMIT 1", ["1"], 2),
        ("HAVING n > 1000", [], 3),
    ],
)
def test_rows_are_chosen_by_their_noised_values(clause, shown, hidden):
    """HAVING, ORDER BY and LIMIT judge what was released, and what they hide is counted."""
    found = Release(f"SELECT ward, COUNT(*) AS n FROM admission GROUP BY ward {clause}").answer([[30, -5, 16]])
    assert [row.cells[0] for row in found.rows] == shown
    assert found.hidden == hidden
    assert ("selected" in found.flags) == ("HAVING" in clause or "LIMIT" in clause)


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_undefined_values_come_last_and_meet_no_condition(direction):
    """A mean over nothing is neither above nor below anything, nor not so."""
    statement = f"SELECT ward, AVG(age) AS a FROM admission GROUP BY ward ORDER BY a {direction}"
    exact = [[50, 0, 60], [100, 100, -100], [1000, 1000, 1000]]
    assert Release(statement).answer(exact).rows[-1].cells[0] == "2"
    for condition in ("a > 0", "NOT a > 0", "a <> 5", "NOT (a > 0 AND a < 1)"):
        found = Release(f"SELECT ward, AVG(age) AS a FROM admission GROUP BY ward HAVING {condition}").answer(exact)
        assert "2" not in [row.cells[0] for row in found.rows]


def flags_of(statement: str, exact: list[list[float]]) -> list[tuple[str, ...]]:
    """Return the flags of the only figure of each row."""
    found = Release(statement).answer(exact)
    return [cell.flags for row in found.rows for cell in row.cells if isinstance(cell, Estimate)]


def test_figures_that_drown_in_noise_are_flagged():
    """Above a third of the value: unreliable; above a sixth: caution; undefined or unbounded: unreliable."""
    deviation = float(Release(BY_SEX).measurement.blocks[0].variance(SITES_ANSWERED)) ** 0.5
    statement = "SELECT ward, COUNT(*) AS n FROM admission GROUP BY ward"
    assert flags_of(statement, [[deviation * 7, deviation * 5, deviation * 2]]) == [(), ("caution",), ("unreliable",)]
    assert flags_of(statement, [[0, -100, 1000]]) == [("unreliable",), ("negative",), ()]
    assert flags_of("SELECT AVG(age) FROM admission", [[0], [10], [30]]) == [("unreliable",)]


@pytest.mark.parametrize("figure", ["RATE(100000)", "-10 * RATE(100000)", "SHARE(sex = 'F')"])
def test_a_cut_interval_makes_no_figure_look_surer(figure):
    """Of a rate 1.8 deviations below zero the interval keeps a sliver above it: it is unreliable all the same."""
    release = Release(f"SELECT {figure} AS x FROM admission")
    (noise,) = release.measurement.blocks
    deviation = float(noise.variance(SITES_ANSWERED)) ** 0.5
    sums = [1000.0, -1.8 * deviation] if "SHARE" in figure else [-1.8 * deviation]
    (cell,) = release.answer([sums]).rows[0].cells
    assert abs(cell.high - cell.low) < 0.3 * abs(cell.value)
    assert cell.flags[0] == "unreliable"
    assert cell.deviation / abs(cell.value) == pytest.approx(1 / 1.8, rel=0.05)


def test_only_what_cannot_be_negative_is_flagged_so():
    """Counts and sums of what is never negative; not differences, nor sums of what may be negative."""
    negative = [[-1000], [-1000]]
    assert flags_of("SELECT COUNT(*) FROM admission", negative[:1]) == [("negative",)]
    assert flags_of("SELECT SUM(age) FROM admission", [[-100_000]]) == [("negative",)]
    assert flags_of("SELECT SUM(change) FROM admission", [[-100_000]]) == [()]
    assert flags_of("SELECT COUNT(*) - COUNT(age) FROM admission", [[1000], [100]])[0] == ()
    assert flags_of("SELECT 100 * COUNT(age) / COUNT(*) FROM admission", [[-1000], [1000]])[0] == ("negative",)


def test_arithmetic_beyond_a_ratio_is_called_approximate():
    """Linear forms and ratios of them have proper intervals; products of estimates have not."""
    blocks = [[500], [400]]
    assert flags_of("SELECT 100 * (COUNT(*) - COUNT(age)) / COUNT(*) + 1 FROM admission", blocks) == [()]
    assert flags_of("SELECT COUNT(*) * COUNT(age) FROM admission", blocks) == [("approximate",)]
    assert flags_of("SELECT COUNT(*) / COUNT(age) / COUNT(*) FROM admission", blocks) == [("approximate",)]


def test_flags_say_where_and_why():
    """The plain form names each flagged cell and explains the code."""
    plain = Release(BY_SEX).answer([[1000, -1000]]).to_plain()
    assert [(flag["code"], flag["cells"]) for flag in plain["flags"]] == [("negative", [{"row": 1, "column": "n"}])]
    assert all(flag["text"] for flag in plain["flags"])


def test_a_sum_of_another_shape_is_refused():
    """Vectors of the wrong length, and sums over nobody, are refused."""
    release = Release(BY_SEX)
    plan, pages, noisy = release.question.plan, release.question.pages, release.sum_of([[1, 2]])
    for wrong, contributors in ((noisy[:1], 4), (noisy.reshape(1, 2), 4), (noisy, 0)):
        with pytest.raises(PlanError):
            answers(plan, pages, CATALOGUE, wrong, release.measurement, contributors=contributors)
    other = Release("SELECT sex, COUNT(*), COUNT(age) FROM admission GROUP BY sex").measurement
    with pytest.raises(PlanError):
        answers(plan, pages, CATALOGUE, noisy, other, contributors=4)


ROLLED = (
    "SELECT sex, died, COUNT(*) AS n, AVG(age) AS a, SHARE(age >= 65) AS old FROM admission GROUP BY ROLLUP (sex, died)"
)
"""Nine rows: four cells, two totals over the last key after them, and one over both."""


def by_row(release: Release, values: dict[type, list[float]]) -> list[list[float]]:
    """Return exact block values by kind of measure, each the sums over four cells, for every grouping."""
    found = []
    for block, entries in zip(release.tally.blocks, release.tally.sizes, strict=True):
        finest = np.array(values[type(block.measure)]).reshape(2, 2)
        keys = len([key for key in block.keys if key in release.question.part.keys])
        level = finest.sum(axis=tuple(range(keys, 2)))
        own = entries // max(1, level.size)
        found.append(np.repeat(level.reshape(-1) / own, own).tolist())
    return found


EXACT = {RowCount: [400, 300, 200, 100], ValueSum: [4000, 300, -200, 500], ProductSum: [9e5, 8e5, 7e5, 6e5]}


def test_subtotals_come_after_the_cells_that_they_add_up():
    """All keys first, then fewer; a star stands for all of a key, and has a label in either language."""
    release = Release(ROLLED)
    found = release.answer(by_row(release, EXACT), language="zh")
    assert [row.cells[:2] for row in found.rows] == [
        *(("M", "Y"), ("M", "N"), ("F", "Y"), ("F", "N")),
        *(("M", "*"), ("F", "*"), ("*", "*")),
    ]
    assert column(found, "n") == pytest.approx([400, 300, 200, 100, 700, 300, 1000])
    assert column(found, "a") == pytest.approx([70, 61, 59, 65, 60 + 43 / 7, 61, 64.6])
    assert column(found, "old") == pytest.approx([0.5] * 7)
    assert found.labels["sex"]["*"] == "合计"
    assert release.answer(by_row(release, EXACT)).labels["died"]["*"] == "all"


def test_noisy_subtotals_add_up():
    """After noise the rows of a table add up to its subtotals, and the answer says that they were made to."""
    release = Release(ROLLED)
    found = release.answer(by_row(release, EXACT), np.random.default_rng(5))
    n = column(found, "n")
    assert n[4:6] == pytest.approx([sum(n[:2]), sum(n[2:4])])
    assert n[6] == pytest.approx(sum(n[:4]))
    assert "adds-up" in found.flags


def test_every_sum_of_a_rollup_adds_up_also_in_cells_of_a_statistics_own():
    """Counts, values, squares, and the two cells of a share: whatever a block holds in each of its own cells."""
    release, rng = Release(ROLLED), np.random.default_rng(5)
    noisy = [rng.normal(100, 30, size) for size in release.tally.sizes]
    read = estimates(release.tally, CATALOGUE, noisy, [9.0] * len(noisy))[-1]
    assert read.adding_up == frozenset(range(len(noisy)))
    families = {}
    for block, found in zip(release.tally.blocks, read.blocks, strict=True):
        own = found.values.size // 2 ** (len(set(block.keys) & set(release.question.part.keys)))
        families.setdefault((block.measure, own), []).append(found.values.reshape(-1, own))
    assert {own for _, own in families} == {1, 2}
    for (_, own), (whole, by_sex, by_both) in families.items():
        np.testing.assert_allclose(by_both.reshape(2, 2, own).sum(axis=1), by_sex)
        np.testing.assert_allclose(by_sex.sum(axis=0), whole[0])


def test_subtotals_are_estimated_no_worse_than_by_themselves():
    """Intervals of a rollup's total are narrower than the noise of the block that measured it."""
    release = Release(ROLLED)
    found = release.answer(by_row(release, EXACT))
    alone = [
        1.96 * float(noise.variance(SITES_ANSWERED)) ** 0.5
        for block, noise in zip(release.tally.blocks, release.measurement.blocks, strict=True)
        if block.keys == () and block.measure == RowCount()
    ]
    assert column(found, "n_high")[6] - column(found, "n")[6] < 0.95 * min(alone)


def test_patients_do_not_add_up_and_no_flag_says_so():
    """A patient of two cells is one in their total, so subtotals of patients are left as they were measured."""
    release = Release("SELECT sex, COUNT(DISTINCT patient_id) AS p FROM admission GROUP BY ROLLUP (sex)")
    found = release.answer([[900], [500, 450]])
    assert column(found, "p") == [500, 450, 900]
    assert "adds-up" not in found.flags


def test_a_rollup_is_ordered_and_cut_like_any_table():
    """Subtotals are rows: a star comes after the codes, and what LIMIT hides is counted."""
    found = Release("SELECT sex, COUNT(*) AS n FROM admission GROUP BY ROLLUP (sex) ORDER BY sex DESC LIMIT 2").answer(
        [[90], [50, 40]]
    )
    assert [row.cells[0] for row in found.rows] == ["*", "F"]
    assert found.hidden == 1


def test_several_tables_are_read_from_one_release():
    """Each has its own title, columns, order and rows; the noise is the same in all of them."""
    release = Release("SELECT sex, COUNT(*) AS n, COUNT(age) AS known FROM admission GROUP BY sex")
    view = release.question.view
    pages = Pages(
        views=(
            replace(view, title="甲", columns=view.columns[:2]),
            replace(view, title="two", columns=(Output(name="k", expression=AggregateTerm(aggregate=0)),), limit=1),
        )
    )
    one, two = release.tables(pages, [[1000, 50], [900, 800]], np.random.default_rng(2))
    assert (one.title, two.title) == ("甲", "two")
    assert [each.name for each in one.columns] == ["sex", "n"]
    assert (len(two.rows), two.hidden) == (1, 1)
    whole = release.tables(Pages(views=(view,)), [[1000, 50], [900, 800]], np.random.default_rng(2))[0]
    assert column(whole, "n") == column(one, "n")
    by_name = dict(zip(("n", "known"), (each.expression.aggregate for each in view.columns[1:]), strict=True))
    assert column(two, "k") == column(whole, next(name for name, place in by_name.items() if place == 0))[:1]
    with pytest.raises(PlanError):
        release.tables(Pages(views=(view, view)), [[1000, 50], [900, 800]])


def test_the_total_interval_holds_the_noise_only_one():
    """It adds the variance of sampling in squares: of a mean that of values over rows, of a share p q / n.

    There with two rows more of either kind in p and q.
    """
    release = Release(
        "SELECT AVG(age) AS a, COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS p, COUNT(*) AS n FROM admission"
    )
    kinds = {RowCount: 1000, ValueSum: 2000, ProductSum: 400_000}
    exact = [[250 if block.where != EVERYTHING else kinds[type(block.measure)]] for block in release.tally.blocks]
    (row,) = release.answer(exact).to_plain()["rows"]
    assert "n_total_low" not in row
    variance = 400_000 / 1000 - 2**2
    for name, value, sampling in (("a", 62, variance / 1000), ("p", 0.25, 252 / 1004 * 752 / 1004 / 1000)):
        assert row[name] == pytest.approx(value, rel=1e-3)
        for end in ("low", "high"):
            noise, whole = row[f"{name}_{end}"] - row[name], row[f"{name}_total_{end}"] - row[name]
            assert whole**2 == pytest.approx(noise**2 + 1.959963984540054**2 * sampling, rel=5e-3)


WIDE = (
    "SELECT dx_main, COUNT(*) AS n, 100.0 * COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS rate,"
    " AVG(age) AS a, SUM(weight) AS w, 2 * COUNT(*) - COUNT(age) AS form, COUNT(*) * COUNT(age) AS product"
    " FROM admission GROUP BY dx_main"
)
"""Two thousand cells, so one release is two thousand draws."""


def test_the_total_interval_of_a_small_share_covers_the_populations():
    """Two in a hundred of 200 rows, by COUNT over COUNT as by SHARE: 93 to 97 %, also where no row is counted."""
    release = Release(
        "SELECT BAND(age, 1) AS years, 100 * COUNT(*) FILTER (WHERE sex = 'F') / COUNT(*) AS x"
        " FROM admission GROUP BY years",
        rho=Fraction(20),
    )
    rng, held = np.random.default_rng(11), []
    for _ in range(40):
        blocks = [
            np.full(size, 200.0) if block.where == EVERYTHING else rng.binomial(200, 0.02, size).astype(float)
            for block, size in zip(release.tally.blocks, release.tally.sizes, strict=True)
        ]
        shares = [row.cells[1] for row in release.answer(blocks, rng).rows]
        held += [share.total_low <= 2.0 <= share.total_high for share in shares]
    assert 0.93 < np.mean(held) < 0.97


def exact_blocks(release: Release, rows: float) -> list[list[float]]:
    """Return what every block holds when each cell has so many rows and all FILTERs hold.

    Numbers are at mid-range on average, ages with a deviation of 20.
    """
    size = release.tally.sizes[0]
    found = []
    for block in release.tally.blocks:
        each = rows
        if isinstance(block.measure, ValueSum):
            each = rows * ({"age": 60, "weight": 1502}[block.measure.column] - block.measure.centre)
        elif isinstance(block.measure, ProductSum):
            each = rows * 20**2 / block.measure.unit
        found.append([each] * size)
    return found


def test_a_dry_run_says_how_wide_intervals_will_be():
    """Expected half widths are 1.96 simulated standard deviations within 5 %, for linear outputs and ratios."""
    release, rng = Release(WIDE), np.random.default_rng(7)
    found = release.answer(exact_blocks(release, 500), rng)
    stated = release.half_widths(500)
    assert stated[0] is None
    for name, half in zip(("n", "rate", "a", "w", "form", "product"), stated[1:], strict=True):
        assert half == pytest.approx(1.96 * np.std(column(found, name)), rel=0.05), name


def test_a_dry_run_does_not_guess():
    """Linear outputs need no expectation; ratios and products are unknown without one."""
    stated = Release(WIDE).half_widths(None)
    assert [half is None for half in stated] == [True, False, True, True, False, False, True]
    assert stated[1] == Release(WIDE).half_widths(10_000)[1]


def test_intervals_of_an_answer_cover_the_exact_figures():
    """Over two thousand cells, 93 to 97 % of the intervals of counts, rates, means and sums hold the exact figure."""
    release, rng = Release(WIDE), np.random.default_rng(11)
    found = release.answer(exact_blocks(release, 60), rng).to_plain()["rows"]
    for name, exact in (("n", 60), ("rate", 100), ("a", 60), ("w", 60 * 150.2), ("form", 60)):
        inside = [
            (row[f"{name}_low"] is None or row[f"{name}_low"] <= exact)
            and (row[f"{name}_high"] is None or exact <= row[f"{name}_high"])
            for row in found
        ]
        assert 93 < 100 * np.mean(inside) < 97, name
