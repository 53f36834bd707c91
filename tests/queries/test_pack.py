"""Packs of indicators as files: read as strictly as a catalogue, and known by their digest."""

import hashlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.agreed.pack_file import MOST_WEIGHT, read_pack
from queries.errors import CatalogueError, QueryError, StatementError

PACK = """
name = "weekly"
version = "1"
catalogue = "common"
[groupings.week]
label = { en = "Week", zh = "周" }
expression = "WEEK({date})"
[public.population]
label = { en = "Population", zh = "人口" }
[means.stay]
los = 8.8
[defaults]
source = "somebody"
groupings = ["week"]
reliability = { least = 10, caution = 16.6, suppress = 33.3 }
[[indicator]]
id = 13
name = "deaths"
label = { en = "Deaths", zh = "死亡" }
definition = { en = "Deaths over stays", zh = "死亡除以住院" }
numerator = { en = "deaths", zh = "死亡" }
denominator = { en = "stays", zh = "住院" }
unit = { en = "%", zh = "%" }
table = "stay"
figure = "100 * SHARE(way = '5')"
where = "age >= 15"
dated_by = "out"
rows = 3
[[indicator]]
id = 35
name = "incidence"
label = { en = "Incidence", zh = "发病率" }
definition = { en = "Cases over people", zh = "病例除以人口" }
numerator = { en = "cases", zh = "病例" }
denominator = { en = "people", zh = "人口" }
unit = { en = "per 100,000", zh = "/10万" }
factor = 2.5
weight = 3
[indicator.top]
table = "report"
figure = "COUNT(*) / {population}"
dated_by = "seen"
rows = 1
[indicator.bottom]
table = "stay"
figure = "COUNT(*)"
dated_by = "out"
rows = 2
"""


def read(text=PACK):
    """Read a pack."""
    return read_pack(text.encode(), "weekly.toml")


def test_a_pack_says_what_its_file_says():
    """Texts, numbers and defaults arrive as they were written; the digest is that of the bytes."""
    pack = read()
    deaths, incidence = pack.indicators
    assert (deaths.number, deaths.unit.zh, deaths.top.where, deaths.top.rows) == (13, "%", "age >= 15", 3)
    assert (deaths.groupings, deaths.source, deaths.weight, deaths.bottom) == (("week",), "somebody", 1, None)
    assert (incidence.factor, incidence.weight, incidence.public) == (Fraction(5, 2), 3, ("population",))
    assert [side.table for side in incidence.sides] == ["report", "stay"]
    assert pack.digest == hashlib.sha256(PACK.encode()).digest()
    assert pack.title == f"weekly@{pack.digest.hex()[:8]}"
    assert pack.numbers == (13, 35)


@pytest.mark.parametrize(
    ("was", "becomes", "key"),
    [
        ("rows = 3", "", "indicator[0].rows"),
        ("rows = 3", "rows = 0", "indicator[0].rows"),
        ("rows = 3", "row = 3", "indicator[0].row"),
        ("id = 13", "id = '13'", "indicator[0].id"),
        ('name = "incidence"', 'name = "deaths"', "indicator[1].name"),
        ("figure = \"100 * SHARE(way = '5')\"", "", "indicator[0].figure"),
        ("SHARE(way = '5')", "SHARE(way = '5'); DROP TABLE stay", "indicator[0].figure"),
        ("SHARE(way = '5')", "SHARE(way = '5') -- all", "indicator[0].figure"),
        ("{population}", "{people}", "indicator[1].top.figure"),
        ("{population}", "{population", "indicator[1].top.figure"),
        ('where = "age >= 15"', 'where = "age >= {population}"', "indicator[0].where"),
        ('groupings = ["week"]', 'groupings = ["weeks"]', "defaults.groupings[0]"),
        ("caution = 16.6", "caution = 50", "defaults.reliability.caution"),
        ("suppress = 33.3", "supress = 33.3", "defaults.reliability.supress"),
        ("weight = 3", f"weight = {MOST_WEIGHT + 1}", "indicator[1].weight"),
        ("[indicator.bottom]", "[indicator.below]", "indicator[1].below"),
        ("factor = 2.5", 'factor = 2.5\nfigure = "COUNT(*)"', "indicator[1].figure"),
        ('denominator = { en = "stays", zh = "住院" }', "", "indicator[0].denominator"),
        ('expression = "WEEK({date})"', 'expression = "WEEK({day})"', "groupings.week.expression"),
        ('version = "1"', "", "version"),
        ("los = 8.8", "los = true", "means.stay.los"),
        ("[[indicator]]", "[[indicators]]", "indicators"),
    ],
)
def test_a_pack_is_read_strictly(was, becomes, key):
    """A missing bound, a misspelt key, a second statement: refused with the file and the dotted key."""
    assert was in PACK
    with pytest.raises(CatalogueError) as caught:
        read(PACK.replace(was, becomes))
    assert (caught.value.file, caught.value.key) == ("weekly.toml", key)
    assert caught.value.remedy


@given(st.data())
def test_a_damaged_pack_is_refused_and_nothing_else_happens(data):
    """Whatever a file holds, it is read or refused with an error of this package."""
    at = data.draw(st.integers(0, len(PACK)))
    other = data.draw(st.text(max_size=8))
    try:
        read(PACK[:at] + other + PACK[at + len(other) :])
    except QueryError as error:
        assert error.message


def test_indicators_are_named_by_name_or_number():
    """In the file's order, each once; an unknown one is refused with the nearest."""
    pack = read()
    assert [each.name for each in pack.named(("35", "deaths", "#13"))] == ["deaths", "incidence"]
    assert pack.named(()) == pack.indicators
    with pytest.raises(StatementError, match="death") as caught:
        pack.named(("death",))
    assert "deaths" in caught.value.remedy
