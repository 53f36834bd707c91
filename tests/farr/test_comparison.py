"""Two releases compared: cells by their labels, intervals uncut, and refused wherever errors are not independent."""

import io
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import farr
from farr import texts
from farr.cli import main
from farr.errors import FarrError
from farr.figures.asked import apart, asked
from farr.figures.comparison import compare
from farr.figures.open_ends import uncut
from farr.figures.saved import read
from farr.questions.asking import Terms
from queries.agreed.catalogue_file import read_catalogue
from queries.answers.answer import answers
from queries.answers.figures import Estimate
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.series import Verdict, figure
from queries.series import compare as change
from queries.sql import read as read_sql
from tests.farr import drawing, harbour
from tests.farr.drawing import answer, estimate, key

NOWHERE, SHARE = (-math.inf, math.inf), (0.0, 1.0)
MARKUP = "<img src=x onerror=alert(1)>"
BY_SEX = "SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex"
AGES = "SELECT sex, AVG(age) AS age FROM stay GROUP BY sex"


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """Speak English, and leave the process speaking it."""
    monkeypatch.setenv("LANGUAGE", "en")
    texts.use("en")
    yield
    texts.use("en")


def result(*answers, release="aa", statement=BY_SEX, noise_sd=None, rows=1, answered=("aden", "brest")):
    """Return an answered question of a release."""
    made = drawing.result(*answers, statement=statement)
    plain = {
        "noise_sd": noise_sd or {},
        "rows_per_patient": rows,
        "interval": {"confidence": 0.95, "covers": "noise only"},
    }
    privacy = SimpleNamespace(epsilon=0.5, noise_sd=noise_sd or {}, rows=rows, to_plain=lambda: plain)
    sites = replace(made.sites, answered=answered)
    return replace(made, privacy=privacy, sites=sites, release=release * 16, digest=release * 32)


def counts(values, *, release, half=20.0, names=("sex", "n"), unit="rows", **fields):
    """Return counts by sex."""
    rows = [(code, drawing.figure(value, half)) for code, value in values.items()]
    table = answer([key(names[0]), estimate(names[1], unit)], rows, {names[0]: drawing.SEX})
    return result(table, release=release, noise_sd={names[1]: half / 1.96}, **fields)


def verdicts(found):
    """Return the verdicts, cell by cell."""
    return [each.verdict for each in found.changes]


# --- the figures


def test_cells_are_matched_by_their_groups_whatever_their_order():
    """F rises from 100 to 200, M stays; a cell of one answer only is listed and not compared."""
    before = counts({"F": 100.0, "M": 300.0, "U": 5.0}, release="aa")
    after = counts({"M": 310.0, "X": 9.0, "F": 200.0}, release="bb")
    found = before.compare(after)
    (table,) = found.tables
    (column,) = table.figures
    assert [(cell.keys, cell.change.change) for cell in column.cells] == [(("F",), 100.0), (("M",), 10.0)]
    assert verdicts(found) == [Verdict.RISE, Verdict.NONE]
    assert (table.only_earlier, table.only_later) == ((("U",),), (("X",),))
    assert column.cells[0].change.high == pytest.approx(100 + math.hypot(20, 20))


def test_the_way_back_is_a_fall():
    """The same two answers the other way round."""
    before, after = counts({"F": 100.0}, release="aa"), counts({"F": 200.0}, release="bb")
    assert verdicts(after.compare(before)) == [Verdict.FALL]


