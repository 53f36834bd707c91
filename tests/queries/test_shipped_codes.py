"""The code sets that Farr ships beside ICD-10: regions and operations, and the folding of a catalogue's own sets."""

import pytest

from queries.agreed.catalogue import CodeColumn
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.codes import SHIPPED
from queries.agreed.icd9cm3 import operations
from queries.agreed.icd10 import listing
from queries.agreed.regions import PROVINCES, UNDIVIDED, prefectures, provinces, regions
from queries.errors import CatalogueError

HEAD = """
name = "c"
version = "1"
sites_per_patient = 1
rows_per_site = 1000
[tables.t]
patient = "p"
rows_per_patient = 1
[tables.t.columns.x]
codes = "set"
[codes.set]
"""

# The digest of each shipped list at its version: a changed list needs a new version.
LISTINGS = {
    ("gb-2260", "2023-06-30"): "80534d440a027ceaf195d47b7b03b4c797c834192ca5db16abfa760882f907e9",
    ("icd-9-cm-3", "2026-11"): "0758c80503417d0b993e07428e7086c800ad56acbf699422f09a5d92aff637cf",
}


def _set(text):
    column = read_catalogue((HEAD + text).encode(), "c.toml").table("t").column("x")
    assert isinstance(column, CodeColumn)
    return column.codes


def _home(codes, code, level):
    found = codes.level(level)
    return found.groups[found.group_of[codes.index[code]]].code


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_set_is_sound_and_named_by_its_version(name):
    """Codes are distinct, each level gives each code a group, in runs, without an empty group."""
    version, codes = SHIPPED[name]
    found = codes()
    assert found.version == version
    assert len(found.index) == len(found.codes)
    for level in found.levels:
        assert len(level.group_of) == len(found.codes)
        assert list(level.group_of) == sorted(level.group_of)
        assert set(level.group_of) == set(range(len(level.groups)))
        assert len(level.index) == len(level.groups)
    assert _set(f'use = "{name}"\nversion = "{version}"').codes == found.codes


@pytest.mark.parametrize(("name", "version"), LISTINGS)
def test_a_list_changes_with_its_version_only(name, version):
    """Two members with one version hold one list; whoever edits it must give it a new version."""
    found = SHIPPED[name][1]()
    assert found.version == version
    assert listing(found) == LISTINGS[name, version]


def test_another_version_of_a_shipped_set_is_refused():
    """A catalogue that asks for an edition that this Farr lacks is refused with the one that it has."""
    with pytest.raises(CatalogueError, match="2023-06-30"):
        _set('use = "gb-2260"\nversion = "2020-12-31"')
    with pytest.raises(CatalogueError, match="did you mean gb-2260"):
        _set('use = "gb2260"\nversion = "1"')


def test_a_county_lies_where_the_list_says():
    """Counties, districts of municipalities, and counties that a province administers itself have their homes."""
    codes = regions()
    for code, prefecture, province, area in (
        ("440106", "4401", "44", "4"),
        ("110108", "1100", "11", "1"),
        ("500240", "5000", "50", "5"),  # a county of Chongqing, whose digits differ from its districts'
        ("429004", "4290", "42", "4"),
        ("659012", "6590", "65", "6"),
        ("441900", "4419", "44", "4"),  # Dongguan has no counties
        ("460400", "4604", "46", "4"),
    ):
        assert _home(codes, code, "prefecture") == prefecture
        assert _home(codes, code, "province") == province
        assert _home(codes, code, "area") == area


def test_a_record_that_knows_less_than_the_county_has_a_code_too():
    """Every prefecture's and province's own six digits are codes; a province's own are of no prefecture."""
    codes = regions()
    for group in codes.level("prefecture").groups:
        assert group.code + "00" in codes.index
    for province, _area, en, zh in PROVINCES:
        own = province + "0000"
        assert codes.codes[codes.index[own]].label.en == f"{en}, place not stated"
        assert _home(codes, own, "prefecture") == province + "00"
        group = codes.level("prefecture").groups[codes.level("prefecture").index[province + "00"]]
        assert (group.label.zh == zh) == (province in UNDIVIDED)


def test_there_are_as_many_regions_as_the_list_of_that_day_has():
    """34 provinces, 333 prefectures, four groups of counties under a province, 2,978 counties and zones less 3."""
    codes = regions()
    prefectural = [group.code for group in codes.level("prefecture").groups if not group.code.endswith("00")]
    assert len(PROVINCES) == 34
    assert len(prefectural) == 333 + 4
    own = len(PROVINCES) + len(prefectural) + 5  # five parts of municipalities: 1101, 1201, 3101, 5001, 5002
    assert len(codes.codes) - own == 2978 - 3  # Dongguan, Zhongshan and Danzhou are their own counties


def test_coarser_lists_of_regions_say_the_same():
    """A hospital's prefecture lies in the province that a patient's county of that prefecture lies in."""
    fine, coarse = regions(), prefectures()
    for code in coarse.codes:
        county = next(
            each.code
            for place, each in enumerate(fine.codes)
            if fine.level("prefecture").groups[fine.level("prefecture").group_of[place]].code == code.code
        )
        assert _home(coarse, code.code, "province") == _home(fine, county, "province")
        assert _home(coarse, code.code, "area") == _home(fine, county, "area")
    assert [code.code for code in provinces().codes] == [group.code for group in fine.level("province").groups]


def test_operations_have_a_hundred_categories_in_order():
    """00 to 99, each a code, with the chapters of volume 3, and a finer code in its own category."""
    codes = operations()
    assert [group.code for group in codes.level("category").groups] == [f"{number:02d}" for number in range(100)]
    assert codes.folds
    for code in codes.index:
        assert _home(codes, code, "category") == code[:2]
    for code, chapter in (("05", "1"), ("17", "3A"), ("39.74", "7"), ("74.99", "13"), ("75", "13"), ("87", "16")):
        assert _home(codes, code, "chapter") == chapter


def test_a_set_of_the_catalogues_own_can_fold():
    """`folds = true` carries over, with levels and without; a set says no by default."""
    flat = 'version = "1"\ncodes = ["A", "B1"]\n'
    assert _set(flat + "folds = true").folds
    assert not _set(flat).folds
    assert not _set(flat + "folds = false").folds
    levels = 'folds = true\n[[codes.set.levels]]\nname = "l"\n[codes.set.levels.groups]\nG = { members = ["A", "B1"] }'
    assert _set(flat + levels).folds


def test_codes_that_folding_would_join_are_refused():
    """Dots and capitals do not matter to folding, so two codes that differ only there cannot both be told apart."""
    with pytest.raises(CatalogueError, match="differ only in dots or capitals") as caught:
        _set('version = "1"\ncodes = ["7.4", "74"]\nfolds = true')
    assert caught.value.remedy
    with pytest.raises(CatalogueError, match="neither true nor false"):
        _set('version = "1"\ncodes = ["A"]\nfolds = "yes"')
