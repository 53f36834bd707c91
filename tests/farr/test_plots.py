"""Pictures: the fitting one for each kind of answer, intervals inside the axes, Chinese with real glyphs."""

import sys
import warnings

import pytest
from matplotlib.container import BarContainer
from matplotlib.patches import FancyArrowPatch

from farr import texts
from farr.errors import FarrError
from farr.plots import draw, fonts
from farr.plots.places import ticks_of
from farr.plots.shape import Shape, laid_out
from queries.answers.figures import Estimate
from tests.farr import drawing
from tests.farr.drawing import answer, estimate, figure, key, result

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def english_and_strict():
    """Speak English; a warning, such as of a missing glyph, is a failure."""
    texts.use("en")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    texts.use("en")


def words(picture):
    """Return all texts of a picture."""
    from matplotlib.text import Text

    return [found.get_text() for found in picture.figure.findobj(Text) if found.get_text()]


def of(*columns_and_rows, labels=None):
    """Return an answer's shape."""
    return laid_out(answer(*columns_and_rows, labels)).shape


# --- which picture


@pytest.mark.parametrize(
    ("keys", "codes", "labels", "shape"),
    [
        ([], [[]], {}, Shape.NUMBERS),
        ([key("a")], [["F"], ["M"]], {"a": drawing.SEX}, Shape.BARS),
        ([key("a", "band")], [["0-39"]], {"a": drawing.BANDS}, Shape.COLUMNS),
        ([key("a", "season")], [["1"]], {"a": {"1": "Monday"}}, Shape.COLUMNS),
        ([key("a", "date")], [["2019-01"]], {"a": drawing.MONTHS}, Shape.LINES),
        ([key("s"), key("a", "date")], [["F", "2019-01"]], {"a": drawing.MONTHS, "s": drawing.SEX}, Shape.LINES),
        ([key("s"), key("a", "time")], [["F", "1"]], {"a": {"1": "1 day"}, "s": drawing.SEX}, Shape.CURVE),
        ([key("a", "point")], [["0.5"]], {"a": {"0.5": "0.5"}}, Shape.LINES),
        ([key("a", "term")], [["sex=M"]], {"a": drawing.TERMS}, Shape.FOREST),
        ([key("a", "groups")], [["F-M"]], {"a": {"F-M": "F - M"}}, Shape.FOREST),
        ([key("a", "figure")], [["p"]], {"a": {"p": "p-value"}}, Shape.NUMBERS),
        ([key("a"), key("b")], [["F", "01"]], {"a": drawing.SEX, "b": drawing.CHAPTERS}, Shape.HEAT),
        ([key("a"), key("b")], [["01", "02"]], {"a": drawing.CHAPTERS, "b": drawing.CHAPTERS}, Shape.GRAPH),
    ],
)
def test_the_picture_follows_from_the_columns(keys, codes, labels, shape):
    """What the keys are decides the picture, whatever they are called."""
    assert of([*keys, estimate("n")], [(*each, figure(1.0, 0.5)) for each in codes], labels=labels) is shape


def test_many_groups_of_bands_are_a_map_and_few_stand_side_by_side():
    """Five groups of columns cannot be told apart; two can."""
    labels = {"c": drawing.CHAPTERS, "a": drawing.BANDS}
    rows = [(chapter, band, figure(5.0, 1.0)) for chapter in drawing.CHAPTERS for band in drawing.BANDS]
    columns = [key("c"), key("a", "band"), estimate("n")]
    assert of(columns, rows, labels=labels) is Shape.HEAT
    assert of(columns, rows[:6], labels=labels) is Shape.COLUMNS


def test_bands_and_months_stand_in_their_own_order_and_subtotals_are_left_out():
    """ORDER BY changes the rows, not the calendar; the row that adds up over all is no bar; a hidden month is a gap."""
    rows = [("2019-05", figure(9.0, 1.0)), ("*", figure(99.0, 1.0)), ("2019-03", figure(1.0, 1.0))]
    laid = laid_out(answer([key("m", "date"), estimate("n")], rows, {"m": {**drawing.MONTHS, "*": "all"}}))
    assert [place.code for place in laid.along] == ["2019-03", "2019-04", "2019-05"]
    values = [found and found.value for found in laid.row(laid.columns[0], laid.groups[0])]
    assert values == [1.0, None, 9.0]