def test_ratios_are_compared_as_ratios_unless_said_otherwise():
    """An odds ratio doubles by default, by name of its function; a count differs; --scale holds for both."""
    statement = "SELECT ODDS_RATIO(died = 'Y', sex = 'M') AS o, COUNT(*) AS n FROM stay"
    columns = [estimate("o", ""), estimate("n")]
    odds = [Estimate(value=value, low=value / 1.234567891, high=value * 1.234567891, flags=()) for value in (2.0, 4.0)]
    before, after = (
        result(answer(columns, [(each, drawing.figure(n, 20.0))]), release=release, statement=statement)
        for each, n, release in zip(odds, (100.0, 150.0), ("aa", "bb"), strict=True)
    )
    found = [each.change for table in before.compare(after).tables for column in table.figures for each in column.cells]
    assert [(each.scale, pytest.approx(each.change)) for each in found] == [("ratio", 2.0), ("difference", 50.0)]
    for scale, changes in (("difference", [2.0, 50.0]), ("ratio", [2.0, 1.5])):
        assert [each.change for each in before.compare(after, scale=scale).changes] == pytest.approx(changes)
    with pytest.raises(FarrError, match="difference or ratio"):
        before.compare(after, scale="percent")


def test_jointly_a_column_is_stretched():
    """Of two cells, each interval is that of 97.5 %."""
    before, after = counts({"F": 100.0, "M": 9.0}, release="aa"), counts({"F": 129.0, "M": 9.0}, release="bb")
    alone, together = before.compare(after), before.compare(after, jointly=True)
    assert (verdicts(alone)[0], verdicts(together)[0]) == (Verdict.RISE, Verdict.NONE)
    widths = [next(each.changes).high - next(each.changes).change for each in (alone, together)]
    assert widths[1] / widths[0] == pytest.approx(2.2365 / 1.96, rel=1e-3)


# --- intervals that were cut


def cut(value, deviation, low=0.0, high=1.0):
    """Return a share as a release shows it: its interval ends at 0 and 1."""
    ends = [min(max(value + sign * 1.959964 * deviation, low), high) for sign in (-1, 1)]
    return Estimate(value=value, low=ends[0], high=ends[1], flags=())


def test_an_end_that_was_cut_to_a_bound_is_open():
    """Two releases of a share of 0.2 %, sd 1 point: cut arms are wrong in over 8 % of verdicts, open ones in under 5.

    An end inside its bounds stays as it is, however round a number it is.
    """
    rng = np.random.default_rng(4)
    wrong = {"cut": 0, "open": 0}
    for pair in rng.normal(0.002, 0.01, (20_000, 2)):
        shown = [cut(value, 0.01) for value in pair]
        ends = [(min(each.low, each.value), max(each.high, each.value)) for each in shown]
        plain = [
            replace(figure(each.value, 0.0), low=low, high=high) for each, (low, high) in zip(shown, ends, strict=True)
        ]
        wrong["cut"] += change(*plain).verdict is not Verdict.NONE
        wrong["open"] += change(*(uncut(each, SHARE) for each in shown)).verdict is not Verdict.NONE
    assert wrong["cut"] / 20_000 > 0.08
    assert wrong["open"] / 20_000 < 0.05
    for inside in (cut(0.5, math.pi / 100), Estimate(value=0.5, low=0.25, high=0.5, flags=())):
        assert (uncut(inside, SHARE).low, uncut(inside, SHARE).high) == (inside.low, inside.high)


def test_a_rise_from_a_bound_is_still_seen():
    """A share whose interval was cut at 0 has an upper arm, and that is the one that a rise is judged by."""
    before, after = (uncut(cut(value, 0.01), SHARE) for value in (0.01, 0.2))
    found = change(before, after)
    assert (found.verdict, found.high) == (Verdict.RISE, math.inf)
    assert found.low == pytest.approx(0.19 - 1.959964 * math.hypot(0.01, 0.01))


@pytest.mark.parametrize(
    ("shown", "bounds", "ends"),
    [
        (Estimate(value=-204.5, low=0.0, high=120.0, flags=()), (0.0, 120.0), (-math.inf, math.inf)),
        (Estimate(value=None, low=0.0, high=120.0, flags=()), (0.0, 120.0), (-math.inf, math.inf)),
        (Estimate(value=3.5, low=None, high=None, flags=()), NOWHERE, (-math.inf, math.inf)),
        (Estimate(value=3.5, low=1.0, high=7.0, flags=()), None, (-math.inf, math.inf)),
        (Estimate(value=-0.5, low=0.0, high=0.75, flags=()), (0.0, 1.0), (-math.inf, 0.75)),
        (Estimate(value=1.5, low=0.5, high=0.9, flags=()), (0.0, 1.0), (0.5, math.inf)),
    ],
)
def test_a_figure_beyond_its_bounds_has_open_ends(shown, bounds, ends):
    """A mean out of the column's range, an undefined one, one without an interval, and one whose bounds nobody says."""
    found = uncut(shown, bounds)
    assert (found.low, found.high) == ends


