"""The regions of China by membership in a dated list: counties in prefectures, provinces and large regions.

Where a county belongs is what the list says. The beginning of its six digits is never asked: counties change hands, and
codes are given out anew, so an old code counts as missing until the federation moves to a later list.
"""

from __future__ import annotations

from functools import cache

from queries.agreed.catalogue import Code, CodeSet, Label, Level
from queries.agreed.regions_listing import LISTING

VERSION = "2023-06-30"
"""The day that the list describes."""

AREAS = (
    ("1", "North", "华北"),
    ("2", "Northeast", "东北"),
    ("3", "East", "华东"),
    ("4", "South Central", "中南"),
    ("5", "Southwest", "西南"),
    ("6", "Northwest", "西北"),
    ("7", "Hong Kong, Macao and Taiwan", "港澳台"),
)
"""The large regions in the order of GB/T 2260: number, English and Chinese name."""

PROVINCES = (
    ("11", "1", "Beijing", "北京市"),
    ("12", "1", "Tianjin", "天津市"),
    ("13", "1", "Hebei", "河北省"),
    ("14", "1", "Shanxi", "山西省"),
    ("15", "1", "Inner Mongolia", "内蒙古自治区"),
    ("21", "2", "Liaoning", "辽宁省"),
    ("22", "2", "Jilin", "吉林省"),
    ("23", "2", "Heilongjiang", "黑龙江省"),
    ("31", "3", "Shanghai", "上海市"),
    ("32", "3", "Jiangsu", "江苏省"),
    ("33", "3", "Zhejiang", "浙江省"),
    ("34", "3", "Anhui", "安徽省"),
    ("35", "3", "Fujian", "福建省"),
    ("36", "3", "Jiangxi", "江西省"),
    ("37", "3", "Shandong", "山东省"),
    ("41", "4", "Henan", "河南省"),
    ("42", "4", "Hubei", "湖北省"),
    ("43", "4", "Hunan", "湖南省"),
    ("44", "4", "Guangdong", "广东省"),
    ("45", "4", "Guangxi", "广西壮族自治区"),
    ("46", "4", "Hainan", "海南省"),
    ("50", "5", "Chongqing", "重庆市"),
    ("51", "5", "Sichuan", "四川省"),
    ("52", "5", "Guizhou", "贵州省"),
    ("53", "5", "Yunnan", "云南省"),
    ("54", "5", "Tibet", "西藏自治区"),
    ("61", "6", "Shaanxi", "陕西省"),
    ("62", "6", "Gansu", "甘肃省"),
    ("63", "6", "Qinghai", "青海省"),
    ("64", "6", "Ningxia", "宁夏回族自治区"),
    ("65", "6", "Xinjiang", "新疆维吾尔自治区"),
    ("71", "7", "Taiwan", "台湾省"),
    ("81", "7", "Hong Kong", "香港特别行政区"),
    ("82", "7", "Macao", "澳门特别行政区"),
)
"""The provinces in the order of GB/T 2260: two digits, large region, English and Chinese name."""

UNDIVIDED = frozenset({"11", "12", "31", "50", "71", "81", "82"})
"""Provinces that are one prefecture here: the municipalities, and those whose parts the list does not give."""


@cache
def regions() -> CodeSet:
    """Return the six-digit codes with the levels ``prefecture`` (four digits), ``province`` (two) and ``area`` (one).

    A province's and a prefecture's own code (440000, 440100) are codes too, for records that say no more; a province's
    own falls in the prefecture-level group 4400, "not stated".
    """
    codes: list[Code] = []
    groups: dict[str, Code] = {}
    home_of: list[str] = []
    listed = _listed()
    for province, _, en, zh in PROVINCES:
        whole, single = f"{province}00", province in UNDIVIDED
        unstated = Label(en=f"{en}, prefecture not stated", zh=f"{zh}，未注明地市")
        groups[whole] = Code(code=whole, label=Label(en=en, zh=zh) if single else unstated)
        codes.append(Code(code=f"{province}0000", label=Label(en=f"{en}, place not stated", zh=f"{zh}，未注明地区")))
        home_of.append(whole)
        for prefecture, name, counties in listed.get(province, ()):
            home = whole if single else prefecture
            groups.setdefault(home, Code(code=prefecture, label=name))
            stated = Label(en=en, zh=zh + name.zh) if single else name
            own = Label(en=f"{stated.en}, county not stated", zh=f"{stated.zh}，未注明区县")
            codes.append(Code(code=f"{prefecture}00", label=own))
            codes += [Code(code=prefecture + county, label=Label(en=title, zh=title)) for county, title in counties]
            home_of += [home] * (1 + len(counties))
    place_of = {home: place for place, home in enumerate(groups)}
    return CodeSet(
        name="gb-2260",
        version=VERSION,
        codes=tuple(codes),
        levels=(
            Level(
                name="prefecture",
                label=Label(en="Prefecture", zh="地市"),
                groups=tuple(groups.values()),
                group_of=tuple(place_of[home] for home in home_of),
            ),
            *_above([home[:2] for home in home_of]),
        ),
    )


@cache
def prefectures() -> CodeSet:
    """Return the prefectures as codes of their own, with the levels ``province`` and ``area``: for public facts."""
    finest = regions().level("prefecture")
    levels = _above([group.code[:2] for group in finest.groups])
    return CodeSet(name="gb-2260-prefecture", version=VERSION, codes=finest.groups, levels=levels)


@cache
def provinces() -> CodeSet:
    """Return the provinces as codes of their own, with the level ``area``."""
    above = _above([province for province, *_ in PROVINCES])
    return CodeSet(name="gb-2260-province", version=VERSION, codes=above[0].groups, levels=above[1:])


def _listed() -> dict[str, list[tuple[str, Label, list[tuple[str, str]]]]]:
    """Read the listing: by province, each prefecture's digits, name and counties (last two digits, name)."""
    found: dict[str, list[tuple[str, Label, list[tuple[str, str]]]]] = {}
    counties: list[tuple[str, str]] = []
    for token in LISTING.split():
        digits, slash, names = token.partition("/")
        if slash:
            en, zh = names.replace("_", " ").split("/")
            counties = []
            found.setdefault(digits[:2], []).append((digits, Label(en=zh if en == "-" else en, zh=zh), counties))
        else:
            counties.append((token[:2], token[2:]))
    return found


def _above(homes: list[str]) -> tuple[Level, Level]:
    """Return the levels ``province`` and ``area`` of codes whose provinces are given, in order."""
    order = {province: place for place, (province, *_) in enumerate(PROVINCES)}
    areas = {area: place for place, (area, *_) in enumerate(AREAS)}
    area_of = [areas[area] for _, area, *_ in PROVINCES]
    return (
        Level(
            name="province",
            label=Label(en="Province", zh="省份"),
            groups=tuple(Code(code=province, label=Label(en=en, zh=zh)) for province, _, en, zh in PROVINCES),
            group_of=tuple(order[home] for home in homes),
        ),
        Level(
            name="area",
            label=Label(en="Large region", zh="大区"),
            groups=tuple(Code(code=area, label=Label(en=en, zh=zh)) for area, en, zh in AREAS),
            group_of=tuple(area_of[order[home]] for home in homes),
        ),
    )
