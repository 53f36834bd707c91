"""Fonts for pictures: one with Chinese where there is any, and what is written instead where there is none.

Installed fonts come first; then the one that ``farr[plot]`` brings, Noto Sans CJK under the SIL Open Font License. With
neither, texts whose characters cannot be drawn are written in English, labels as their codes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from farr.errors import FarrError
from farr.texts import N_, _

PACKAGE = "noto_cjk_sans_otc"
"""The package of ``farr[plot]`` that carries a font with Chinese."""

CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Noto Sans CJK JP",
)  # fmt: skip
"""Families that have simplified Chinese, the best first. The last is the first face of Noto's collection, which is all
of it that Matplotlib below 3.11 sees: the same characters, some in their Japanese form."""

LATIN = "DejaVu Sans"
"""Comes with Matplotlib."""

UNDRAWABLE = "?"
"""Stands for a character that no font has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The fonts in use, and the texts that can be written with them."""

    families: tuple[str, ...]
    """Names, the first that has a character draws it."""
    characters: frozenset[int]
    """Code points that one of them has."""

    def covers(self, text: str) -> bool:
        """Return whether every character can be drawn."""
        return all(ord(each) in self.characters or each == "\n" for each in text)

    def say(self, message: str) -> str:
        """Return a text of Farr's own in the language in use, or in English where that cannot be drawn."""
        translated = _(message)
        return translated if self._covered(translated) else message

    def name(self, text: str, *instead: str) -> str:
        """Return the first of the texts that can be drawn; the last with marks for what cannot."""
        for each in (text, *instead):
            if self._covered(each):
                return each
        last = (text, *instead)[-1]
        return "".join(each if ord(each) in self.characters else UNDRAWABLE for each in last)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Draw with these fonts; texts are laid out when a picture is saved, so that needs it too."""
        import matplotlib as mpl

        settings: dict[Any, object] = {
            "font.family": list(self.families),
            "font.size": 9.0,
            "axes.unicode_minus": self.covers("\N{MINUS SIGN}"),
            "hatch.linewidth": 0.6,
            # Names come from people: a dollar sign in one begins no formula.
            "text.parse_math": False,
            "svg.hashsalt": "farr",
        }
        with mpl.rc_context(settings):
            yield

    def _covered(self, text: str) -> bool:
        covered = self.covers(text)
        if not covered:
            _say_that_none_was_found()
        return covered


def script() -> Script:
    """Return the fonts to draw with; raise FarrError where Matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise FarrError(
            "no-matplotlib", _("pictures need Matplotlib"), remedy=_("install it with: pip install 'farr[plot]'")
        )
    return _script(_chinese())


def _chinese() -> str:
    """Return the family that Chinese is drawn with; empty where there is none."""
    from matplotlib import font_manager

    _add_our_own()
    known = set(font_manager.fontManager.get_font_names())
    return next((family for family in CHINESE if family in known), "")


@cache
def _add_our_own() -> None:
    """Make the font of ``farr[plot]`` known, where no installed one will do."""
    from matplotlib import font_manager

    if set(CHINESE) & set(font_manager.fontManager.get_font_names()):
        return
    found = find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in Path(folder).glob("*.tt[cf]"):
            font_manager.fontManager.addfont(file)


@cache
def _script(chinese: str) -> Script:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    families = (chinese, LATIN) if chinese else (LATIN,)
    files = [font_manager.findfont(font_manager.FontProperties(family=[family])) for family in families]
    return Script(
        families=families,
        # The faces of a collection have the same characters, in forms of their own.
        characters=frozenset().union(*(FT2Font(str(file)).get_charmap() for file in files)),
    )


@cache
def _say_that_none_was_found() -> None:
    message = N_(
        "No font has all characters of this picture: English texts and codes stand for them. "
        "Install a font with Chinese, such as fonts-noto-cjk, or farr[plot]."
    )
    warnings.warn(_(message), stacklevel=4)