def test_a_release_says_where_its_intervals_are_cut(tmp_path):
    """Ages end at 0 and 120 years, shares at 0 and 1, differences in points at -100 and 100; counts and sums nowhere.

    A saved answer says the same. One that says nothing, of an earlier version, compares its counts, and no means.
    """
    statement = (
        "SELECT COUNT(*) AS n, SUM(age) AS years, AVG(age) AS age, SHARE(sex = 'F') AS s,"
        " 100 * RISK_DIFFERENCE(sex = 'F', age > 60) AS d FROM stay"
    )
    one, two = releases(statement, (400, 8_000, 400, 8_000, 200_000, 100, 100), np.random.default_rng(3), 2)
    bounds = {each.name: each.bounds for each in one.answer.columns}
    assert bounds == {"n": NOWHERE, "years": NOWHERE, "age": (0.0, 120.0), "s": (0.0, 1.0), "d": (-100.0, 100.0)}
    one.export(tmp_path / "one.json")
    assert {each.name: each.bounds for each in read(tmp_path / "one.json").answers[0].columns} == bounds
    plain = json.loads((tmp_path / "one.json").read_text())
    plain["privacy"]["noise_sd"] = {"n": 4.5, "years": 400.0, "age": None, "s": None, "d": None}
    for column in plain["columns"]:
        column.pop("bounds")
    (tmp_path / "one.json").write_text(json.dumps(plain))
    found = compare(read(tmp_path / "one.json"), two)
    assert [each.name for each in found.tables[0].figures] == ["n", "years"]
    assert {each.name for each in found.refused} == {"age", "s", "d"}
    assert "does not say where" in found.refused[0].reason


# --- what is refused


def test_two_answers_of_one_release_are_not_compared():
    """The same result, the same release shown otherwise, and a cached answer to the same question: one noise."""
    one = counts({"F": 100.0}, release="aa")
    for other in (one, counts({"F": 100.0}, release="aa", names=("sex", "m")), replace(one, reused=False)):
        with pytest.raises(FarrError, match="not independent") as refused:
            one.compare(other)
        assert refused.value.code == "one-release"


def test_figures_that_differ_in_kind_are_refused_with_a_reason():
    """Another unit, another function under the same alias, and a figure of one answer only."""
    before = counts({"F": 100.0}, release="aa", statement="SELECT sex, SUM(age) AS n FROM stay GROUP BY sex")
    for after, reason in (
        (counts({"F": 100.0}, release="bb", unit="years"), "unit differs"),
        (counts({"F": 100.0}, release="bb"), "COUNT"),
        (counts({"F": 100.0}, release="bb", names=("sex", "m")), "only in the earlier"),
        (counts({"F": 100.0}, release="bb", names=("g", "n")), "groups are called"),
        (counts({"M": 100.0}, release="bb", statement=before.statement), "no cell"),
    ):
        with pytest.raises(FarrError, match=reason) as refused:
            before.compare(after)
        assert refused.value.code == "nothing-to-compare"


def test_what_can_be_compared_is_and_the_rest_is_named():
    """Of two columns one has another unit: it is listed with the reason, the other is compared."""

    def both(unit, release):
        table = answer([estimate("n"), estimate("x", unit)], [(drawing.figure(9.5, 1.0), drawing.figure(9.5, 1.0))])
        return result(table, release=release, statement="")

    found = both("years", "aa").compare(both("days", "bb"))
    assert [column.name for column in found.tables[0].figures] == ["n"]
    assert [(each.name, each.reason) for each in found.refused] == [("x", "the unit differs: years, then days")]
    assert any("Without a statement" in note for note in found.notes)