# --- what is in it


def test_bars_have_one_for_each_code_and_hold_the_intervals():
    """Two figures are two sets of axes; unreliable bars are hatched; limits hold the ends and zero."""
    drawn = drawing.by_sex().plot()
    first, second = drawn.figure.axes
    bars = [patch for each in first.containers if isinstance(each, BarContainer) for patch in each]
    assert [bar.get_width() for bar in bars] == [120.0, 340.0]
    low, high = first.get_xlim()
    assert low <= 0.0
    assert high > 355.0
    low, high = second.get_xlim()
    assert low < -2.5
    assert high > 21.5
    assert [bool(patch.get_hatch()) for each in second.containers for patch in each] == [False, True]


def test_title_legend_and_source_are_on_every_picture():
    """The question, both intervals, the mark of unreliable figures, epsilon, hospitals and the release."""
    said = "\n".join(words(drawing.by_sex().plot()))
    for text in ("COUNT(*) AS 人数", "noise only", "noise and sampling", "not reliable", "epsilon 0.5", "2 of 3"):
        assert text in said
    assert "35482c65" in said
    assert "Without: cadiz." in said


def test_an_unreliable_interval_does_not_squeeze_the_reliable_ones():
    """An interval that is a thousand times too wide is cut; the others still take a third of the axis."""
    rows = [("F", figure(100.0, 10.0)), ("M", figure(50.0, 90_000.0, flags=drawing.WEAK))]
    drawn = result(answer([key("s"), estimate("n")], rows, {"s": drawing.SEX})).plot()
    low, high = drawn.figure.axes[0].get_xlim()
    assert high - low < 3.5 * 110


def test_columns_stand_side_by_side_for_each_group():
    """Two sexes and three bands are six columns, two at each place."""
    rows = [(sex, band, figure(50.0, 9.0)) for sex in drawing.SEX for band in drawing.BANDS]
    labels = {"s": drawing.SEX, "a": drawing.BANDS}
    drawn = result(answer([key("s"), key("a", "band"), estimate("n")], rows, labels)).plot()
    bars = [patch for each in drawn.figure.axes[0].containers for patch in each]
    assert sorted(round(bar.get_x() + bar.get_width() / 2) for bar in bars) == [0, 0, 1, 1, 2, 2]


def test_a_series_is_one_line_for_each_group_named_at_its_end():
    """Nine regions are eight lines, and the picture says that one is not drawn."""
    regions = {f"r{number}": f"region {number}" for number in range(9)}
    rows = [(region, month, figure(90.0, 9.0)) for region in regions for month in drawing.MONTHS]
    labels = {"r": regions, "m": drawing.MONTHS}
    drawn = result(answer([key("r"), key("m", "date"), estimate("n")], rows, labels)).plot()
    axes = drawn.figure.axes[0]
    long = [line for line in axes.lines if len(line.get_xdata()) == 12 and line.get_linestyle() != "None"]
    assert len(long) == 8
    said = words(drawn)
    assert {f"region {number}" for number in range(8)} <= set(said)
    assert "region 8" not in said
    assert any("1 further groups are not drawn" in text for text in said)
    assert axes.get_ylim()[1] > 99.0


def test_ticks_of_a_calendar_are_few_and_begin_years():
    """Six years of months have at most a dozen ticks, at Januaries and Julys."""
    months = [f"{year}-{month:02d}" for year in range(1991, 1997) for month in range(3, 13)]
    named = [months[tick] for tick in ticks_of(months)]
    assert len(named) <= 12
    assert {name[-2:] for name in named} <= {"01", "03", "05", "07", "09", "11"}
    assert len(ticks_of(list(drawing.WEEKS))) <= 12


