"""Code sets: flat, hierarchical by membership, and ICD-10."""

from __future__ import annotations

import re

import pytest

from queries.agreed.catalogue import Catalogue, CodeColumn, CodeSet
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.icd10 import CHAPTERS_ZH, icd10
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
"""

REGIONS = """
[codes.set]
version = "2024"
codes = ["a", "b", "c", "d"]
[[codes.set.levels]]
name = "city"
[codes.set.levels.groups]
X = { en = "Ex", zh = "甲", members = ["d", "a"] }
Y = { en = "Why", members = ["c"] }
Z = { members = ["b"] }
[[codes.set.levels]]
name = "province"
[codes.set.levels.groups]
P = { en = "Pe", members = ["Z"] }
Q = { en = "Cue", members = ["Y", "X"] }
"""


def _set(text: str) -> CodeSet:
    column = read_catalogue((HEAD + text).encode(), "c.toml").table("t").column("x")
    assert isinstance(column, CodeColumn)
    return column.codes


def _is_sound(codes: CodeSet) -> bool:
    """Tell whether every level gives each code a group, in runs, without an empty group."""
    return all(
        len(level.group_of) == len(codes.codes)
        and list(level.group_of) == sorted(level.group_of)
        and set(level.group_of) == set(range(len(level.groups)))
        for level in codes.levels
    )


def test_codes_are_put_in_depth_first_order_of_their_groups():
    """Whatever the order of the lists, each group of each level is a run of neighbours."""
    codes = _set(REGIONS)
    assert [code.code for code in codes.codes] == ["b", "c", "d", "a"]
    assert [level.name for level in codes.levels] == ["city", "province"]
    city, province = codes.levels
    assert [group.code for group in city.groups] == ["Z", "Y", "X"]
    assert city.group_of == (0, 1, 2, 2)
    assert [group.code for group in province.groups] == ["P", "Q"]
    assert province.group_of == (0, 1, 1, 1)
    assert city.groups[2].label.zh == "甲"
    assert city.groups[0].label.en == "Z"
    assert _is_sound(codes)


def test_membership_counts_and_not_the_beginning_of_a_code(wide: Catalogue):
    """A region belongs where the list says, so a code that changed hands needs no new number."""
    text = REGIONS.replace('"a", "b", "c", "d"', '"4401", "4402", "1101", "9"').replace('["d", "a"]', '["9", "4401"]')
    codes = _set(text.replace('["c"]', '["1101"]').replace('["b"]', '["4402"]'))
    home = {
        code.code: codes.levels[0].groups[codes.levels[0].group_of[place]].code
        for place, code in enumerate(codes.codes)
    }
    assert home == {"4401": "X", "9": "X", "1101": "Y", "4402": "Z"}
    region = wide.table("discharge").column("region")
    assert isinstance(region, CodeColumn)
    assert _is_sound(region.codes)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('members = ["c"]', 'members = ["c", "a"]', "codes.set.levels[0].groups.Y.members", "already in 'X'"),
        ('members = ["d", "a"]', 'members = ["d", "d", "a"]', "codes.set.levels[0].groups.X.members", "already in"),
        ('members = ["c"]', 'members = ["e"]', "codes.set.levels[0].groups.Y.members", "not a code of the level below"),
        ('members = ["d", "a"]', 'members = ["d"]', "codes.set.levels[0].groups", "'a' is in no group"),
        ('members = ["Z"]', 'members = ["b"]', "codes.set.levels[1].groups.P.members", "not a code of the level below"),
        ('members = ["c"]', "members = []", "codes.set.levels[0].groups.Y.members", "not a list"),
        ('members = ["c"]', 'member = ["c"]', "codes.set.levels[0].groups.Y.member", "unknown key"),
        ('name = "province"', 'name = "city"', "codes.set.levels[1].name", "two levels"),
        ('name = "province"', 'name = "pro vince"', "codes.set.levels[1].name", "not a name"),
        ('name = "province"\n', "", "codes.set.levels[1].name", "missing"),
    ],
)
def test_a_hierarchy_that_does_not_add_up_is_refused(old, new, key, words):
    """Each code is in exactly one group of every level, or the catalogue is not read."""
    assert REGIONS.count(old) == 1
    with pytest.raises(CatalogueError) as caught:
        _set(REGIONS.replace(old, new))
    assert caught.value.key == key
    assert words in caught.value.message
    assert caught.value.remedy


def test_icd10_has_every_category_under_its_block_and_chapter():
    """2,050 categories in 22 chapters; stroke is where stroke belongs; chapters speak Chinese."""
    codes = _set('[codes.set]\nuse = "icd-10"\nversion = "2019"\n')
    block, chapter = codes.levels
    assert (block.name, chapter.name) == ("block", "chapter")
    assert len(codes.codes) == 2050
    assert len(chapter.groups) == len(CHAPTERS_ZH) == 22
    assert all(re.fullmatch(r"[A-Z]\d\d", code.code) for code in codes.codes)
    place = codes.index["I63"]
    assert codes.codes[place].label.en == "Cerebral infarction"
    assert block.groups[block.group_of[place]].code == "I60-I69"
    assert chapter.groups[chapter.group_of[place]].code == "IX"
    assert chapter.groups[chapter.group_of[place]].label.zh == "循环系统疾病"
    assert block.groups[block.group_of[codes.index["C18"]]].code == "C15-C26"
    assert codes.folds
    assert codes.name == "set"
    assert _is_sound(codes)


def test_icd10_is_read_once():
    """A second catalogue shares the codes that the first one loaded."""
    assert icd10() is icd10()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('use = "icd-10"', "codes.set.version"),
        ('use = "icd-10"\nversion = "2016"', "codes.set.version"),
        ('use = "icd-9"\nversion = "1"', "codes.set.use"),
        ('use = "icd-10"\nversion = "2019"\ncodes = ["a"]', "codes.set.codes"),
    ],
)
def test_a_shipped_set_is_named_with_its_edition(text, key):
    """The bytes of the catalogue pin the codes, so two editions never share a digest."""
    with pytest.raises(CatalogueError) as caught:
        _set(f"[codes.set]\n{text}\n")
    assert caught.value.key == key


def test_another_copy_of_icd10_is_refused(monkeypatch):
    """A package with other codes than Farr was made with is not silently used."""
    monkeypatch.setattr("queries.agreed.icd10.DIGEST", "0" * 64)
    icd10.cache_clear()
    try:
        with pytest.raises(CatalogueError) as caught:
            _set('[codes.set]\nuse = "icd-10"\nversion = "2019"\n')
    finally:
        icd10.cache_clear()
    assert caught.value.key == "codes.set.use"