def test_a_test_without_intervals_is_refused():
    """A p-value is no figure that rises or falls."""
    p = Estimate(value=0.03, low=None, high=None, flags=())
    before, after = (result(answer([estimate("p", "")], [(p,)]), release=each, statement="") for each in ("aa", "bb"))
    with pytest.raises(FarrError, match="no interval"):
        before.compare(after)


def test_other_confidences_are_refused(tmp_path):
    """A file whose intervals are of 90 % is not held against ones of 95 %."""
    before, after = counts({"F": 100.0}, release="aa"), counts({"F": 100.0}, release="bb")
    plain = after.to_plain()
    plain["privacy"] = plain["privacy"] | {"interval": {"confidence": 0.9}}
    (tmp_path / "b.json").write_text(json.dumps(plain))
    with pytest.raises(FarrError, match="0.95 and 0.9") as refused:
        before.compare(tmp_path / "b.json")
    assert refused.value.code == "confidence"


# --- sampling


def means(release, where, *, total=True, value=70.123456789123):
    """Return a mean age with both intervals."""
    shown = drawing.figure(value, 1.0, total=3.0 if total else None)
    statement = f"SELECT AVG(age) AS age FROM stay {where}"
    return result(answer([estimate("age", "years", total=total)], [(shown,)]), release=release, statement=statement)


Y1, Y2 = "WHERE day BETWEEN '2024-01-01' AND '2024-12-31'", "WHERE day BETWEEN '2025-01-01' AND '2025-12-31'"


def test_sampling_is_compared_only_where_the_records_differ():
    """Two years: noise alone rises, with sampling it does not. The same year: refused with --total, said without."""
    one, two, same = means("aa", Y1), means("bb", Y2, value=72.623456789123), means("cc", Y1)
    assert verdicts(one.compare(two)) == [Verdict.RISE]
    assert verdicts(one.compare(two, total=True)) == [Verdict.NONE]
    assert any("--total allows for sampling" in note for note in one.compare(two).notes)
    with pytest.raises(FarrError, match="same records") as refused:
        one.compare(same, total=True)
    assert refused.value.code == "same-records"
    assert any("not independent" in note for note in one.compare(same).notes)
    with pytest.raises(FarrError, match="sampling error"):
        one.compare(means("bb", Y2, total=False), total=True)


@pytest.mark.parametrize(
    ("one", "two", "separate"),
    [
        (Y1, Y2, True),
        (Y2, Y1, True),
        ("WHERE day < '2025-01-01'", "WHERE sex = 'F' AND (day >= DATE '2025-01-01')", True),
        ("WHERE '2024-12-31' >= day", "WHERE day > '2024-12-31'", True),
        ("WHERE day = '2024-12-31'", "WHERE day = '2025-01-01'", True),
        ("WHERE day <= '2025-01-01'", "WHERE day >= '2025-01-01'", False),
        ("WHERE day < '2025-01-01' OR sex = 'F'", Y2, False),
        ("WHERE NOT day < '2025-01-01'", Y2, False),
        ("WHERE day <> '2024-01-01'", Y2, False),
        ("WHERE out BETWEEN '2024-01-01' AND '2024-12-31'", Y2, False),
        ("", Y2, False),
        ("WHERE sex = 'F'", "WHERE sex = 'M'", False),
    ],
)
def test_periods_that_may_share_a_day_are_not_apart(one, two, separate):
    """Only days that every row must have, of one column, tell two periods apart."""
    table = answer([estimate("n")], [(drawing.figure(1.0, 1.0),)])
    said = [asked(f"SELECT COUNT(*) AS n FROM stay {where}", table) for where in (one, two)]
    assert apart(*said) is separate