def test_a_survival_curve_is_a_step_that_begins_with_everybody():
    """It starts at 1 at time 0, falls at the ends of bands, and ends where too few are at risk, with an interval."""
    rows = [("10", figure(0.8, 0.02, total=0.05)), ("30", figure(0.6, 0.02, total=0.05)), ("90", drawing.undefined())]
    labels = {"time": {"10": "10 days", "30": "30 days", "90": "90 days"}}
    drawn = result(answer([key("time", "time"), estimate("s", "", total=True)], rows, labels)).plot()
    (line,) = (line for line in drawn.figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    assert list(line.get_xdata()) == [0.0, 10.0, 30.0]
    assert list(line.get_ydata()) == [1.0, 0.8, 0.6]
    whiskers = [list(line.get_ydata()) for line in drawn.figure.axes[0].lines if list(line.get_xdata()) == [30.0, 30.0]]
    assert whiskers == [pytest.approx([0.55, 0.65]), pytest.approx([0.58, 0.62])]
    assert drawn.figure.axes[0].get_xlabel() == "time [days]"


@pytest.mark.parametrize(("positive", "scale", "neutral"), [(True, "log", 1.0), (False, "linear", 0.0)])
def test_a_forest_has_the_line_of_no_difference(positive, scale, neutral):
    """Ratios are drawn about 1 on a logarithmic axis, coefficients about 0 on a linear one."""
    rows = [("sex=M", figure(1.6, 0.3, total=0.4)), ("age=40-79", figure(2.4, 0.4, total=0.5))]
    columns = [key("term", "term"), estimate("odds", "", total=True, positive=positive)]
    axes = result(answer(columns, rows, {"term": drawing.TERMS})).plot().figure.axes[0]
    assert axes.get_xscale() == scale
    assert any(list(line.get_xdata()) == [neutral, neutral] for line in axes.lines)
    low, high = axes.get_xlim()
    assert low < min(neutral, 1.2)
    assert high > 2.9


def test_a_map_writes_each_value_and_hatches_what_is_unreliable():
    """Ten cells with their values; the unreliable one is covered."""
    rows = [
        (chapter, sex, figure(100.0 + place, 9.0, flags=drawing.WEAK if place == 3 else ()))
        for place, (chapter, sex) in enumerate((chapter, sex) for chapter in drawing.CHAPTERS for sex in drawing.SEX)
    ]
    labels = {"c": drawing.CHAPTERS, "s": drawing.SEX}
    drawn = result(answer([key("c"), key("s"), estimate("n")], rows, labels)).plot()
    said = words(drawn)
    assert sum("± 9.0" in text for text in said) == 10
    assert sum(bool(patch.get_hatch()) for patch in drawn.figure.axes[0].patches) == 1


def test_pairs_of_codes_are_a_graph_of_those_above_the_noise():
    """One arrow for each pair whose interval excludes zero; a pair within the noise has none."""
    rows = [("01", "02", figure(90.0, 9.0)), ("02", "03", figure(5.0, 9.0)), ("03", "04", figure(40.0, 9.0))]
    labels = {"main": drawing.CHAPTERS, "other": drawing.CHAPTERS}
    drawn = result(answer([key("main"), key("other"), estimate("n")], rows, labels)).plot()
    assert sum(isinstance(patch, FancyArrowPatch) for patch in drawn.figure.axes[0].patches) == 2
    assert any("2 heaviest of 2 pairs" in text for text in words(drawn))


def test_a_single_number_is_written_with_its_interval():
    """The value large, the ends of its interval under it."""
    said = words(result(answer([estimate("n", "patients")], [(figure(19_435.0, 36.0),)])).plot())
    assert "19,435" in said
    assert any("19,399 to 19,471" in text for text in said)


def test_a_test_without_an_interval_says_so():
    """A p-value is written to its digits and has no interval."""
    p = Estimate(value=0.0123, low=None, high=None, flags=())
    said = words(
        result(answer([key("figure", "figure"), estimate("t", "")], [("p", p)], {"figure": {"p": "p"}})).plot()
    )
    assert "0.0123" in said
    assert "no interval" in said


def test_alarms_are_marked_in_the_series():
    """The line, the expected, the threshold and a mark at each period with an alarm."""
    found = drawing.by_week()
    raised = found.alarms("ears-c2").raised
    assert "2019-W51" in raised
    axes = found.plot(alarms="ears-c2").figure.axes[0]
    marks = [line for line in axes.lines if line.get_marker() == "^"]
    assert len(marks[0].get_xdata()) == len(raised)
    assert axes.get_ylim()[1] > 380.0


# --- files, tables, fonts


def test_a_picture_is_written_by_the_ending_of_its_name(tmp_path):
    """PNG, SVG and PDF; the same answer makes the same file; another ending is refused and nothing is written."""
    found = drawing.by_sex()
    found.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    found.plot(tmp_path / "a.svg")
    found.plot(tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(FarrError, match="jpg"):
        found.plot(tmp_path / "a.jpg")
    with pytest.raises(FarrError, match="no folder"):
        found.plot(tmp_path / "nowhere" / "a.png")
    assert not (tmp_path / "a.jpg").exists()


def test_a_notebook_shows_a_picture():
    """The picture has what notebooks ask for."""
    assert drawing.by_sex().plot()._repr_png_().startswith(PNG)


def test_a_table_of_several_is_drawn_by_its_title():
    """Without a title the first; an unknown title is refused with those that there are."""
    tables = [
        answer([estimate("n")], [(figure(value, 1.0),)], title=title) for title, value in (("a", 1.0), ("b", 22.0))
    ]
    found = result(*tables)
    assert any(text.startswith("22") for text in words(found.plot(table="b")))
    with pytest.raises(FarrError, match="choose one of a, b"):
        found.plot(table="c")


def test_an_answer_without_figures_is_no_picture():
    """Where HAVING hid every row there is nothing to draw, and that is said."""
    with pytest.raises(FarrError, match="no figure"):
        result(answer([key("s"), estimate("n")], [])).plot()


def test_chinese_is_drawn_with_real_glyphs():
    """A font that has the characters draws them: no warning of a missing glyph, and no mark in place of a letter."""
    texts.use("zh")
    script = fonts.script()
    assert script.covers("性别人数女男区间预警")
    drawn = drawing.by_sex().plot()
    drawn.png()
    said = words(drawn)
    assert "女" in said
    assert not any(fonts.UNDRAWABLE in text for text in said)


def test_without_a_chinese_font_texts_are_english_and_that_is_said_once(monkeypatch):
    """Labels fall back to their codes, names to what can be written, and one warning says why."""
    monkeypatch.setattr(fonts, "CHINESE", ())
    fonts._say_that_none_was_found.cache_clear()
    texts.use("zh")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = drawing.by_sex().plot()
        drawn.png()
    assert len(said) == 1
    found = words(drawn)
    assert "F" in found
    assert all(ord(letter) < 0x2E80 for text in found for letter in text)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    """Who has not installed the extra is told its name."""
    monkeypatch.setattr(fonts, "find_spec", lambda _name: None)
    with pytest.raises(FarrError, match=r"pip install 'farr\[plot\]'"):
        drawing.by_sex().plot()


def test_a_dollar_in_a_name_is_a_dollar(tmp_path):
    """Names come from people: what looks like a formula is drawn as it stands."""
    rows = [("F", figure(5.0, 1.0))]
    found = result(answer([key("s"), estimate("cost $\\frac{")], rows, {"s": {"F": "$x_{"}}), statement="SELECT $$ {")
    found.plot(tmp_path / "a.png")
    assert "$x_{" in words(found.plot())


def test_drawing_loads_no_window_system():
    """Pictures are made without pyplot, so without a display and without global state."""
    drawing.by_sex().plot()
    assert draw.picture(drawing.by_sex()).png().startswith(PNG)
    assert "matplotlib.pyplot" not in sys.modules