def test_both_sides_of_a_ratio_must_be_apart():
    """Of two tables side by side each must be of other days, else a row may be in both answers."""
    columns = [key("sex"), estimate("rate", "")]
    table = answer(columns, [("F", drawing.figure(1.0, 1.0))])

    def said(one, two):
        parts = (("a", one), ("b", two))
        sides = [f"(SELECT sex, COUNT(*) AS n FROM {name} {where} GROUP BY sex)" for name, where in parts]
        return asked(f"SELECT sex, v.n / d.n AS rate FROM {sides[0]} v JOIN {sides[1]} d USING (sex)", table)

    assert apart(said(Y1, Y1), said(Y2, Y2))
    assert not apart(said(Y1, Y1), said(Y2, Y1))
    assert said(Y1, Y1).statistics["rate"] == said(Y2, Y1).statistics["rate"]


def test_a_built_question_may_be_compared_with_a_warning():
    """Without a statement nobody can tell the period: --total says so."""
    one, two = (replace(means(release, ""), statement="") for release in ("aa", "bb"))
    assert any("leave --total out" in note for note in one.compare(two, total=True).notes)


@pytest.mark.parametrize(
    ("statement", "known"),
    [
        ("", False),
        ("SELECT", False),
        ("DROP TABLE stay", False),
        ("SELECT COUNT(*) AS n FROM stay WHERE sex = '\x9b2J'", False),
        ("SELECT COUNT(*) AS n FROM stay WHERE " + " AND ".join(["age > 3"] * 1_500), True),
        ("SELECT COUNT(*) AS n FROM stay WHERE " + "(" * 5_000, False),
        ("SELECT COUNT(*)\n\tAS n\r\nFROM stay", True),
    ],
)
def test_a_strangers_statement_is_read_or_passed_over(statement, known):
    """Nonsense, control characters, and conditions without end: no error, and nothing is claimed of them."""
    table = answer([estimate("n")], [(drawing.figure(1.0, 1.0),)])
    said = asked(statement, table)
    assert said.known is known
    assert said.conditions.isprintable()


def test_what_else_differs_is_said():
    """Other hospitals, another bound on rows, other conditions."""
    one = counts({"F": 100.0}, release="aa")
    two = counts(
        {"F": 100.0}, release="bb", rows=2, answered=("aden",),
        statement="SELECT sex, COUNT(*) AS n FROM stay WHERE age >= 80 GROUP BY sex",
    )  # fmt: skip
    said = "\n".join(one.compare(two).notes)
    assert "Hospitals differ: 1" in said
    assert "at most 1, then 2" in said
    assert "all rows; then age >= 80" in said


# --- files


def test_a_saved_answer_reads_back_as_it_was(tmp_path):
    """Of a result and of its JSON the figures are the same, several tables as well."""
    table = answer([estimate("rate", "%", total=True)], [(drawing.figure(9.0, 1.0, total=2.0),)], title="second")
    first = counts({"F": 100.0}, release="aa").answer
    whole = result(replace(first, title="first"), table, release="aa")
    whole.export(tmp_path / "a.json")
    held = read(tmp_path / "a.json")
    assert [each.rows for each in held.answers] == [each.rows for each in whole.answers]
    other = result(replace(first, title="first"), table, release="bb")
    found = other.compare(tmp_path / "a.json")
    assert [each.title for each in found.tables] == ["first", "second"]
    assert any("nobody verified" in note for note in found.notes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain.pop("privacy"),
        lambda plain: plain["rows"][0].update(n="many"),
        lambda plain: plain["rows"][0].update(n=True),
        lambda plain: plain["rows"][0].update(sex="\x1b[2J"),
        lambda plain: plain["rows"][0].pop("n_low"),
        lambda plain: plain["rows"][0].update(n=math.nan),
        lambda plain: plain["columns"][0].update(kind="other"),
        lambda plain: plain["columns"][1].update(bounds=[0.0]),
        lambda plain: plain["columns"][1].update(bounds="01"),
        lambda plain: plain["columns"].append(plain["columns"][1]),
        lambda plain: plain.update(rows=7),
        lambda plain: plain.update(tables=[]),
        lambda plain: plain["release"].update(released_at="today"),
        lambda plain: plain.update(labels=[]),
    ],
)
def test_a_file_that_holds_no_answer_is_refused(tmp_path, spoil):
    """Whatever is missing or of another kind, it is one error with a remedy."""
    plain = counts({"F": 100.0}, release="aa").to_plain()
    plain = json.loads(json.dumps(plain))
    (tmp_path / "a.json").write_text(json.dumps(plain))
    assert read(tmp_path / "a.json").release == "aa" * 16
    spoil(plain)
    (tmp_path / "a.json").write_text(json.dumps(plain))
    with pytest.raises(FarrError, match="holds no saved answer"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    """No JSON, other JSON, and JSON that is nested too deeply."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FarrError, match="holds no saved answer"):
        read(tmp_path / "a.json")


# --- what is shown


def test_a_comparison_reads_in_two_languages():
    """Table, verdicts and notes, in English and in Chinese."""

    def shown():
        held = io.StringIO()
        Console(file=held, width=200).print(
            counts({"F": 100.0, "M": 7.0}, release="aa").compare(counts({"F": 200.0}, release="bb"))
        )
        return held.getvalue()

    english = shown()
    assert "+100 ± 28" in english
    assert "rise" in english
    assert "Only in the earlier answer: M." in english
    texts.use("zh")
    chinese = shown()
    assert "上升" in chinese
    assert "发布结果" in chinese
    assert "rise" not in chinese


def test_scripts_get_every_cell():
    """to_dict is JSON with null for an end that is infinite; the verdict is an English word in any language."""
    texts.use("zh")
    share = Estimate(value=0.9, low=0.5, high=1.0, flags=())
    column = estimate("s", "", bounds=(0.5, 1.0))
    one, two = (result(answer([column], [(share,)]), release=each, statement="") for each in ("aa", "bb"))
    plain = json.loads(json.dumps(one.compare(two).to_dict(), allow_nan=False))
    (cell,) = plain["tables"][0]["figures"][0]["cells"]
    assert cell["change"] == {"value": 0.0, "low": None, "high": None}
    assert cell["later"] == {"value": share.value, "low": share.low, "high": 1.0}
    assert cell["verdict"] == "no detectable change"
    assert plain["interval"] == {"confidence": 0.95, "covers": "noise only", "jointly": False}


def test_pandas_gets_a_row_for_each_figure():
    """Groups, both figures, the change and the verdict; a group called like a column keeps its name."""
    one, two = (
        counts({"F": value}, release=each, names=("change", "n")) for value, each in ((1.0, "aa"), (99.0, "bb"))
    )
    frame = one.compare(two).to_pandas()
    assert frame.loc[0, ["change", "figure", "earlier", "later", "change_", "verdict"]].tolist() == [
        "F", "n", 1.0, 99.0, 98.0, "rise",
    ]  # fmt: skip
    assert isinstance(frame, pd.DataFrame)
    assert frame.attrs["farr"]["later"]["release"] == "bb" * 16


def test_a_notebook_shows_names_of_a_comparison_as_text():
    """Aliases, codes and labels of other people are escaped."""

    def hostile(release):
        table = answer(
            [key(MARKUP), estimate(MARKUP + "n")], [(MARKUP, drawing.figure(9.0, 1.0))], {MARKUP: {MARKUP: "<b>"}}
        )
        return result(table, release=release, statement="")

    html = hostile("aa").compare(hostile("bb"))._repr_html_()
    assert MARKUP not in html
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "no detectable change" in html


# --- from the command line


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command as the harbour's analyst; return exit code, output, errors."""
    federation = harbour.federation(tmp_path / "home", harbour.Quay())
    monkeypatch.setattr(farr, "connect", lambda _home=None: federation)

    def command(*arguments):
        code = main.main(list(arguments), {})
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    command.federation = federation
    return command


def test_releases_are_compared_by_their_ids_and_files(run, tmp_path):
    """Two ids, an id and a file, two files: the same table; the same one twice is refused with exit code 1."""
    ids = [run.federation.ask(BY_SEX, Terms(fresh=True)).release for _ in range(2)]
    code, out, _err = run("releases", "compare", *(each[:8] for each in ids))
    assert code == 0
    assert out.count("no detectable change") == 2
    saved = tmp_path / "one.json"
    run("releases", "show", ids[0], "--export", str(saved))
    code, again, _err = run("releases", "compare", str(saved), ids[1])
    assert code == 0
    assert out.splitlines()[:4] == again.splitlines()[:4]
    code, out, _err = run("releases", "compare", str(saved), ids[1], "--json", "--jointly", "--scale", "ratio")
    plain = json.loads(out)
    assert (plain["interval"]["jointly"], plain["tables"][0]["figures"][0]["scale"]) == (True, "ratio")
    code, _out, err = run("releases", "compare", ids[0], ids[0])
    assert code == 1
    assert "not independent" in err
    code, _out, err = run("releases", "compare", ids[0], ids[1], "--total")
    assert code == 1
    assert "same-records" in err


def test_a_change_that_is_there_is_found(run):
    """Counts that double rise, whichever of the two is named first decides the sign."""
    before = run.federation.ask(BY_SEX, Terms(fresh=True))
    run.federation._line.serve = lambda signed: harbour.answer(signed, counts=800)
    after = run.federation.ask(BY_SEX, Terms(fresh=True))
    assert set(verdicts(before.compare(after))) == {Verdict.RISE}
    assert set(verdicts(after.compare(before))) == {Verdict.FALL}


# --- with the noise of releases


def releases(statement, exact, rng, number):
    """Yield results of one question whose sums have the noise of five hospitals."""
    catalogue = read_catalogue(harbour.CATALOGUE, "harbour.toml")
    question = read_sql(statement, catalogue, harbour.roster().nodes)
    layout = tally(question.plan, catalogue)
    measurement = calibrate(layout, of_tally(layout, catalogue.sites_per_patient), rho_of_units(1 << 36), 1)
    for serial in range(number):
        noisy = [
            np.rint(np.full(block.entries, sums * block.grid) + rng.normal(0, scale, block.entries)).astype(np.int64)
            for block, sums in zip(measurement.blocks, exact, strict=True)
            for scale in [math.sqrt(float(block.variance(5))) * block.grid]
        ]
        tables = answers(question.plan, question.pages, catalogue, np.concatenate(noisy), measurement, contributors=5)
        yield result(*tables, release=f"{serial:04x}", statement=statement)


@pytest.mark.parametrize(("statement", "exact"), [(BY_SEX, (400,)), (AGES, (400, 8_000, 200_000))])
def test_two_fresh_releases_of_one_question_show_no_change(statement, exact):
    """Of 240 cells of counts and of means that did not change, some one in twenty is found to, as stated."""
    rng = np.random.default_rng(6)
    found = []
    made = list(releases(statement, exact, rng, 240))
    for one, two in zip(made[::2], made[1::2], strict=True):
        found += verdicts(compare(one, two))
    changed = sum(each is not Verdict.NONE for each in found)
    assert len(found) == 240
    assert 2 <= changed <= 24


def test_nobody_elses_words_rewrite_the_screen_of_a_comparison():
    """A title and the name of a column, both of another's question, move, hide and recolour nothing on a terminal."""
    hidden = "\x1b[2J"
    table = answer([estimate(f"rate{hidden}", "%", total=True)], [(drawing.figure(9.0, 1.0, total=2.0),)])
    table = replace(table, title=f"first{hidden}")
    found = compare(result(table, release="aa"), result(table, release="bb"))
    held = io.StringIO()
    Console(file=held, width=200).print(found)
    assert "first" in held.getvalue()
    assert "rate" in held.getvalue()
    assert "\x1b" not in held.getvalue()
